"""Instants of options are those that people write."""

from __future__ import annotations

import pytest

from pichannels import clock
from pichannels.cli.quantities import instant
from pichannels.errors import DecodeError
from pichannels.values import TICKS_PER_SECOND, parse_ticks


@pytest.mark.parametrize(
    ("text", "ago"),
    [("*", 0), ("*-90m", 5400), (" * - 1.5 H", 5400), ("*-7d", 604_800)],
)
def test_an_instant_can_be_relative_to_now(text: str, ago: int) -> None:
    before = clock.now()
    found = parse_ticks(instant(text)) + ago * TICKS_PER_SECOND
    assert before <= found <= clock.now()


def test_others_stay_as_they_are() -> None:
    assert instant(" 2026-11-22T06:00+01:00 ") == "2026-11-22T06:00+01:00"


@pytest.mark.parametrize("text", ["yesterday", "*-", "*-2", "-2h", "*+1h", ""])
def test_other_texts_are_no_instants(text: str) -> None:
    with pytest.raises(DecodeError):
        instant(text)
