"""The time of a server is followed without trusting our own clock."""

from __future__ import annotations

import pytest

from pichannels import clock
from pichannels.channels.servertime import ServerTime
from pichannels.values import TICKS_PER_SECOND, parse_ticks

NOON = parse_ticks("2026-01-01T12:00:00Z")


def test_the_time_of_a_server_goes_on_from_what_it_said() -> None:
    server = ServerTime()
    server.learn(NOON)
    passed = server.now() - NOON
    assert -TICKS_PER_SECOND <= passed < 0


def test_a_second_of_the_clock_that_is_not_told_is_never_missed() -> None:
    server = ServerTime()
    server.learn(NOON)
    assert server.latest() >= NOON + TICKS_PER_SECOND


def test_without_an_answer_it_is_our_own_time_and_not_ahead() -> None:
    server = ServerTime()
    server.learn(None)
    assert server.now() <= clock.now()


@pytest.mark.parametrize("seconds", [0, 5])
def test_a_moment_ago_is_that_much_earlier(seconds: int) -> None:
    server = ServerTime()
    server.learn(NOON)
    ago = seconds * TICKS_PER_SECOND
    found = server.of(clock.now() - ago)
    assert abs(server.now() - ago - found) < TICKS_PER_SECOND // 10


def test_a_moment_that_seems_to_be_in_the_future_is_now() -> None:
    server = ServerTime()
    server.learn(NOON)
    assert server.of(clock.now() + 3600 * TICKS_PER_SECOND) <= server.now()
