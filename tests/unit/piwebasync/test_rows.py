"""Documents of streams become rows that a table can be made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pichannels.piwebasync.responses import HTTPResponse
from pichannels.piwebasync.rows import Row, rows_of

FIXTURES = Path(__file__).parents[2] / "fixtures" / "piwebapi"
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["Items", "Value", "Timestamp", "Name", "Errors", "x"]),
            inner,
            max_size=4,
        )
    ),
)


def rows(name: str) -> list[Row]:
    raw = next(FIXTURES.glob(f"{name}_*.json")).read_bytes()
    return HTTPResponse(200, "https://h", {}, raw).rows()


def columns(name: str, *keys: str) -> list[tuple[Any, ...]]:
    return [tuple(row.get(key) for key in keys) for row in rows(name)]


def test_each_value_of_a_stream_is_a_row() -> None:
    assert [row["Value"] for row in rows("d14")] == [70.0, 70.4, 70.9, None]
    assert rows("d14")[3]["State"] == "Bad Input"


def test_rows_of_a_set_tell_their_stream() -> None:
    assert {row["Name"] for row in rows("d17")} == {"UNIT1.TI101.PV"}
    assert list(rows("d17")[0])[:4] == ["WebId", "Name", "Path", "Timestamp"]


def test_a_digital_state_is_its_name() -> None:
    assert columns("d10", "Value", "State") == [("OPEN", "OPEN")]


def test_a_system_state_is_no_value() -> None:
    assert columns("d13", "Value", "State", "Good") == [
        (64.02, None, True),
        (None, "Pt Created", False),
    ]


def test_an_error_of_pi_is_told_in_its_row() -> None:
    assert columns("d12", "Value", "Errors") == [(None, "PI Point not found.")]


@pytest.mark.parametrize("name", ["d21", "d22"])
def test_summaries_have_their_type(name: str) -> None:
    kinds = [row["Type"] for row in rows(name)]
    assert {"Average", "Maximum"} <= set(kinds) and all(kinds)


def test_no_value_is_no_row() -> None:
    assert rows("d15") == []


def test_objects_are_rows_without_their_links() -> None:
    (row,) = rows("d24")
    assert row["Name"] == "Temperature" and "Links" not in row


def test_the_data_of_a_table_are_its_rows() -> None:
    table = {"Columns": {"A": "Int32"}, "Rows": [{"A": 1}, {"A": 2}]}
    assert rows_of(table) == [{"A": 1}, {"A": 2}]


@given(ANY_JSON)
def test_any_document_has_rows(document: Any) -> None:
    response = HTTPResponse(200, "https://h", {}, json.dumps(document).encode())
    assert isinstance(response.rows(), list)


def test_a_document_that_is_nested_without_end_has_rows() -> None:
    document: dict[str, Any] = {}
    for _ in range(5_000):
        document = {"Items": [document]}
    assert rows_of(document) == []


def test_rows_and_samples_are_of_the_same_values() -> None:
    raw = next(FIXTURES.glob("d17_*.json")).read_bytes()
    response = HTTPResponse(200, "https://h/streamsets/recorded", {}, raw)
    samples = response.samples().samples
    assert [s.iso for s in samples] == [row["Timestamp"] for row in response.rows()]


def test_samples_of_one_stream_are_named_by_its_web_id() -> None:
    raw = next(FIXTURES.glob("d14_*.json")).read_bytes()
    web_id = rows("d17")[0]["WebId"]
    url = f"https://h/piwebapi/streams/{web_id}/recorded?maxCount=4"
    found = HTTPResponse(200, url, {}, raw).samples()
    assert {sample.tag.name for sample in found.samples} == {"UNIT1.TI101.PV"}
    assert (len(found.samples), found.failures) == (4, [])
