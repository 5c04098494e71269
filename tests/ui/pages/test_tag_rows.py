"""The tag table: chosen, sorted and paged on the server, however many there are."""

from __future__ import annotations

from typing import Any

import pytest

from pichannels.ui.pages.tag_rows import choose, exact


def stream(name: str, **others: Any) -> dict[str, Any]:
    facts = {"web_id": f"W{name}", "state": "open", "reason": "", "mark": ""}
    told = {"type": "Float32", "units": "", "newest": "", "expected": None}
    return {"tag": rf"\\PI\{name}", **facts, **told, **others}


STREAMS = [
    stream("B.FLOW", expected=10.0),
    stream("A.TEMP", mark="stale", expected=2.0),
    stream("C.TEMP", state="unresolved"),
]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"q": "temp"}, ["A.TEMP", "C.TEMP"]),
        ({"mark": "any"}, ["A.TEMP"]),
        ({"state": "unresolved"}, ["C.TEMP"]),
        ({"sort": "-tag"}, ["C.TEMP", "B.FLOW", "A.TEMP"]),
        ({"sort": "expected", "skip": "2"}, ["B.FLOW"]),
    ],
    ids=str,
)
def test_tags_are_chosen_and_sorted(query: dict[str, str], expected: list[str]) -> None:
    assert [row.name for row in choose(STREAMS, query, 50).rows] == expected


def test_a_page_of_very_many_tags_is_counted_whole() -> None:
    many = [stream(f"U.{n}", mark="flat" if n % 2 else "") for n in range(100_000)]
    found = choose(many, {"mark": "flat", "skip": "100"}, 50)
    assert (len(found.rows), found.matching, found.total) == (50, 50_000, 100_000)
    assert found.marks == {"flat": 50_000}


@pytest.mark.parametrize("wanted", ["a.temp", r"\\pi\A.TEMP", "WA.TEMP"])
def test_a_tag_is_found_by_name_path_and_web_id(wanted: str) -> None:
    assert exact(STREAMS, wanted) is STREAMS[1]
