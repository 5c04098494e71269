"""The chain with every message durable before its first node, until it is settled.

The floor writes the same messages with sqlite3 itself, a thousand to a commit, and
the peer keeps each in a file.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks import payloads
from benchmarks.chain import check, user_nodes
from benchmarks.measure import Aim, Benchmark, Case, Measured, Stopwatch
from benchmarks.options import Options
from benchmarks.peer import NAME, Peer, find_peer
from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.errors import Dropped
from pichannels.journal import Journal
from pichannels.message import Message

__all__ = ["prepare"]

WINDOW: Final = 1000
"""How many `accept` calls wait at the same time."""

_FLOOR: Final = f"sqlite3 in a loop, {WINDOW:,} a commit"
_PEER: Final = f"{NAME}, FileMessageStore"

_TABLE: Final = """
CREATE TABLE message (seq INTEGER PRIMARY KEY, state INTEGER, ticks INTEGER,
    uuid TEXT, data BLOB)
"""


@dataclass(frozen=True, slots=True)
class Ours:
    """The cases on our channel; files are below `directory`."""

    directory: Path

    @asynccontextmanager
    async def _channel(self) -> AsyncIterator[tuple[BaseChannel, list[Any]]]:
        with TemporaryDirectory(dir=self.directory) as folder:
            journal = Journal(Path(folder, "journal.db"))
            channel = BaseChannel(
                "bench", message_store_factory=SQLiteMessageStoreFactory()
            )
            published = user_nodes(channel)
            channel.attach(journal=journal)
            await journal.open()
            try:
                await channel.start()
                yield channel, published
                await channel.stop()
            finally:
                await journal.close()

    async def accept(self, count: int) -> Measured:
        """Through `accept`, `WINDOW` at a time, until the last one is settled."""
        async with self._channel() as (channel, published):
            messages = payloads.messages(count)
            with Stopwatch() as watch:
                await accept_all(channel, messages)
                await channel.drain()
                assert channel.journal is not None
                await channel.journal.flush()
            check(published, count)
        return watch.measured(count)

    async def handle(self, count: int) -> Measured:
        """Through `handle`, each when the one before is settled."""
        async with self._channel() as (channel, published):
            messages = payloads.messages(count)
            with Stopwatch() as watch:
                for msg in messages:
                    await channel.handle(msg)
            check(published, count)
        return watch.measured(count)

    async def floor(self, count: int) -> Measured:
        """The same rows and steps without channel and journal."""
        with TemporaryDirectory(dir=self.directory) as folder:
            channel = BaseChannel("bench")
            published = user_nodes(channel)
            functions = [node.process for node in channel.nodes()]
            messages = payloads.messages(count)
            connection = open_file(Path(folder, "floor.db"))
            with Stopwatch() as watch:
                for batch in batches(messages):
                    store(connection, batch)
                    settle(connection, [run(functions, msg) for msg in batch])
            connection.close()
            check(published, count)
        return watch.measured(count)


async def accept_all(channel: BaseChannel, messages: Iterable[Message]) -> None:
    """Until all are durable, never more than `WINDOW` on the way."""
    waiting = iter(messages)

    async def accept() -> None:
        for msg in waiting:
            await channel.accept(msg)

    async with asyncio.TaskGroup() as group:
        for _ in range(WINDOW):
            group.create_task(accept())


def open_file(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(_TABLE)
    return connection


def batches(messages: list[Message]) -> Iterator[list[Message]]:
    for start in range(0, len(messages), WINDOW):
        yield messages[start : start + WINDOW]


def store(connection: sqlite3.Connection, batch: list[Message]) -> None:
    """Number the messages and commit them as pending."""
    rows = [(msg.ticks, msg.uuid, msg.encode()) for msg in batch]
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO message VALUES (NULL, 0, ?, ?, ?)", rows)
    connection.execute("COMMIT")


def run(functions: Iterable[Any], msg: Message) -> int:
    """The state after all functions."""
    try:
        for function in functions:
            msg = function(msg)
    except Dropped:
        return 2
    return 1


def settle(connection: sqlite3.Connection, states: list[int]) -> None:
    """Commit the states of the messages stored last."""
    (last,) = connection.execute("SELECT max(seq) FROM message").fetchone()
    first = last - len(states) + 1
    connection.execute("BEGIN")
    connection.executemany(
        "UPDATE message SET state = ? WHERE seq = ?",
        zip(states, range(first, last + 1), strict=True),
    )
    connection.execute("COMMIT")


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """The cases, that of the peer too where it can be had."""
    ours = Ours(options.directory)
    many = options.count(40_000)
    cases = [
        Case(_FLOOR, ours.floor, many),
        Case(
            f"accept, {WINDOW:,} at a time",
            ours.accept,
            many,
            Aim(_FLOOR),
            Aim(_PEER, 50),
        ),
        Case(
            "handle, one by one",
            ours.handle,
            options.count(4_000),
            Aim(_FLOOR),
            Aim(_PEER),
        ),
    ]
    notes = []
    if options.with_peer:
        peer = await find_peer()
        if isinstance(peer, Peer):
            cases.append(_peer_case(peer, options))
        else:
            notes.append(peer)
    yield Benchmark(
        "durable", "Chain of four steps, durable", "messages", ("wall",), cases, notes
    )


def _peer_case(peer: Peer, options: Options) -> Case:
    async def run_peer(count: int) -> Measured:
        with TemporaryDirectory(dir=options.directory) as folder:
            return await peer.case("durable", directory=folder)(count)

    return Case(_PEER, run_peer, options.count(1_000))
