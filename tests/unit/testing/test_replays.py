"""Replays: stored messages through a channel, and what leaves each node."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from pichannels.errors import UsageError
from pichannels.message import Message
from pichannels.pytest_plugin import ReplayMessages
from pichannels.store import State
from pichannels.testing import ChannelUnderTest, export_messages

GetChannel = Callable[[str], ChannelUnderTest]


@pytest.fixture(autouse=True)
def muted(get_channel: GetChannel) -> None:
    get_channel("numbers").mute("sink", "aside_sink")


def stored(*texts: str) -> list[Message]:
    return [Message("application/json", text) for text in texts]


def payloads(messages: Iterable[Message]) -> list[Any]:
    return [msg.payload for msg in messages]


def test_a_file_is_replayed(replay: ReplayMessages, tmp_path: Path) -> None:
    export_messages(stored("[20]", "[30]"), tmp_path / "x.jsonl")
    assert payloads(replay("numbers", tmp_path / "x.jsonl").outputs()) == [20, 30]


async def test_a_test_with_an_event_loop_awaits(replay: ReplayMessages) -> None:
    result = await replay("numbers", stored("[20]", "[30]"))
    assert payloads(result.outputs()) == [20, 30]


async def test_asking_too_early_is_told(replay: ReplayMessages) -> None:
    with pytest.raises(UsageError, match="await this instead"):
        replay("numbers", stored("[20]")).outputs()


async def test_all_that_left_a_node_is_there_in_order(replay: ReplayMessages) -> None:
    result = await replay("numbers", stored("[20, 1, 30]", "[40]"))
    assert payloads(result.outputs("split")) == [20, 1, 30, 40]
    assert payloads(result.outputs("limit")) == [20, 30, 40]


async def test_outputs_of_branches_are_there(replay: ReplayMessages) -> None:
    result = await replay("numbers", stored("[1]", "[2]"))
    assert payloads(result.outputs("numbers.aside.aside_sink")) == [1, 2]


async def test_messages_go_in_as_they_were_stored(replay: ReplayMessages) -> None:
    (msg,) = stored("[20]")
    result = await replay("numbers", [msg])
    assert result.outputs("decode")[0].uuid == msg.uuid
    assert msg.payload == "[20]"


async def test_outcomes_tell_what_became_of_each(replay: ReplayMessages) -> None:
    result = await replay("numbers", stored("[20]", "[1]", '["x"]', "[13]"))
    states = [State.PROCESSED, State.DROPPED, State.REJECTED, State.ERROR]
    assert [outcome.state for outcome in result.outcomes] == states
    assert [outcome.state for outcome in result.failures] == states[2:]


async def test_a_message_may_wait_for_the_next(replay: ReplayMessages) -> None:
    result = await replay("pairs", [Message(payload=1), Message(payload=2)])
    assert payloads(result.outputs()) == [3]


async def test_messages_that_never_settle_are_told(replay: ReplayMessages) -> None:
    with pytest.raises(UsageError, match=r"1 of 3 messages were not settled within"):
        await replay("pairs", [Message(payload=n) for n in range(3)], timeout=0.2)


async def test_the_channel_is_as_before(
    replay: ReplayMessages, get_channel: GetChannel
) -> None:
    before = list(get_channel("numbers").channel.graph())
    await replay("numbers", stored("[20]"))
    assert list(get_channel("numbers").channel.graph()) == before


def test_what_comes_out_is_compared(replay: ReplayMessages, tmp_path: Path) -> None:
    export_messages([Message("application/python", 20)], tmp_path / "x.jsonl")
    replay("numbers", stored("[20]")).assert_matches(tmp_path / "x.jsonl", "sink")
    with pytest.raises(AssertionError, match="payload: expected 20, got 21"):
        replay("numbers", stored("[21]")).assert_matches(tmp_path / "x.jsonl", "sink")


def test_failed_messages_fail_the_comparison(
    replay: ReplayMessages, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match=r"numbers\.limit: ValueError\('unlucky'"):
        replay("numbers", stored("[13]")).assert_matches(tmp_path / "x.jsonl")


async def test_an_unknown_node_is_told(replay: ReplayMessages) -> None:
    result = await replay("numbers", stored("[20]"))
    with pytest.raises(UsageError, match="did you mean 'limit'"):
        result.outputs("limits")
