"""Bodies of writes and their answers: order, odd shapes, anything at all."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest

from nodes._pi_writing import Answer, Value, encoded, request_body
from pichannels.piwebasync.responses import HTTPResponse
from pichannels.values import Sample, Tag, parse_ticks

SEED = random.randrange(1 << 32)
NOON = parse_ticks("2024-05-01T12:00:00.1234567Z")
JSON = {"Content-Type": "application/json"}


def value(at: int) -> Value:
    sample = Sample(Tag("T"), NOON + at, at)
    body = encoded(sample, units=False, removes=False)
    return Value(at, sample, "path", body, {})


def answer(body: Any, status: int = 207) -> HTTPResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return HTTPResponse(status, "http://host/", JSON, raw)


def of_two_streams() -> list[dict[str, Any]]:
    values = [(value(n), "AB"[n > 1]) for n in range(3)]
    return request_body(values)[0]


def test_the_time_is_exact_and_flags_are_sent_where_they_matter() -> None:
    sample = Sample(Tag("T"), NOON, 1.5, good=False, questionable=True)
    body = msgspec.json.decode(encoded(sample, units=False, removes=False))
    assert body == {
        "Timestamp": "2024-05-01T12:00:00.1234567Z",
        "Value": 1.5,
        "Good": False,
        "Questionable": True,
    }


def test_units_are_sent_on_request() -> None:
    sample = Sample(Tag("T"), NOON, 1.5, units="bar")
    body = msgspec.json.decode(encoded(sample, units=True, removes=False))
    assert body["UnitsAbbreviation"] == "bar"


def test_each_value_is_found_again_and_streams_keep_their_order() -> None:
    rng = random.Random(SEED)
    for _ in range(200):
        count = rng.randrange(1, 30)
        values = [(value(n), rng.choice("ABCD")) for n in range(count)]
        body, order = request_body(values)
        sent = [(one["WebId"], raw) for one in body for raw in one["Items"]]
        expected = [(values[at][1], values[at][0].body) for at in order]
        assert sent == expected, f"seed {SEED}"
        for stream in {web_id for _, web_id in values}:
            places = [at for at in order if values[at][1] == stream]
            assert places == sorted(places), f"seed {SEED}"


@pytest.mark.parametrize("status", [200, 202, 204])
def test_one_status_is_that_of_all_values(status: int) -> None:
    response = HTTPResponse(status, "http://host/", {}, b"")
    assert Answer.read(response, of_two_streams()).results == [(status, "")] * 3


def test_each_value_has_its_status() -> None:
    one = {"Items": [{"Substatus": 202, "Message": "Accepted"}] * 2}
    two = {"Items": [{"Substatus": 409, "Message": "no"}]}
    found = Answer.read(answer({"Items": [one, two]}), of_two_streams())
    assert found.results == [(202, "Accepted"), (202, "Accepted"), (409, "no")]


@pytest.mark.parametrize(
    "stream",
    [
        {"Items": [{"Substatus": 400, "Message": "no"}]},
        {"Substatus": 400, "Message": "no"},
    ],
)
def test_one_status_of_a_stream_is_that_of_its_values(stream: dict[str, Any]) -> None:
    two = {"Items": [{"Substatus": 204}]}
    found = Answer.read(answer({"Items": [stream, two]}), of_two_streams())
    assert found.results == [(400, "no"), (400, "no"), (204, "")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        [],
        {"Items": []},
        {"Items": None},
        {"Items": [None, 3]},
        {"Items": [{"Items": [{"Substatus": "204"}] * 2}, {"Items": [{}]}]},
        {"Items": [{"Items": []}, {"Items": [{"Substatus": None}]}]},
    ],
)
def test_an_answer_that_says_nothing_is_asked_for_again(body: Any) -> None:
    found = Answer.read(answer(body), of_two_streams())
    assert [status >= 500 for status, _ in found.results] == [True] * 3
