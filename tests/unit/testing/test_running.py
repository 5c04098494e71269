"""A project under test: sources stay off, mocks stay on, nothing real is touched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pichannels.errors import Rejected, UsageError
from pichannels.message import Message
from pichannels.store import State
from pichannels.testing import ChannelUnderTest, ProjectUnderTest

GetChannel = Callable[[str], ChannelUnderTest]


@pytest.fixture
def numbers(get_channel: GetChannel) -> ChannelUnderTest:
    channel = get_channel("numbers")
    channel.mute("sink", "aside_sink")
    return channel


def msg(text: str) -> Message:
    return Message("application/json", text)


async def test_a_message_goes_through_without_source_and_sink(
    numbers: ChannelUnderTest,
) -> None:
    assert (await numbers.handle(msg("[20]"))).payload == 20


def test_a_test_without_event_loop_waits(numbers: ChannelUnderTest) -> None:
    assert numbers.handle_and_wait(msg("[20]")).payload == 20
    assert numbers.handle_and_wait(msg("[30]")).payload == 30


async def test_an_outcome_tells_what_became_of_it(numbers: ChannelUnderTest) -> None:
    assert (await numbers.run(msg("[1]"))).state is State.DROPPED
    assert (await numbers.run(msg("[13]"))).node == "numbers.limit"


async def test_rejection_is_raised(numbers: ChannelUnderTest) -> None:
    with pytest.raises(Rejected, match="no number"):
        await numbers.handle(msg('["x"]'))


async def test_messages_are_counted(numbers: ChannelUnderTest) -> None:
    for text in ("[20]", "[1]", '["x"]', "[13]"):
        await numbers.run(msg(text))
    counts = numbers.processed, numbers.dropped, numbers.rejected, numbers.failed
    assert (numbers.received, counts) == (4, (1, 1, 1, 1))


async def test_nodes_remember_what_came_and_left(numbers: ChannelUnderTest) -> None:
    await numbers.handle(msg("[20]"))
    decode = numbers.get_node("decode")
    came, left = decode.last_input(), decode.last_output()
    assert came and left and (came.payload, left.payload) == ("[20]", [20])


async def test_getting_a_channel_again_keeps_its_mocks(
    numbers: ChannelUnderTest, get_channel: GetChannel
) -> None:
    numbers.get_node("decode").mock(output=Message(payload=[50]))
    assert (await get_channel("numbers").handle(msg("x"))).payload == 50


@pytest.mark.parametrize("turn", [1, 2])
async def test_each_test_has_the_project_for_itself(
    get_channel: GetChannel, turn: int
) -> None:
    pairs = get_channel("pairs")
    pairs.get_node("pair").mock(output=lambda msg: msg)
    await pairs.handle(Message(payload=turn))
    assert pairs.processed == 1


async def test_what_is_accepted_is_processed(numbers: ChannelUnderTest) -> None:
    await numbers.accept(msg("[20]"))
    await numbers.drain()
    assert numbers.processed == 1


def test_accepting_works_without_event_loop(numbers: ChannelUnderTest) -> None:
    numbers.accept_and_wait(msg("[1]"))
    assert numbers.dropped == 1


async def test_a_sub_channel_is_tested_by_its_full_name(
    numbers: ChannelUnderTest, get_channel: GetChannel
) -> None:
    aside = get_channel("numbers.aside")
    assert (await aside.handle(Message(payload=1))).payload == 1


async def test_stores_with_files_of_their_own_are_left_out(
    get_channel: GetChannel,
) -> None:
    assert get_channel("filed").channel.message_store is None
    assert get_channel("pairs").channel.message_store is not None
    assert get_channel("numbers").channel.message_store is not None


def test_an_unknown_channel_is_told(get_channel: GetChannel) -> None:
    with pytest.raises(UsageError, match="no channel 'number'; did you mean 'numbers'"):
        get_channel("number")


def test_an_unknown_node_is_told(numbers: ChannelUnderTest) -> None:
    with pytest.raises(UsageError, match="no node 'sing'; did you mean 'sink'"):
        numbers.get_node("sing")


async def test_waiting_inside_an_event_loop_is_told(numbers: ChannelUnderTest) -> None:
    with pytest.raises(UsageError, match="await this instead"):
        numbers.handle_and_wait(msg("[20]"))


def test_a_second_event_loop_is_told(numbers: ChannelUnderTest) -> None:
    numbers.handle_and_wait(msg("[20]"))
    with pytest.raises(UsageError, match="another event loop"):
        asyncio.run(numbers.handle(msg("[20]")))


def test_closing_removes_what_was_kept(pichannels_project: ProjectUnderTest) -> None:
    channel = pichannels_project.get_channel("numbers")
    channel.mute("sink", "aside_sink")
    channel.handle_and_wait(msg("[20]"))
    journal = channel.channel.journal
    pichannels_project.close()
    assert journal is not None and not journal.path.parent.exists()


async def test_a_closed_project_is_told(pichannels_project: ProjectUnderTest) -> None:
    async with pichannels_project as project:
        channel = project.get_channel("pairs")
    with pytest.raises(UsageError, match="is closed"):
        await channel.handle(Message(payload=1))


def test_all_that_is_under_way_is_finished_and_failures_are_told(
    numbers: ChannelUnderTest, finish_all_tasks: Callable[[], list[dict[str, Any]]]
) -> None:
    numbers.get_node("aside_sink").mock(output=_failing)
    numbers.owner.wait(numbers.accept(msg("[13]")))
    told = {(each["channel"], each["error"]) for each in finish_all_tasks()}
    assert told == {
        ("numbers", "unlucky"),
        ("numbers.aside", "no room"),
    }
    assert finish_all_tasks() == []


def _failing(msg: Message) -> Message:
    raise OSError("no room")


async def test_what_never_ends_is_told(pichannels_project: ProjectUnderTest) -> None:
    await pichannels_project.get_channel("pairs").accept(Message(payload=1))
    with pytest.raises(UsageError, match="'pairs' was not settled within 0.05 s"):
        await pichannels_project.finish_all_tasks(timeout=0.05)


def test_a_message_is_injected_at_a_node(numbers: ChannelUnderTest) -> None:
    assert numbers.inject_and_wait(Message(payload=20), "limit").payload == 20
    assert numbers.get_node("decode").processed == 0


def test_a_reset_forgets_mocks_and_counts(
    numbers: ChannelUnderTest, pichannels_project: ProjectUnderTest
) -> None:
    numbers.get_node("decode").mock(output=Message(payload=[50]))
    numbers.handle_and_wait(msg("[20]"))
    pichannels_project.reset()
    numbers.mute("sink", "aside_sink")
    decode = numbers.get_node("decode")
    assert (decode.processed, decode.last_input()) == (0, None)
    assert numbers.handle_and_wait(msg("[20]")).payload == 20
    assert decode.processed == 1
