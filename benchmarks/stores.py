"""Search in, and replay from, message stores with very many messages.

Each store is filled once; then pages are searched by time, all texts are looked through
for one that is rare, and messages are taken out one by one and run through a channel.
The peer does the same with few messages, as its stores read all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks import payloads
from benchmarks.measure import Aim, Benchmark, Case, Measured, Stopwatch
from benchmarks.options import Options
from benchmarks.peer import NAME, Peer, find_peer
from msgstore.null import NullMessageStoreFactory
from msgstore.postgres import PostgreSQLMessageStoreFactory
from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes.publish import Call
from pichannels.channels import BaseChannel
from pichannels.message import Message
from pichannels.retention import Retention
from pichannels.states import replayed
from pichannels.store import MessageStore, MessageStoreFactory
from pichannels.values import TICKS_PER_SECOND, format_ticks, parse_ticks
from tests.servers.postgres import PostgresServer, why_missing

__all__ = ["prepare"]

SIZES: Final = (100_000, 1_000_000)
PEER_SIZE: Final = 2_000
PAGE: Final = 50
"""Messages of one search by time."""
RARE: Final = "overpressure in line 7"

_WINDOW: Final = 2_000
_BEGIN: Final = parse_ticks("2026-03-01T00:00:00Z")
_EVERY: Final = TICKS_PER_SECOND // 10
_IN_ERROR: Final = 20
_EVERYTHING: Final = Retention(age=None, size=None, states={})
_PEER_STORES: Final = {"file": "FileMessageStore", "database": "DatabaseMessageStore"}


@dataclass(frozen=True, slots=True)
class Filled:
    """A started store with so many messages, a tenth of a second apart."""

    name: str
    store: MessageStore
    size: int
    ids: list[str]

    async def page(self, count: int) -> Measured:
        """So many searches for a page behind an instant, anywhere."""
        chance, found = Random(7), 0
        moments = [chance.randrange(self.size - PAGE) for _ in range(count)]
        with Stopwatch() as watch:
            for moment in moments:
                begin = format_ticks(_BEGIN + moment * _EVERY)
                found += len(await self.store.search(count=PAGE, start_dt=begin))
        _check(found, count * PAGE)
        return watch.measured(found)

    async def text(self, count: int) -> Measured:
        """So many searches for a text that one message of all has."""
        found = 0
        with Stopwatch() as watch:
            for _ in range(count):
                found += len(await self.store.search(text=RARE))
        _check(found, count)
        return watch.measured(count * self.size)

    async def replay(self, count: int) -> Measured:
        """So many messages, taken out by their ids, through a channel."""
        seen: list[Any] = []
        channel = BaseChannel("bench", message_store_factory=NullMessageStoreFactory())
        channel.add(Call(seen.append))
        await channel.start()
        ids = Random(7).sample(self.ids, count)
        with Stopwatch() as watch:
            for id in ids:
                await channel.handle(replayed(await self.store.get(id)))
        await channel.stop()
        _check(len(seen), count)
        return watch.measured(count)


def _check(found: int, wanted: int) -> None:
    if found != wanted:
        raise SystemExit(f"{found} of {wanted} messages were found")


@asynccontextmanager
async def filled(
    name: str, factory: MessageStoreFactory, size: int
) -> AsyncIterator[Filled]:
    """A store of a factory with so many messages, one in 20 in error."""
    store = factory.get_store(f"bench {size}")
    await store.start()
    ids: list[str] = []
    try:
        for first in range(0, size, _WINDOW):
            window = range(first, min(first + _WINDOW, size))
            ids += await asyncio.gather(*(_keep(store, n, size) for n in window))
        yield Filled(f"{name}, {size:,}", store, size, ids)
    finally:
        await store.stop()


async def _keep(store: MessageStore, number: int, size: int) -> str:
    text = payloads.TEXTS[number % len(payloads.TEXTS)]
    # In the last tenth: who reads from the beginning reads nearly all.
    msg = Message(payload=f"{text} {RARE}" if number == size * 19 // 20 else text)
    msg.ticks = _BEGIN + number * _EVERY
    id = await store.store(msg)
    assert id is not None
    if number % _IN_ERROR:
        await store.change_message_state(id, "processed")
    else:
        await store.change_message_state(id, "error", {"err_msg": "no answer"})
    return id


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """The cases, those of the peer too where it can be had."""
    cases: list[Case] = []
    notes: list[str] = []
    peer = await find_peer() if options.with_peer else None
    if isinstance(peer, Peer):
        cases += _peer_cases(peer, options)
    elif peer is not None:
        notes.append(peer)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(dir=options.directory)))
        kinds: dict[str, Callable[[int], MessageStoreFactory]] = {
            "SQLite": lambda size: SQLiteMessageStoreFactory(
                folder / f"{size}.db", retention=_EVERYTHING
            )
        }
        if reason := why_missing():
            notes.append(f"PostgreSQL is left out: {reason}")
        else:
            server = PostgresServer()
            stack.callback(server.close)
            await asyncio.to_thread(server.start)
            kinds["PostgreSQL"] = lambda size: PostgreSQLMessageStoreFactory(
                server.url(), schema=f"bench {size}", retention=None
            )
        for size in map(options.count, SIZES):
            for name, factory in kinds.items():
                opened = filled(name, factory(size), size)
                cases += _cases(await stack.enter_async_context(opened), options)
        yield Benchmark("store", "Message stores", "messages", ("wall",), cases, notes)


def _cases(one: Filled, options: Options) -> list[Case]:
    return [
        Case(
            f"{what}: {one.name}",
            run,
            count,
            peer=Aim(_peer_name(what, "file")) if options.with_peer else None,
        )
        for what, run, count in (
            ("pages by time", one.page, options.count(400)),
            ("a rare text", one.text, 1),
            ("replay", one.replay, min(options.count(4_000), one.size)),
        )
    ]


def _peer_name(what: str, kind: str) -> str:
    return f"{what}: {NAME}, {_PEER_STORES[kind]}, {PEER_SIZE:,}"


def _peer_cases(peer: Peer, options: Options) -> list[Case]:
    cases = []
    for kind in _PEER_STORES:
        for what, case, count in (
            ("pages by time", "store_page", options.count(20)),
            ("a rare text", "store_text", 1),
            ("replay", "store_replay", options.count(400)),
        ):
            run = _peer_run(peer, case, kind, options)
            cases.append(Case(_peer_name(what, kind), run, count))
    return cases


def _peer_run(peer: Peer, case: str, kind: str, options: Options) -> Any:
    async def run(count: int) -> Measured:
        with TemporaryDirectory(dir=options.directory) as folder:
            size = max(options.count(PEER_SIZE), 2 * PAGE)
            facts = {"store": kind, "directory": folder, "size": size}
            return await peer.case(case, page=PAGE, rare=RARE, **facts)(count)

    return run
