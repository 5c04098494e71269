"""The clock, the recorder and the sink that users get for their tests."""

from __future__ import annotations

import pytest

from pichannels import clock
from pichannels.errors import NotConnected, RetryLater
from pichannels.message import Message
from pichannels.testing import ManualClock, RecordingNode, RefusingSink


def test_the_clock_stands_where_it_was_set() -> None:
    with ManualClock("2026-03-01T12:00:00Z"):
        assert Message().timestamp_str() == "2026-03-01T12:00:00Z"


def test_both_clocks_move_together() -> None:
    with ManualClock(0) as time:
        time.advance(1.5)
        assert (clock.now(), clock.monotonic()) == (15_000_000, 1.5)


def test_setting_the_wall_clock_leaves_durations_alone() -> None:
    with ManualClock("2026-03-01T12:00:00Z") as time:
        time.set("2020-01-01T00:00:00Z")
        assert (Message().timestamp.year, clock.monotonic()) == (2020, 0.0)


def test_time_goes_on_after_the_block() -> None:
    with ManualClock(0):
        pass
    assert clock.now() > 0


def test_the_recorder_keeps_what_a_later_node_changes() -> None:
    node = RecordingNode()
    msg = Message(payload=[1])
    assert node.process(msg) is msg
    msg.payload.append(2)
    assert [kept.payload for kept in node.messages] == [[1]]


def test_the_refusing_sink_takes_messages_in_the_end() -> None:
    sink = RefusingSink(times=1, error=lambda: RetryLater("full"))
    with pytest.raises(RetryLater):
        sink.process(Message(payload=1))
    sink.process(Message(payload=2))
    assert (sink.refused, [msg.payload for msg in sink.messages]) == (1, [2])


def test_the_refusing_sink_refuses_for_ever_by_default() -> None:
    sink = RefusingSink()
    for _ in range(3):
        with pytest.raises(NotConnected):
            sink.process(Message())
    assert sink.messages == []
