"""PI batches say what depends on what, and circles and typing slips are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from pichannels.piwebasync import Controller
from pichannels.piwebasync.batches import batch, each, part
from pichannels.piwebasync.exceptions import APIException

PI = Controller("https", "pi", root="/piwebapi")
BASE = "https://pi/piwebapi"
WEB_IDS = "$.points.Content.Items[*].WebId"
Parts = dict[str, Mapping[str, Any]]


def test_a_part_is_the_request_of_a_controller() -> None:
    assert part(PI.points.get("W"), headers={"Cache-Control": "no-cache"}) == {
        "Method": "GET",
        "Resource": f"{BASE}/points/W",
        "Headers": {"Cache-Control": "no-cache"},
    }


def test_the_body_of_a_part_is_a_text() -> None:
    made = part(PI.elements.create_element("W", {"Name": "Ä"}))
    assert (made["Method"], made["Content"]) == ("POST", '{"Name":"Ä"}')


def test_a_part_waits_for_those_whose_answers_it_uses() -> None:
    made = part("$.create.Headers.Location", method="PATCH", json={"Name": "B"})
    assert made == {
        "Method": "PATCH",
        "Resource": "$.create.Headers.Location",
        "Content": '{"Name":"B"}',
        "ParentIds": ["create"],
    }


def test_a_template_is_filled_for_each_thing_found() -> None:
    assert each(PI.streams.get_end("{0}"), [WEB_IDS]) == {
        "Method": "GET",
        "RequestTemplate": {"Resource": f"{BASE}/streams/{{0}}/end"},
        "ParentIds": ["points"],
        "Parameters": [WEB_IDS],
    }


def test_ids_of_any_kind_are_found_in_a_path() -> None:
    made = part(
        PI.points.get("{0}{1}"), parameters=["$['my id'].A", '$["b.c"].B', "$.1"]
    )
    assert made["ParentIds"] == ["my id", "b.c", "1"]


def test_parents_can_be_named() -> None:
    assert part(PI.points.get("W"), parents=["first"])["ParentIds"] == ["first"]


def test_braces_are_kept_where_nothing_is_filled_in() -> None:
    resource = part(PI.points.get_by_path(r"\\SRV\A{0}"))["Resource"]
    assert resource.endswith("A%7B0%7D")


def test_a_whole_batch_is_ready_to_be_sent() -> None:
    parts: Parts = {
        "points": part(PI.dataservers.get_points("W", name_filter="UNIT*")),
        "ends": each(PI.streams.get_end("{0}"), [WEB_IDS]),
    }
    request = PI.batch.execute(batch(parts))
    assert request.absolute_url == f"{BASE}/batch"
    assert msgspec.json.decode(msgspec.json.encode(request.json)) == parts


def test_an_answer_may_be_used_by_those_further_down() -> None:
    parts: Parts = {
        "a": part(PI.points.get("W")),
        "b": part(PI.points.get("{0}"), parameters=["$.a.Content.WebId"]),
        "c": part(
            PI.points.get("{0}"), parameters=["$.a.Content.WebId"], parents=["b"]
        ),
    }
    assert list(batch(parts)) == ["a", "b", "c"]


REQUEST = part(PI.points.get("W"))
NO_PARTS: Parts = {}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: batch(NO_PARTS), "at least one part"),
        (lambda: batch({"a": {"Resource": "x"}}), "'a' is no part"),
        (lambda: batch({"a": REQUEST | {"ParentIds": ["b"]}}), "not in the batch"),
        (lambda: batch({"a": REQUEST | {"ParentIds": ["a"]}}), "circle: a -> a"),
        (
            lambda: batch(
                {"a": REQUEST, "b": REQUEST | {"Parameters": ["$.a.Content"]}}
            ),
            "uses the answer of 'a' without",
        ),
        (lambda: part(PI.streams.get_channel("W")), "opens a PI channel"),
        (lambda: part(PI.points.get("{1}"), parameters=["$.a"]), "has no parameter"),
        (lambda: each(PI.points.get("W"), []), "at least one parameter"),
    ],
)
def test_a_batch_that_cannot_run_is_refused(
    make: Callable[[], object], said: str
) -> None:
    with pytest.raises(APIException, match=said):
        make()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_batches_that_only_look_back_are_always_taken(
    pairs: list[tuple[int, int]],
) -> None:
    waits: dict[int, set[str]] = {n: set() for n in range(6)}
    for one, other in pairs:
        if other < one:
            waits[one].add(str(other))
    parts = {
        str(n): part(PI.points.get("W"), parents=sorted(waits[n]))
        for n in reversed(range(6))
    }
    assert batch(parts) == parts
