"""Stopping at once, and stops that are given up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pichannels.channels import BaseChannel
from pichannels.errors import ChannelStopped
from pichannels.journal import Journal
from pichannels.lifecycle import Status
from pichannels.message import Message
from pichannels.node import BaseNode


class Stuck(BaseNode):
    """Never done with a message; its own stop takes as long as it is told."""

    def __init__(self, stops: bool = True) -> None:
        super().__init__()
        self.reached = asyncio.Event()
        self.stopping = asyncio.Event()
        self.is_stopped = False
        self._stops = stops

    async def process(self, msg: Message) -> Message:
        self.reached.set()
        await asyncio.Event().wait()
        return msg

    async def stop(self) -> None:
        self.stopping.set()
        if not self._stops:
            await asyncio.Event().wait()
        self.is_stopped = True


class Deaf(BaseChannel):
    """A source that does not end."""

    async def stop_source(self) -> None:
        await asyncio.Event().wait()


async def busy(channel: BaseChannel, node: Stuck) -> asyncio.Task[Message]:
    """A started channel with a message in the node."""
    await channel.start()
    handling = asyncio.create_task(channel.handle(Message()))
    await node.reached.wait()
    return handling


async def give_up(handling: asyncio.Task[Message]) -> None:
    handling.cancel()
    await asyncio.wait([handling])


async def test_an_abort_drains_nothing() -> None:
    node = Stuck()
    channel = BaseChannel("stuck", drain_timeout=3600).add(node)
    handling = await busy(channel, node)
    async with asyncio.timeout(5):
        await channel.abort()
    assert (channel.status, node.is_stopped) == (Status.STOPPED, True)
    await give_up(handling)


async def test_an_abort_ends_a_stop_that_drains() -> None:
    node = Stuck()
    channel = BaseChannel("stuck", drain_timeout=3600).add(node)
    handling = await busy(channel, node)
    stopping = asyncio.create_task(channel.stop())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await channel.abort()
        await stopping
    assert node.is_stopped
    await give_up(handling)


async def test_an_abort_reaches_sub_channels() -> None:
    node = Stuck()
    channel = BaseChannel("parent", drain_timeout=3600)
    fork = channel.fork("side").add(node)
    handling = await busy(channel, node)
    stopping = asyncio.create_task(channel.stop())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await channel.abort()
        await stopping
    assert (fork.status, node.is_stopped) == (Status.STOPPED, True)
    await asyncio.wait([handling])


async def test_an_abort_leaves_parts_that_do_not_stop() -> None:
    hanging, other = Stuck(stops=False), Stuck()
    channel = BaseChannel("stuck").add(other, hanging)
    await channel.start()
    stopping = asyncio.create_task(channel.stop())
    await hanging.stopping.wait()
    await channel.abort()
    await stopping
    assert (channel.status, other.is_stopped) == (Status.STOPPED, True)


async def test_an_abort_does_not_wait_for_the_source() -> None:
    node = Stuck()
    channel = Deaf("deaf").add(node)
    await channel.start()
    stopping = asyncio.create_task(channel.stop())
    await asyncio.sleep(0)
    await channel.abort()
    await stopping
    assert (channel.status, node.is_stopped) == (Status.STOPPED, True)


async def test_a_cancelled_stop_drains_nothing_and_stops_the_parts() -> None:
    node = Stuck()
    channel = BaseChannel("stuck", drain_timeout=3600).add(node)
    handling = await busy(channel, node)
    stopping = asyncio.create_task(channel.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait([stopping])
    assert stopping.cancelled()
    assert (channel.status, node.is_stopped) == (Status.STOPPED, True)
    await give_up(handling)


async def test_a_stop_that_is_cancelled_at_the_source_does_not_drain() -> None:
    node = Stuck()
    channel = Deaf("deaf", drain_timeout=3600).add(node)
    handling = await busy(channel, node)
    stopping = asyncio.create_task(channel.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait([stopping])
    assert channel.status is Status.STOPPED
    await give_up(handling)


async def test_an_aborted_channel_starts_and_drains_again() -> None:
    channel = BaseChannel("again")
    await channel.start()
    await channel.abort()
    with pytest.raises(ChannelStopped):
        await channel.handle(Message())
    await channel.start()
    assert (await channel.handle(Message(payload=1))).payload == 1
    await channel.stop()


async def test_aborting_a_stopped_channel_does_nothing() -> None:
    channel = BaseChannel("idle")
    await channel.abort()
    assert channel.status is Status.STOPPED


async def test_what_an_abort_cuts_off_runs_at_the_next_start(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.open()
    node = Stuck()
    channel = BaseChannel("stuck", drain_timeout=3600).add(node)
    channel.attach(journal=journal)
    await channel.start()
    await channel.accept(Message(payload=1))
    await node.reached.wait()
    assert channel.in_memory == 1
    await channel.abort()
    assert (channel.in_memory, journal.count_unsettled("stuck")) == (0, 1)
    await journal.close()


async def test_discarded_copies_are_counted() -> None:
    channel = BaseChannel("parent")
    fork = channel.fork("side", required=False)
    await channel.start()
    await fork.stop()
    await channel.handle(Message())
    assert (fork.discarded, channel.discarded) == (1, 0)
    await channel.stop()
