"""What two PI channels gave is passed on once, byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pichannels.channels.overlap import Overlap


def event(value: Any, second: int = 0, **flags: Any) -> dict[str, Any]:
    return {"Timestamp": f"2026-01-01T00:00:{second:02}Z", "Value": value, **flags}


def frame(**streams: list[dict[str, Any]]) -> bytes:
    items = [
        {"WebId": name, "Path": f"\\\\S\\{name}", "Items": events}
        for name, events in streams.items()
    ]
    return json.dumps({"Links": {}, "Items": items}).encode()


def values(passed: bytes | None) -> list[Any]:
    if passed is None:
        return []
    return [e["Value"] for s in json.loads(passed)["Items"] for e in s["Items"]]


def test_an_event_that_was_given_is_left_out_once() -> None:
    overlap = Overlap({"a"})
    overlap.note(frame(a=[event(1)]))
    assert values(overlap.unknown(frame(a=[event(1), event(1), event(2)]))) == [1, 2]


def test_identical_events_are_counted() -> None:
    overlap = Overlap({"a"})
    overlap.note(frame(a=[event(1), event(1)]))
    assert values(overlap.unknown(frame(a=[event(1), event(1), event(1)]))) == [1]


@pytest.mark.parametrize(
    "other", [event(2), event(1, 1), event(1.0), event(1, Good=False)]
)
def test_another_time_value_or_status_is_another_event(other: dict[str, Any]) -> None:
    overlap = Overlap({"a"})
    overlap.note(frame(a=[event(1)]))
    assert len(values(overlap.unknown(frame(a=[other])))) == 1


def test_streams_that_did_not_move_are_passed_on() -> None:
    overlap = Overlap({"a"})
    overlap.note(frame(a=[event(1)], b=[event(1)]))
    assert values(overlap.unknown(frame(a=[event(1)], b=[event(1)]))) == [1]


def test_a_frame_of_which_nothing_is_left_is_none() -> None:
    overlap = Overlap({"a"})
    overlap.note(frame(a=[event(1)]))
    assert overlap.unknown(frame(a=[event(1)])) is None


def test_heartbeats_are_passed_on() -> None:
    overlap = Overlap({"a"})
    overlap.note(frame(a=[event(1)]))
    assert overlap.unknown(frame()) is not None


def test_events_stay_as_they_were_written() -> None:
    overlap = Overlap({"a"})
    overlap.note(frame(a=[event(7)]))
    text = '{"Items":[{"WebId":"a","Items":[{"Timestamp":"t","Value":1.50e+300}]}]}'
    assert overlap.unknown(text.encode()) == text.encode()


@pytest.mark.parametrize("known", ["a", "\\\\S\\a"])
def test_streams_are_left_out_by_web_id_or_path(known: str) -> None:
    passed = Overlap({"a"}).current(frame(a=[event(1)], b=[event(2)]), {known})
    assert values(passed) == [2]


@pytest.mark.parametrize("raw", [b"", b"no json", b'{"Items": 3}', b"[]", b"null"])
def test_what_cannot_be_read_is_passed_on(raw: bytes) -> None:
    overlap = Overlap({"a"})
    overlap.note(frame(a=[event(1)]))
    overlap.note(raw)
    assert overlap.unknown(raw) == raw


def test_what_is_remembered_is_bounded() -> None:
    overlap = Overlap({"a"}, limit=2)
    overlap.note(frame(a=[event(1), event(2), event(3)]))
    again = overlap.unknown(frame(a=[event(1), event(2), event(3)]))
    assert values(again) == [1]


def test_current_values_older_than_what_was_given_are_no_news() -> None:
    overlap = Overlap({"a", "b"})
    overlap.note(frame(a=[event(1, 5)]))
    begins = frame(a=[event(0, 4)], b=[event(7, 4)])
    assert values(overlap.current(begins, ())) == [7]


def test_a_current_value_that_was_missed_is_news() -> None:
    overlap = Overlap({"a"})
    overlap.note(frame(a=[event(1, 5)]))
    assert values(overlap.current(frame(a=[event(2, 6)]), ())) == [2]
