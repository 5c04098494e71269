"""Operations are remembered, and go on where the end of a process has cut them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.engine import Engine
from pichannels.errors import UsageError
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.project import Project
from pichannels.ui.commands import CountNeeded
from pichannels.ui.console import Console
from pichannels.ui.links import Place
from pichannels.ui.operation_store import OperationStore
from pichannels.ui.operations import Operation
from pichannels.ui.roles import Principal, Role
from tests.ui.apps import make_console

ANN = Principal("ann", Role.ADMIN)
WANTED = {"channel": "orders", "state": "processed", "text": "order"}


class Sink(BaseNode):
    """Takes as many as it may; then it waits."""

    def __init__(self) -> None:
        super().__init__(name="sink")
        self.got: list[str] = []
        self.may = asyncio.Semaphore(5)
        self.waits = asyncio.Event()

    async def process(self, msg: Message) -> Message:
        if self.may.locked():
            self.waits.set()
        await self.may.acquire()
        self.got.append(msg.payload)
        return msg


@asynccontextmanager
async def instance(folder: Path, sink: Sink) -> AsyncIterator[Engine]:
    factory = SQLiteMessageStoreFactory()
    channel = BaseChannel("orders", message_store_factory=factory, drain_timeout=0.1)
    async with Engine(Project([channel.add(sink)]), data_dir=folder / "data") as engine:
        yield engine


@asynccontextmanager
async def pages(folder: Path) -> AsyncIterator[Console]:
    place = Place(name="plant", data_dir=str(folder / "data"))
    console = await make_console(folder, [place])
    await console.open()
    try:
        yield console
    finally:
        await console.close()


async def begun(console: Console, sink: Sink) -> Operation:
    """A replay of five messages, two of which are done."""
    begin = console.commands.begin
    made = await begin(ANN, "plant", "replay", WANTED, 5)
    await sink.waits.wait()
    return made


async def go_on(folder: Path, sink: Sink, id: str) -> Operation:
    """The operation when it has gone on to its end."""
    async with pages(folder) as console:
        commands = console.commands
        cut = commands.operations.get(id)
        assert (cut.state, cut.user, cut.total) == ("cut", "ann", 5)
        with pytest.raises(CountNeeded) as needed:
            await commands.resume(ANN, id)
        sink.may = asyncio.Semaphore(9)
        made = await commands.resume(ANN, id, needed.value.count)
        with pytest.raises(UsageError, match="does not go on"):
            await commands.resume(ANN, id, needed.value.count)
        return await commands.operations.wait(made.id)


def allow(sink: Sink) -> None:
    sink.got.clear()
    sink.waits.clear()
    sink.may.release()
    sink.may.release()


async def give(engine: Engine) -> None:
    channel = engine.project.channel("orders")
    for number in range(5):
        await channel.accept(Message(payload=f"order {number}"))
    await channel.drain()


ALL = [f"order {number}" for number in range(5)]


async def test_what_the_end_of_the_pages_cuts_goes_on_and_does_nothing_twice(
    tmp_path: Path,
) -> None:
    sink = Sink()
    async with instance(tmp_path, sink) as engine:
        await give(engine)
        allow(sink)
        async with pages(tmp_path) as console:
            made = await begun(console, sink)
        ended = await go_on(tmp_path, sink, made.id)
    assert (ended.state, ended.total, ended.continues) == ("done", 3, made.id)
    assert sink.got == ALL


async def test_what_the_end_of_the_instance_cuts_goes_on_after_its_start(
    tmp_path: Path,
) -> None:
    sink = Sink()
    async with pages(tmp_path) as console:
        async with instance(tmp_path, sink) as engine:
            await give(engine)
            allow(sink)
            made = await begun(console, sink)
        await console.commands.operations.wait(made.id)
    other = Sink()
    async with instance(tmp_path, other):
        # The one that was under way runs again by itself, as all that is accepted.
        ended = await go_on(tmp_path, other, made.id)
    assert ended.state == "done"
    assert sorted(set(sink.got + other.got)) == ALL
    assert len(sink.got + other.got) <= len(ALL) + 1


def leave(folder: Path, id: str) -> None:
    """What a process has kept that is in the midst of an import."""
    left = Operation(
        id=id, instance="plant", action="import", user="ann", started="2026-01-01"
    )
    store = OperationStore(folder / "ui" / "operations.sqlite", 9)
    store.save(id, msgspec.json.encode(left), {"channel": "orders"})
    store.close()


async def test_what_a_crash_of_the_pages_leaves_is_told_as_cut(tmp_path: Path) -> None:
    await asyncio.to_thread(leave, tmp_path, "x1")
    async with pages(tmp_path) as console:
        found: Any = console.commands.operations.get("x1")
        (entry,) = (await asyncio.to_thread(console.audit.find)).entries
        with pytest.raises(UsageError, match="begin it again"):
            await console.commands.resume(ANN, "x1")
    assert (found.state, found.ended is not None) == ("cut", True)
    assert (entry.action, entry.result, entry.user) == ("import", "cut", "ann")


async def test_what_goes_on_in_other_pages_is_not_cut(tmp_path: Path) -> None:
    async with pages(tmp_path):
        await asyncio.to_thread(leave, tmp_path, "x2")
        async with pages(tmp_path) as other:
            assert other.commands.operations.get("x2").state == "running"
