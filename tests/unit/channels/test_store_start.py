"""A channel whose message store is away at its start."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from msgstore.memory import MemoryMessageStore
from nodes.publish import Call
from pichannels.channels import BaseChannel
from pichannels.config import Config
from pichannels.engine import Engine, StartError
from pichannels.errors import ChannelPaused, NotConnected, SettingsError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.project import Project
from pichannels.store import MessageStoreFactory


class Distant(MessageStoreFactory):
    """A store behind a network; `error` is why it cannot be reached."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.store = Store(self)

    def get_store(self, store_id: str) -> Store:
        return self.store


class Store(MemoryMessageStore):
    def __init__(self, factory: Distant) -> None:
        super().__init__("a", 100)
        self.factory = factory

    async def start(self) -> None:
        if self.factory.error is not None:
            raise self.factory.error
        await super().start()


def away() -> Distant:
    return Distant(NotConnected("db.example.com", "connection refused"))


def engine_of(channel: BaseChannel, folder: Path) -> Engine:
    return Engine(Project([channel], Config()), data_dir=folder)


async def test_the_instance_starts_and_tells(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine_of(
        BaseChannel("a", message_store_factory=away()), tmp_path
    ) as engine:
        status = engine.status()
    assert (status.channels[0].state, status.is_ready) == ("store waiting", False)
    assert "Start its server, or look at the settings" in caplog.text


async def test_what_comes_is_accepted_and_runs_when_the_store_is_there(
    tmp_path: Path,
) -> None:
    seen: list[int] = []
    factory = away()
    channel = BaseChannel("a", message_store_factory=factory)
    channel.add(Call(seen.append, what="payload"))
    async with engine_of(channel, tmp_path) as engine:
        events = engine.events.follow()
        for number in range(3):
            await channel.accept(Message(payload=number))
        assert (seen, engine.status().channels[0].unsettled) == ([], 3)
        factory.error = None
        while (await anext(events)).name != "store.connected":
            pass
        await channel.drain()
        assert (seen, await factory.store.total()) == ([0, 1, 2], 3)
        assert engine.status().is_ready


async def test_what_came_runs_also_after_a_stop_without_the_store(
    tmp_path: Path,
) -> None:
    factory, seen = away(), list[str]()
    for _ in range(2):
        channel = BaseChannel("a", message_store_factory=factory)
        channel.add(Call(seen.append, what="payload"))
        async with engine_of(channel, tmp_path):
            if factory.error is not None:
                await channel.accept(Message(payload="x"))
            factory.error = None
    assert seen == ["x"]


async def test_who_waits_for_a_result_is_told_that_the_message_is_stored(
    tmp_path: Path,
) -> None:
    channel = BaseChannel("a", message_store_factory=away())
    async with engine_of(channel, tmp_path):
        with pytest.raises(ChannelPaused) as refused:
            await channel.handle(Message(payload=1))
    assert refused.value.is_stored


async def test_a_fork_whose_store_is_away_holds_the_whole_channel(
    tmp_path: Path,
) -> None:
    channel = BaseChannel("a")
    channel.fork("copy", message_store_factory=away())
    async with engine_of(channel, tmp_path) as engine:
        found = [(each.name, each.state) for each in engine.status().channels]
    assert found == [("a", "store waiting"), ("a.copy", "store waiting")]


async def test_a_paused_channel_stays_paused_when_the_store_comes(
    tmp_path: Path,
) -> None:
    factory = away()
    channel = BaseChannel("a", message_store_factory=factory)
    async with engine_of(channel, tmp_path) as engine:
        events = engine.events.follow()
        await engine.pause_channel("a")
        factory.error = None
        while (await anext(events)).name != "store.connected":
            pass
        assert engine.status().channels[0].state == "paused"


@pytest.mark.parametrize(
    "error", [SettingsError("no such user"), OSError("the disk is gone")]
)
async def test_what_time_does_not_heal_keeps_an_instance_from_starting(
    tmp_path: Path, error: Exception
) -> None:
    engine = engine_of(BaseChannel("a", message_store_factory=Distant(error)), tmp_path)
    with pytest.raises(StartError, match=str(error)):
        await engine.start()


async def test_without_a_journal_the_channel_does_not_start() -> None:
    channel = BaseChannel("a", message_store_factory=away())
    with pytest.raises(NotConnected):
        await channel.start()


async def test_a_stop_ends_the_waiting(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.open()
    channel = BaseChannel("a", message_store_factory=away())
    channel.attach(journal=journal)
    await channel.start()
    await channel.stop()
    left = [task.get_name() for task in asyncio.all_tasks()]
    await journal.close()
    assert "a: message store" not in left and not channel.is_store_waiting
