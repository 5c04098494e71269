"""Two instances, and a link that cuts, delays and stalls: both end with the same."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sqlite3
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels.remote import RemoteChannel
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.remote import Hub, HubServer, connect
from pichannels.retry import RetryPolicy
from pichannels.store import MessageStore
from pichannels.streaming import replay
from tests.servers.proxy import Proxy
from tests.strength import either

PROGRAM = Path(__file__).with_name("handing.py")
ROOT = PROGRAM.parents[2]
FAULTS = either(24, 6)
ITEMS = either(100_000, 10_000)
TAKEN = either(20_000, 5_000)
AT_ONCE = 1000
CUTS = 20
SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.05)
LONGEST = either(300, 180)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")


@contextmanager
def held_port() -> Iterator[int]:
    """A port that nobody else gets while the instance is away that listens there."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


class Instance:
    """One of the two, which is started again after each kill."""

    def __init__(self, folder: Path, role: str, mode: str, port: int) -> None:
        self.folder = folder / role
        self.folder.mkdir(parents=True)
        self._arguments = (str(self.folder), role, mode, str(port))
        self._process: Process | None = None

    async def start(self) -> None:
        await asyncio.to_thread((self.folder / "started").unlink, missing_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(PROGRAM), *self._arguments),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        await self.has("started")

    async def has(self, name: str) -> None:
        """Until there is a file of this name; the process is to run meanwhile."""
        while not await asyncio.to_thread((self.folder / name).exists):
            assert self._process is not None and self._process.returncode is None
            await asyncio.sleep(0.02)

    async def kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


class Plant:
    """The two, and the link between them."""

    def __init__(self, mode: str, folder: Path, proxy: Proxy, port: int) -> None:
        ends = {"push": ("site", "headquarters"), "pull": ("headquarters", "site")}
        asking, listening = ends[mode]
        made = {
            asking: Instance(folder, asking, mode, proxy.port),
            listening: Instance(folder, listening, mode, port),
        }
        self.site, self.headquarters = made["site"], made["headquarters"]
        self.proxy = proxy

    async def kill_site(self) -> None:
        await self.site.kill()
        await self.site.start()

    async def kill_headquarters(self) -> None:
        await self.headquarters.kill()
        await self.headquarters.start()

    async def cut(self) -> None:
        self.proxy.hang_up()

    async def delay(self) -> None:
        self.proxy.delay = {"asked": 0.02, "answered": 0.02}

    async def stall(self) -> None:
        self.proxy.swallow()
        await asyncio.sleep(1.3)
        self.proxy.heal()

    async def swallow_answers(self) -> None:
        self.proxy.swallow("answered")
        await asyncio.sleep(0.2)
        self.proxy.hang_up()
        self.proxy.heal()

    def faults(self, rng: random.Random) -> list[Callable[[], Any]]:
        """In any order, each of them at least once."""
        kinds = [
            *(self.kill_site, self.kill_headquarters, self.cut, self.delay),
            *(self.stall, self.swallow_answers),
        ]
        chosen = [*kinds, *rng.choices(kinds, k=max(FAULTS - len(kinds), 0))]
        rng.shuffle(chosen)
        return chosen


@pytest.mark.timeout(LONGEST)
async def test_site_and_headquarters_end_with_the_same(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201
    await asyncio.gather(
        *(hand_over(tmp_path / mode, mode, seed) for mode in ("push", "pull"))
    )
    for mode in ("push", "pull"):
        accepted = int((tmp_path / mode / "site" / "accepted").read_text())
        here = values(tmp_path / mode / "site")
        assert len(here) == 3 * accepted > 0
        assert here == values(tmp_path / mode / "headquarters")
        delivered = (tmp_path / mode / "headquarters" / "delivered").read_text()
        for tag in ("TI0", "TI1", "TI2"):
            lines = [x for x in delivered.splitlines() if x.startswith(tag)]
            expected = [f"{tag} {number}" for number in range(1, accepted + 1)]
            assert list(dict.fromkeys(lines)) == expected


async def hand_over(folder: Path, mode: str, seed: int) -> None:
    """Let the site hand over to headquarters while everything breaks."""
    rng = random.Random(f"{seed} {mode}")
    async with AsyncExitStack() as stack:
        port = stack.enter_context(held_port())
        proxy = await stack.enter_async_context(Proxy(port))
        plant = Plant(mode, folder, proxy, port)
        try:
            await asyncio.gather(plant.site.start(), plant.headquarters.start())
            for fault in plant.faults(rng):
                await asyncio.sleep(rng.uniform(0, 0.3))
                await fault()
            proxy.heal()
            (plant.site.folder / "enough").touch()
            await plant.site.has("accepted")
            accepted = int((plant.site.folder / "accepted").read_text())
            await all_settled(plant.headquarters, 3 * accepted)
        finally:
            await plant.site.kill()
            await plant.headquarters.kill()


def values(folder: Path) -> list[Any]:
    """All rows of the store of an instance."""
    with closing(sqlite3.connect(folder / "values.db")) as found:
        rows = found.execute("select * from samples order by event_id")
        return rows.fetchall()


async def all_settled(instance: Instance, count: int) -> None:
    """Until so many samples are in its store."""
    while len(await asyncio.to_thread(values, instance.folder)) < count:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


SERVE = """
import asyncio, sys
from pichannels.remote import Hub, HubServer, file

async def main():
    hub = Hub()
    hub.publish("spool", file(sys.argv[1], "w+b"))
    async with hub, HubServer(hub) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_bytes_that_were_flushed_outlive_a_kill(tmp_path: Path) -> None:
    data = bytes(range(256)) * 12_000
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVE, str(tmp_path / "spool")),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        async with connect(url, retry=None) as link:
            stream = await link.bytes("spool", "wb")
            await stream.write(data)
            stored = await stream.flush(durable=True)
            process.kill()
            await stream.wait_closed()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    found = await asyncio.to_thread((tmp_path / "spool").read_bytes)
    assert (stored, found) == (len(data), data)


class Keep(BaseNode):
    """Remembers what came."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[int] = []
        self.moved = asyncio.Event()

    def process(self, msg: Message) -> Message:
        self.got.append(msg.payload)
        self.moved.set()
        return msg

    async def reaches(self, count: int) -> None:
        while len(self.got) < count:
            self.moved.clear()
            await self.moved.wait()


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store that holds numbered messages."""
    file = tmp_path_factory.mktemp("history") / "history.db"

    async def fill() -> None:
        async with AsyncExitStack() as stack:
            store = await opened(file, stack)
            for first in range(0, ITEMS, AT_ONCE):
                numbers = range(first, first + AT_ONCE)
                await asyncio.gather(
                    *(store.store(Message(payload=number)) for number in numbers)
                )

    asyncio.run(fill())
    return file


async def opened(file: Path, stack: AsyncExitStack) -> MessageStore:
    store = SQLiteMessageStoreFactory(file, durability="normal").get_store("boiler")
    await store.start()
    stack.push_async_callback(store.stop)
    return store


async def published(history: Path, stack: AsyncExitStack) -> Proxy:
    """A proxy before a hub that replays the store."""
    hub = await stack.enter_async_context(Hub())
    hub.publish("history", replay(await opened(history, stack)))
    server = await stack.enter_async_context(HubServer(hub))
    return await stack.enter_async_context(Proxy(server.port))


def some_cuts(count: int) -> Sequence[int]:
    """Behind how many messages the link is cut."""
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201
    return sorted(random.Random(seed).sample(range(count), CUTS))


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def cut(proxy: Proxy, is_up: Callable[[], bool], number: int) -> None:
    """Break a link that is up; it is the so many-th one."""
    await until(lambda: is_up() and proxy.connections == number)
    proxy.hang_up()


async def taken(channel: RemoteChannel, count: int) -> None:
    await until(lambda: channel.statistics()["messages"] >= count)


@pytest.mark.timeout(LONGEST)
async def test_twenty_cuts_of_a_long_replay_give_the_exact_sequence(
    history: Path,
) -> None:
    got: list[int] = []
    async with AsyncExitStack() as stack:
        proxy = await published(history, stack)
        url = f"http://127.0.0.1:{proxy.port}"
        link = await stack.enter_async_context(connect(url, retry=SOON))
        stream = await link.entities("history", resume=True)
        for number, place in enumerate(some_cuts(ITEMS), 1):
            while len(got) < place:
                found = await stream.receive(place - len(got))
                got += [each.payload for each in found]
            await cut(proxy, lambda: link.is_linked, number)
        got += [each.payload async for each in stream]
    assert got == list(range(ITEMS))


@pytest.mark.timeout(LONGEST)
async def test_a_channel_takes_each_message_of_a_replay_once_for_all_cuts(
    history: Path, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        proxy = await published(history, stack)
        journal = Journal(tmp_path / "journal.db")
        await journal.open()
        stack.push_async_callback(journal.close)
        channel = RemoteChannel(
            "hq",
            url=f"http://127.0.0.1:{proxy.port}",
            stream="history",
            start=ITEMS - TAKEN + 1,
            reconnect=SOON,
        )
        keep = Keep()
        channel.add(keep)
        channel.attach(journal=journal)
        await channel.start()
        stack.push_async_callback(channel.stop)
        for number, place in enumerate(some_cuts(TAKEN), 1):
            await taken(channel, place)
            await cut(proxy, lambda: channel.is_ready, number)
        await keep.reaches(TAKEN)
        await channel.drain()
    assert keep.got == list(range(ITEMS - TAKEN, ITEMS))
