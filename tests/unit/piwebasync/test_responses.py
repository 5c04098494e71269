"""Responses give PI's data unchanged, and say no only when PI says no."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pichannels.errors import DecodeError
from pichannels.piwebasync.exceptions import HTTPStatusError
from pichannels.piwebasync.responses import HTTPResponse, WebsocketMessage, snake_case

FIXTURES = Path(__file__).parents[2] / "fixtures" / "piwebapi"
JSON = {"Content-Type": "application/json; charset=utf-8"}


def fixture(name: str) -> bytes:
    return next(FIXTURES.glob(f"{name}_*.json")).read_bytes()


def response(
    body: bytes = b"", status: int = 200, headers: dict[str, str] | None = None
) -> HTTPResponse:
    return HTTPResponse(status, "https://h/points", headers or JSON, body)


@given(st.dictionaries(st.text(max_size=12), st.integers(), max_size=6))
def test_the_keys_of_the_document_are_never_changed(document: dict[str, int]) -> None:
    assert response(json.dumps(document).encode()).dict() == document


def test_top_level_keys_are_attributes_in_snake_case() -> None:
    body = b'{"WebId":"W","PIServer":1,"Value2":2,"Url":"inner","Items":[]}'
    found = response(body)
    assert (found.web_id, found.pi_server, found.value2, found.items) == ("W", 1, 2, [])
    assert found.url == "https://h/points"


def test_an_attribute_that_is_not_there_tells_what_is() -> None:
    with pytest.raises(AttributeError, match=r"no 'name'; it has \['web_id'\]"):
        _ = response(b'{"WebId":"W"}').name


@pytest.mark.parametrize(
    ("key", "name"),
    [("UnitsAbbreviation", "units_abbreviation"), ("PIServerName", "pi_server_name")],
)
def test_names_follow_the_words_of_the_key(key: str, name: str) -> None:
    assert snake_case(key) == name


def test_a_list_is_reached_as_items() -> None:
    found = response(fixture("d08"))
    assert found.select("Items.MessagesSent") == {"Items.MessagesSent": [291]}


def test_select_keeps_columns_in_step_and_states_whole() -> None:
    found = response(fixture("d14")).select("Items.Timestamp", "Items.Value")
    state = {"Name": "Bad Input", "Value": 255, "IsSystem": True}
    assert found["Items.Value"] == [70.0, 70.4, 70.9, state]
    assert len(found["Items.Timestamp"]) == 4


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("Items.Items.Value", [[1, {"Name": "A"}], []]),
        ("Items.Items.Value.Name", [[None, "A"], []]),
        ("Items.Name", ["x", None]),
        ("Links.Self", ["url"]),
        ("Links.Next", [None]),
        ("Name", []),
        ("Name.Deeper", []),
        ("Count", [0]),
    ],
)
def test_select_walks_nested_lists_and_missing_fields(
    field: str, expected: list[Any]
) -> None:
    stream = {"Name": "x", "Items": [{"Value": 1}, {"Value": {"Name": "A"}}]}
    document = {"Items": [stream, {}], "Links": {"Self": "url"}, "Count": 0}
    assert response(json.dumps(document).encode()).select(field) == {field: expected}


@pytest.mark.parametrize(
    "answer",
    [
        response(status=202),
        response(status=204, headers={}),
        response(fixture("d30"), 207),
        response(fixture("d34"), 207),
        response(b"\x89PNG\xff", headers={"Content-Type": "image/png"}),
        response(fixture("d12")),
    ],
)
def test_every_kind_of_success_is_one(answer: HTTPResponse) -> None:
    answer.raise_for_status()
    assert answer.error_messages == []


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (response(fixture("d36"), 400), 400, "greater than the maximum"),
        (response(fixture("d37"), 404), 404, "No HTTP resource"),
        (response(fixture("d39")), 502, "connection to the PI Data Archive"),
        (response(b"", 401, {"Content-Type": "text/html"}), 401, "401"),
        (response(b'{"Items": [{"Val'), 200, "no JSON"),
        (response(b"<html>sign in", headers={"Content-Type": "text/html"}), 200, "<ht"),
    ],
)
def test_every_kind_of_failure_tells_status_and_reason(
    answer: HTTPResponse, status: int, said: str
) -> None:
    with pytest.raises(HTTPStatusError, match=said) as caught:
        answer.raise_for_status()
    assert caught.value.status_code == status


def test_a_body_that_is_no_json_is_kept_as_text() -> None:
    found = response(b"<html>\xff").dict()
    assert found["ResponseContent"].startswith("<html>")


def test_a_websocket_message_offers_the_same_and_its_bytes() -> None:
    raw = fixture("d01")
    message = WebsocketMessage(raw, "wss://h/x")
    assert message.select("Items.Items.Value") == {"Items.Items.Value": [[71.25, 71.5]]}
    assert message.raw_response is raw


@pytest.mark.parametrize("name", ["d01", "d02"])
def test_a_websocket_message_has_samples_and_a_heartbeat_has_none(name: str) -> None:
    url = "wss://h/piwebapi/streams/F1DPUpo8Dw1vPk/channel"
    message = WebsocketMessage(fixture(name), url)
    ticks = [row["Timestamp"] for row in message.rows()]
    assert [sample.iso for sample in message.samples().samples] == ticks
    assert bool(ticks) == (name == "d01")


def test_a_success_is_one_although_its_text_names_a_web_exception() -> None:
    found = response(b'{"Description":"\\"WebException\\" is a word"}')
    found.raise_for_status()
    assert found.status_code == 200


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (503, b"<html>", True),
        (500, b"{}", False),
        (429, b"{}", False),
        (200, b"{}", False),
        (200, b'{"WebException":{"StatusCode":502}}', True),
        (200, b'{"WebException":{"Errors":["gone"]}}', True),
        (200, b'{"WebException":{"StatusCode":404}}', False),
    ],
)
def test_a_server_that_is_not_available_is_told_from_a_wrong_request(
    status: int, body: bytes, expected: bool
) -> None:
    assert response(body, status).is_unavailable is expected


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"WebException":{"StatusCode":502}}', "502 Bad Gateway from"),
        (b'{"WebException":{"StatusCode":599}}', "599 broken off from"),
        (b'{"WebException":{"Errors":["gone"]}}', "200 broken off from"),
    ],
)
def test_what_broke_off_is_told_in_its_own_words(body: bytes, said: str) -> None:
    with pytest.raises(HTTPStatusError, match=said):
        response(body).raise_for_status()


def test_selecting_from_what_is_nested_too_deeply_is_told() -> None:
    deep = response(b'{"Items":' + b"[" * 600 + b"]" * 600 + b"}")
    with pytest.raises(DecodeError, match="nested too deeply"):
        deep.select("Items.Value")
