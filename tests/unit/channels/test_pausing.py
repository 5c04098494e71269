"""Paused channels: they receive and store, and process nothing before they go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.channels.gate import Gate
from pichannels.delivery import Outcome
from pichannels.errors import (
    ChannelPaused,
    ChannelStopped,
    PauseChannel,
    RetryLater,
    UsageError,
)
from pichannels.events import Event
from pichannels.journal import Journal
from pichannels.lifecycle import Status
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from pichannels.states import State


class Seen(BaseNode):
    """Remembers the payloads; `reached` waits for so many."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.payloads: list[Any] = []
        self._came = asyncio.Event()

    def process(self, msg: Message) -> Message:
        self.payloads.append(msg.payload)
        self._came.set()
        return msg

    async def reached(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.payloads) < count:
                self._came.clear()
                await self._came.wait()


class Door(BaseNode):
    """Lets messages pass when it is open."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = asyncio.Event()
        self.open = asyncio.Event()

    async def process(self, msg: Message) -> Message:
        self.entered.set()
        await self.open.wait()
        return msg


class Fails(BaseNode):
    """Raises the errors one after the other, then passes messages on."""

    def __init__(self, *errors: Exception, **options: Any) -> None:
        super().__init__(**options)
        self.errors = list(errors)
        self.tried: list[Any] = []
        self.came = asyncio.Event()

    def process(self, msg: Message) -> Message:
        self.tried.append(msg.payload)
        self.came.set()
        if self.errors:
            raise self.errors.pop(0)
        return msg


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = Journal(tmp_path / "journal.db", durability="normal")
    await journal.open()
    yield journal
    await journal.close()


@asynccontextmanager
async def started(
    journal: Journal | None, *nodes: BaseNode, **options: Any
) -> AsyncIterator[BaseChannel]:
    channel = BaseChannel("boiler", **{"drain_timeout": 5.0, **options})
    channel.add(*nodes)
    channel.attach(journal=journal)
    await channel.start()
    try:
        yield channel
    finally:
        await channel.stop()


async def put(channel: BaseChannel, *payloads: Any) -> None:
    for payload in payloads:
        await channel.accept(Message(payload=payload))


def becoming(channel: BaseChannel, status: str) -> asyncio.Future[None]:
    """Done when its state changes to this one."""
    found = asyncio.get_running_loop().create_future()

    def listen(event: Event) -> None:
        if event.facts.get("new") == status and not found.done():
            found.set_result(None)

    channel.events.subscribe(listen)
    return found


# On command


async def test_what_comes_is_stored_and_runs_on_resume(journal: Journal) -> None:
    seen = Seen()
    async with started(journal, seen) as channel:
        await channel.pause()
        await put(channel, "a", "b")
        await asyncio.wait_for(channel.drain(), 5)
        stored = journal.count_unsettled("boiler")
        assert (channel.status, seen.payloads, stored) == (Status.PAUSED, [], 2)
        await channel.resume()
        await channel.drain()
        assert (channel.status, seen.payloads) == (Status.WAITING, ["a", "b"])


async def test_who_waits_for_a_result_is_told_that_it_is_stored(
    journal: Journal,
) -> None:
    seen = Seen()
    async with started(journal, seen) as channel:
        await channel.pause()
        with pytest.raises(ChannelPaused) as caught:
            await channel.handle(Message(payload="a"))
        await channel.resume()
        await channel.drain()
    assert (caught.value.is_stored, seen.payloads) == (True, ["a"])


async def test_without_a_journal_nothing_is_taken() -> None:
    async with started(None) as channel:
        await channel.pause()
        with pytest.raises(ChannelPaused, match="resume it") as caught:
            await channel.run(Message())
        await channel.resume()
        await channel.handle(Message())
    assert (caught.value.is_stored, channel.processed) == (False, 1)


async def test_a_channel_that_was_paused_starts_paused(journal: Journal) -> None:
    seen = Seen()
    async with started(journal) as channel:
        await channel.pause()
        await put(channel, "a")
    async with started(journal, seen) as channel:
        await put(channel, "b")
        paused = (channel.status, list(seen.payloads))
        await channel.resume()
        await channel.restart()
        await channel.drain()
    assert (paused, seen.payloads) == ((Status.PAUSED, []), ["a", "b"])


async def test_a_stopped_channel_can_be_told_how_to_start(journal: Journal) -> None:
    channel = BaseChannel("boiler")
    channel.attach(journal=journal)
    await channel.pause()
    await channel.start()
    assert channel.status is Status.PAUSED
    await channel.stop()


async def test_what_is_in_flight_is_finished_and_the_rest_waits(
    journal: Journal,
) -> None:
    door, seen = Door(), Seen()
    async with started(journal, door, seen) as channel:
        await put(channel, "a", "b")
        await door.entered.wait()
        await channel.pause()
        door.open.set()
        await channel.drain()
        assert (seen.payloads, channel.in_memory) == (["a"], 1)


async def test_stopping_waits_for_nothing_that_only_is_stored(journal: Journal) -> None:
    async with started(journal, Fails(*[RetryLater(delay=60)] * 9)) as channel:
        await put(channel, "a", "b")
        await asyncio.sleep(0)
        await channel.pause()
        async with asyncio.timeout(5):
            await channel.stop()
    assert journal.count_unsettled("boiler") == 2


async def test_a_message_that_waits_for_another_try_waits_for_resume(
    journal: Journal,
) -> None:
    node = Fails(RetryLater(delay=0.01))
    async with started(journal, node) as channel:
        await channel.pause()
        await put(channel, "a")
        channel.gate.hold(False)
        await node.came.wait()
        channel.gate.hold()
        await asyncio.sleep(0.05)
        assert node.tried == ["a"]
        await channel.resume()
        await channel.drain()
        assert node.tried == ["a", "a"]


async def test_forks_with_a_store_of_their_own_pause_with_the_whole(
    journal: Journal,
) -> None:
    seen, channel = Seen(), BaseChannel("boiler")
    fork = channel.fork("beside", SQLiteMessageStoreFactory()).add(seen)
    channel.attach(journal=journal)
    await channel.start()
    await channel.pause()
    await fork.accept(Message(payload="a"))
    await asyncio.sleep(0.01)
    assert (fork.status, seen.payloads) == (Status.PAUSED, [])
    await channel.resume()
    await seen.reached(1)
    with pytest.raises(UsageError, match="as a part of 'boiler'"):
        await fork.pause()
    await channel.stop()


async def test_changes_are_told(journal: Journal) -> None:
    told: list[str] = []
    async with started(journal) as channel:
        channel.events.subscribe(lambda event: told.append(event.facts["new"]))
        await channel.pause()
        await channel.pause()
        await channel.resume()
    assert told == ["paused", "waiting", "stopping", "stopped"]


async def test_all_that_came_under_load_is_processed_once_and_in_order(
    journal: Journal,
) -> None:
    seen = Seen()
    async with started(journal, seen, window=20) as channel:

        async def send() -> None:
            for number in range(300):
                try:
                    await put(channel, number)
                except ChannelStopped:
                    return
                await asyncio.sleep(0)

        sending = asyncio.create_task(send())
        for command in (channel.pause, channel.resume) * 3:
            await asyncio.sleep(0.005)
            await command()
        await sending
        await channel.pause()
        await put(channel, 300)
        await channel.restart()
        await channel.resume()
        await channel.drain()
    assert seen.payloads == list(range(301))


# Storing only


async def test_a_channel_that_only_stores_starts_paused_each_time(
    journal: Journal,
) -> None:
    seen = Seen()
    async with started(journal, seen, store_only=True) as channel:
        await put(channel, "a")
        await channel.resume()
        await channel.drain()
        await channel.restart()
        assert (channel.status, seen.payloads) == (Status.PAUSED, ["a"])


async def test_storing_only_needs_a_journal() -> None:
    with pytest.raises(UsageError, match="has no journal"):
        await BaseChannel("boiler", store_only=True).start()


# By a node


async def test_a_node_pauses_the_channel_until_its_message_has_gone_through(
    journal: Journal,
) -> None:
    node = Fails(PauseChannel("down", 0.02), PauseChannel("down", 0.02))
    options = {"lanes": 2, "key": lambda msg: msg.payload}
    async with started(journal, node, **options) as channel:
        pausing, going_on = becoming(channel, "paused"), becoming(channel, "waiting")
        await put(channel, "a")
        await pausing
        await put(channel, "b", "c", "d")
        with pytest.raises(ChannelPaused):
            await channel.handle(Message(payload="e"))
        await going_on
        await channel.drain()
    assert node.tried[:3] == ["a"] * 3 and sorted(node.tried[3:]) == list("bcde")


async def test_a_handled_message_that_is_kept_runs_again_by_itself(
    journal: Journal,
) -> None:
    node, store = Fails(PauseChannel("down", 0.1)), SQLiteMessageStoreFactory()
    async with started(journal, node, message_store_factory=store) as channel:
        going_on = becoming(channel, "waiting")
        with pytest.raises(ChannelPaused) as caught:
            await channel.handle(Message(payload="a"))
        assert (caught.value.is_stored, channel.status) == (True, Status.PAUSED)
        await going_on
        await channel.drain()
        states = [r.state for r in await journal.search("boiler")]
    assert (node.tried, states, channel.failed) == (["a", "a"], [State.PROCESSED], 0)


async def test_a_handled_message_that_is_not_kept_is_its_senders(
    journal: Journal,
) -> None:
    async with started(journal, Fails(PauseChannel("down", 0.1))) as channel:
        going_on = becoming(channel, "waiting")
        outcome: Outcome = await channel.run(Message(payload="a"))
        assert channel.status is Status.PAUSED
        await going_on
    assert isinstance(outcome.error, PauseChannel)


async def test_a_message_that_is_given_up_lets_the_channel_go_on(
    journal: Journal,
) -> None:
    node = Fails(*[PauseChannel("down", 0.01)] * 2)
    policy = RetryPolicy(attempts=2)
    async with started(journal, node, retry=policy) as channel:
        going_on = becoming(channel, "waiting")
        await put(channel, "a")
        await going_on
        await put(channel, "b")
        await channel.drain()
    assert (node.tried, channel.failed) == (["a", "a", "b"], 1)


async def test_errors_that_are_named_pause_the_channel(journal: Journal) -> None:
    node = Fails(ValueError("wrong"), OSError("no route"), pause_on=(OSError,))
    async with started(journal, node, retry=RetryPolicy(initial=0.01)) as channel:
        going_on = becoming(channel, "waiting")
        await put(channel, "a", "b")
        await going_on
        await channel.drain()
    assert (node.tried, channel.failed) == (["a", "b", "b"], 1)


async def test_a_gate_of_a_part_is_closed_with_the_whole() -> None:
    whole = Gate()
    part = Gate(whole)
    whole.hold()
    part.close()
    whole.hold(False)
    assert (whole.is_closed, part.is_closed, part.is_held) == (False, True, False)
    part.open()
    assert not part.is_closed
