"""What a bulk action concerns stays the same while somebody types its number."""

from __future__ import annotations

from typing import Any

import pytest

from pichannels import clock
from pichannels.testing.doubles import ManualClock
from pichannels.ui.pages.standing import Standing
from pichannels.values import parse_ticks


@pytest.mark.parametrize("action", ["replay", "dead-redrive", "dead-discard"])
def test_what_comes_later_is_not_concerned(action: str) -> None:
    before = clock.now()
    standing = Standing(action, {"channel": "a"})
    first, second = standing.arguments(), standing.arguments()
    assert first == second
    assert parse_ticks(first["end"]) >= before


@pytest.mark.parametrize("given", [{"ids": ["1"]}, {"end": "2026-05-01T06:00:00Z"}])
def test_what_has_an_end_keeps_it(given: dict[str, Any]) -> None:
    assert Standing("replay", given).arguments() == given


def test_an_age_grows_with_the_time_since() -> None:
    with ManualClock() as hands:
        standing = Standing("prune", {"age": 60.0})
        hands.advance(7.5)
        assert standing.arguments() == {"age": 67.5}
