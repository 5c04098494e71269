"""What `pichannels tap` writes can be read, and fits."""

from __future__ import annotations

from typing import Any

import pytest

from pichannels.channels.tapping import shown_of
from pichannels.cli.tapped import passed_lines
from pichannels.message import Message
from pichannels.values import DigitalState, Sample, Tag

TICKS = 17_000_000_000_000_000


def lines(
    came: Any, *left: Any, outcome: str = "processed", width: int = 80, rows: int = 3
) -> list[str]:
    """The lines about payloads, without the head."""
    messages = [shown_of(Message(payload=each)) for each in (came, *left)]
    passed = {
        "time": "2026-11-22T00:33:01.1235168Z",
        "uuid": "0f",
        "seconds": 0.0005,
        "outcome": outcome,
        "error": "for a reason" if outcome != "processed" else "",
        "came": messages[0],
        "left": messages[1:],
        "more": 0,
    }
    head, *others = (line.plain for line in passed_lines(passed, width, rows))
    assert head == "2026-11-22T00:33:01.123Z  500us  message 0f"
    assert all(len(line) <= width for line in others)
    return others


def samples(count: int = 1, **facts: Any) -> list[Sample]:
    tag = Tag("UNIT1.BOILER.TEMP", units="C")
    made = Sample(tag, TICKS, 3.5, units="C")
    return [made.with_(**facts) for _ in range(count)]


def test_samples_are_rows_with_value_unit_and_quality() -> None:
    shown = lines(samples(), samples(good=False, questionable=True))
    assert shown == [
        "  in   1 sample",
        "       2023-11-14T22:13:20Z  UNIT1.BOILER.TEMP  3.5 C  good",
        "  out  1 sample",
        "       2023-11-14T22:13:20Z  UNIT1.BOILER.TEMP  3.5 C  bad, questionable",
    ]


def test_no_more_rows_are_shown_than_are_wanted() -> None:
    shown = lines(samples(30), rows=2)
    assert shown[0] == "  in   20 samples and 10 more items"
    assert (len(shown), shown[-1]) == (4, "       and 18 more")


def test_digital_states_are_told_by_name() -> None:
    (_, row) = lines(samples(value=DigitalState("I/O Timeout", 246, is_system=True)))
    assert "I/O Timeout  good" in row


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        ("two\nlines", "two lines"),
        (b"as text", "as text"),
        (b"\xff\xfe", "(2 bytes)"),
        ({"a": [1, b"x"]}, '{"a":[1,"x"]}'),
        ({1: float("inf")}, '{"1":"inf"}'),
        (None, "(no payload)"),
        ("", "(an empty text)"),
        ("\x1b[31mred\x9b", "\\x1b[31mred\\x9b"),
    ],
    ids=str,
)
def test_other_payloads_are_one_line(payload: Any, shown: str) -> None:
    assert lines(payload) == [f"  in   {shown}"]


@pytest.mark.parametrize("payload", ["word " * 99, "\u65e5" * 999], ids=["a", "wide"])
def test_long_texts_are_cut(payload: str) -> None:
    shown = lines(payload, width=40, rows=2)
    assert (len(shown), shown[-1].endswith("...")) == (2, True)


def test_what_is_not_changed_is_not_repeated() -> None:
    assert lines("same", "same") == ["  in   same", "  out  as it came"]


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        ("dropped", "dropped"),
        ("failed", "failed"),
        ("retry", "to be tried again"),
        ("nothing", "nothing left: it was dropped, or is kept for later"),
    ],
)
def test_what_became_of_it_is_told(outcome: str, told: str) -> None:
    assert lines("x", outcome=outcome)[-1] == f"  {told}: for a reason"
