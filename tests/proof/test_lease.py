"""Instances with folders of their own, as on two hosts, share a lease in PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Proxy
from tests.servers.tables import PostgresTables

ROOT = Path(__file__).parents[2]
TAKEOVER = 3.0
SETTINGS = """\
import asyncio
import time
from pathlib import Path
from pichannels.channels import BaseChannel
from pichannels.message import Message
from pichannels.node import BaseNode

here = Path(__file__).parent


class Sink(BaseNode):
    async def process(self, msg):
        if (here / "stuck").exists():
            await asyncio.sleep(3600)
        return msg


class Taking(BaseChannel):
    async def start_source(self):
        self.task = asyncio.create_task(self.take())

    async def take(self):
        while True:
            with (here / "taken").open("a") as file:
                file.write(f"{time.monotonic()}\\n")
            await self.accept(Message(payload="x"))
            await asyncio.sleep(0.02)

    async def stop_source(self):
        self.task.cancel()


LEASE = {"url": URL, "name": NAME, "takeover": TAKEOVER}
CHANNELS = [Taking("values").add(Sink())]
CONTROL = False
"""

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")

Make = Callable[..., "Instance"]


class Instance:
    """A project in a folder, and a process that runs it."""

    def __init__(self, folder: Path, url: str, name: str, takeover: float) -> None:
        folder.mkdir()
        self.folder = folder
        self.name = name
        text = SETTINGS.replace("URL", repr(url)).replace("NAME", repr(name))
        text = text.replace("TAKEOVER}", f"{takeover}}}")
        (folder / "settings.py").write_text(text)

    @asynccontextmanager
    async def run(self, *options: str) -> AsyncIterator[Process]:
        """`pichannels start`, killed at the end where it still runs."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pichannels", "start", *options),
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=PIPE,
            stdout=PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    @property
    def taken(self) -> list[float]:
        """When it has taken values; times of the machine's clock."""
        path = self.folder / "taken"
        return [float(line) for line in path.read_text().split()]

    async def takes(self) -> None:
        """Until it takes values."""
        await until((self.folder / "taken").exists)


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 50
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def ended(process: Process) -> tuple[int | None, str]:
    _, errors = await process.communicate()
    return process.returncode, errors.decode()


async def says(process: Process, words: str) -> str:
    """The first line of its log with these words."""
    assert process.stderr is not None
    while words not in (line := (await process.stderr.readline()).decode()):
        assert line
    return line


@pytest.fixture
def make(postgres: PostgresServer, tmp_path: Path) -> Make:
    def make(
        folder: str, port: int | None = None, takeover: float = TAKEOVER
    ) -> Instance:
        url = postgres.url(port=port)
        return Instance(tmp_path / folder, url, tmp_path.name, takeover)

    return make


async def test_a_second_instance_refuses_until_the_first_has_stopped(
    make: Make,
) -> None:
    one, other = make("one"), make("other")
    async with one.run() as first:
        await one.takes()
        async with other.run() as refused:
            code, errors = await ended(refused)
        async with other.run("--wait") as second:
            await says(second, "standing by")
            first.terminate()
            await other.takes()
    assert (code, f"is held by process {first.pid} on " in errors) == (5, True)
    assert 0 < other.taken[0] - one.taken[-1] < TAKEOVER


async def test_who_stands_by_takes_over_after_a_kill(make: Make) -> None:
    one, other = make("one"), make("other")
    async with one.run() as first:
        await one.takes()
        async with other.run("--wait") as second:
            assert f"process {first.pid} on " in await says(second, "standing by")
            first.kill()
            await other.takes()
    assert TAKEOVER / 2 < other.taken[0] - one.taken[-1] < TAKEOVER + 3


async def test_after_a_kill_the_same_instance_starts_at_once(make: Make) -> None:
    one = make("one", takeover=60.0)
    async with one.run() as first:
        await one.takes()
        first.kill()
        await first.wait()
    killed = one.taken[-1]
    async with one.run() as again:
        await says(again, "is ours")
        await until(lambda: one.taken[-1] > killed)
    assert next(time for time in one.taken if time > killed) - killed < 60


async def test_without_the_database_the_holder_stops_before_another_begins(
    make: Make, postgres: PostgresServer
) -> None:
    async with Proxy(postgres.port) as proxy:
        one, other = make("one", proxy.port), make("other")
        async with one.run() as first:
            await one.takes()
            async with other.run("--wait") as second:
                await says(second, "standing by")
                (one.folder / "stuck").touch()
                proxy.swallow()
                code, errors = await ended(first)
                await other.takes()
    assert (code, "is lost" in errors, "run again at" in errors) == (5, True, True)
    assert one.taken[-1] < other.taken[0]


async def test_a_restart_of_the_database_changes_nothing(
    make: Make, postgres: PostgresServer
) -> None:
    one = make("one", takeover=20)
    table = PostgresTables(postgres)
    found = f"SELECT owner, ends FROM pichannels_lease WHERE name = '{one.name}'"
    async with one.run() as first:
        await one.takes()
        await asyncio.to_thread(postgres.kill)
        await asyncio.to_thread(postgres.start)
        ((owner, before),) = await table.run(found)
        while (await table.run(found))[0] == (owner, before):
            assert first.returncode is None
            await asyncio.sleep(0.05)
    assert f"process {first.pid} " in owner


async def test_a_holder_that_was_suspended_for_long_ends(make: Make) -> None:
    one, other = make("one"), make("other")
    async with one.run() as first:
        await one.takes()
        first.send_signal(signal.SIGSTOP)
        async with other.run("--wait"):
            await other.takes()
            first.send_signal(signal.SIGCONT)
            code, errors = await ended(first)
    assert (code, "is lost" in errors) == (5, True)
