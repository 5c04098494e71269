"""MLLP channels in projects: reloaded, killed, and given any bytes."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import socket
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pichannels.engine import Engine
from pichannels.hl7v2.framing import framed
from pichannels.project import load

SETTINGS = """\
from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import python
from pichannels.channels.mllp import MLLPChannel
from pichannels.endpoints.mllp import MLLPEndpoint

MESSAGE_STORE = SQLiteMessageStoreFactory()
endpoint = MLLPEndpoint(port=PORT)
channel = MLLPChannel("a", endpoint=endpoint, accepted=True)
CHANNELS = [channel.add(python.Function(lambda payload: "first"))]
"""
Write = Callable[..., Awaitable[Path]]


def message(id: str) -> bytes:
    return rf"MSH|^~\&|LAB|NORTH|||2026||ORU^R01|{id}|P|2.5".encode() + b"\rOBX|1\r"


@pytest.fixture
def port() -> Iterator[int]:
    """A port that nobody has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        number = found.getsockname()[1]
    yield number


@pytest.fixture
async def write(tmp_path: Path, port: int) -> Write:
    """Writes the settings, with one text in place of another."""

    async def written(old: str = "", new: str = "") -> Path:
        path = tmp_path / "settings.py"
        text = SETTINGS.replace(old, new) if old else SETTINGS
        await asyncio.to_thread(path.write_text, text.replace("PORT", str(port)))
        return path

    return written


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[Engine]:
    project = await asyncio.to_thread(load, path)
    async with Engine(project, control=False) as engine:
        yield engine


class Load:
    """Senders that go on, each over one connection; what was taken."""

    def __init__(self, port: int, senders: int = 4) -> None:
        self.taken: set[str] = set()
        self.others: list[bytes] = []
        self.lost = 0
        self._port = port
        self._senders = senders
        self._is_over = False

    async def __aenter__(self) -> Load:
        self._tasks = [
            asyncio.create_task(self._go_on(n), name=f"sender {n}")
            for n in range(self._senders)
        ]
        await self.reached(50)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_over = True
        await asyncio.gather(*self._tasks)

    async def _go_on(self, sender: int) -> None:
        numbers = itertools.count()
        while not self._is_over:
            try:
                await self._connected(sender, numbers)
            except (OSError, asyncio.IncompleteReadError):
                self.lost += 1
                await asyncio.sleep(0.01)

    async def _connected(self, sender: int, numbers: Iterator[int]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            while not self._is_over:
                id = f"{sender}-{next(numbers)}"
                writer.write(framed(message(id)))
                answer = await reader.readuntil(b"\x1c\r")
                if b"|AA|" in answer:
                    self.taken.add(id)
                else:
                    self.others.append(answer)
        finally:
            writer.close()

    async def reached(self, count: int) -> None:
        """Until so many more were taken."""
        wanted = len(self.taken) + count
        async with asyncio.timeout(10):
            while len(self.taken) < wanted:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.005)


async def stored(engine: Engine) -> set[str]:
    """The ids of the messages in the store."""
    store = engine.project.channel("a").message_store
    assert store is not None
    entries = await store.search(count=100_000)
    return {entry["message"].meta.get("control_id", "") for entry in entries}


async def test_a_reload_leaves_connections_open_and_loses_nothing(
    write: Write, port: int
) -> None:
    async with running(await write()) as engine:
        async with Load(port) as load_a:
            await write("first", "changed")
            report = await engine.reload()
            await load_a.reached(50)
        found = await stored(engine)
    assert ([change.name for change in report.channels], load_a.lost) == (["a"], 0)
    assert load_a.taken <= found
    assert all(b"send it again later" in answer for answer in load_a.others)


async def test_pauses_and_restarts_under_load_lose_nothing(
    write: Write, port: int
) -> None:
    path = await write("accepted=True", "store_only=True")
    async with running(path) as engine:
        channel = engine.project.channel("a")
        async with Load(port) as load_a:
            processed = channel.processed
            await channel.resume()
            await load_a.reached(50)
            await channel.pause()
            await load_a.reached(50)
            await channel.resume()
            await engine.stop_channel("a")
            await engine.start_channel("a")
            await load_a.reached(50)
            await channel.resume()
        assert channel.message_store is not None
        await channel.drain()
        entries = await channel.message_store.search(count=100_000)
    states = {e["message"].meta["control_id"]: e["state"] for e in entries}
    assert processed == 0
    assert load_a.taken <= {id for id, state in states.items() if state == "processed"}
    assert all(b"send it again later" in answer for answer in load_a.others)


async def test_nothing_taken_is_lost_when_the_process_is_killed(
    write: Write, port: int
) -> None:
    path = await write()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pichannels", "start", "--plain"),
        cwd=path.parent,
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        async with Load(port) as load_a:
            await load_a.reached(100)
            process.kill()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    async with running(path) as engine:
        found = await stored(engine)
    assert len(load_a.taken) > 100
    assert load_a.taken <= found


async def test_no_bytes_bring_an_endpoint_down(write: Write, port: int) -> None:
    seed = random.randrange(2**32)
    source = random.Random(seed)
    async with running(await write()) as engine:
        for number in range(100):
            sent = bytearray(framed(message(f"x{number}")) * 2)
            for _ in range(source.randrange(1, 12)):
                sent[source.randrange(len(sent))] = source.randrange(256)
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(bytes(sent))
            writer.close()
        async with Load(port, senders=1) as load_a:
            await load_a.reached(1)
        assert load_a.taken <= await stored(engine), f"seed {seed}"
