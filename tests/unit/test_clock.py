"""Time comes from one place, which tests can replace."""

from __future__ import annotations

import time

import pytest

from pichannels import clock


class FixedClock:
    def now(self) -> int:
        return 42

    def monotonic(self) -> float:
        return 1.5


def test_now_is_in_ticks_of_100_ns_since_1970() -> None:
    before = time.time_ns() // 100
    assert before <= clock.now() <= time.time_ns() // 100


def test_monotonic_never_goes_back() -> None:
    readings = [clock.monotonic() for _ in range(100)]
    assert readings == sorted(readings)


def test_a_replacement_is_used_inside_the_block_only() -> None:
    with clock.use(FixedClock()) as used:
        inside = (clock.now(), clock.monotonic())
    assert inside == (42, 1.5) and isinstance(used, FixedClock)
    assert clock.now() != 42


def test_the_clock_comes_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), clock.use(FixedClock()):
        raise ZeroDivisionError
    assert clock.now() != 42
