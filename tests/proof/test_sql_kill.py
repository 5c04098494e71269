"""A process killed while it writes to a database: each row is there, once, in order."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from asyncio.subprocess import Process
from pathlib import Path

import pytest

from tests.proof.publishing import SAMPLES, TAGS, message
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Proxy
from tests.servers.tables import Database, PostgresTables, SQLiteTables

PROGRAM = Path(__file__).with_name("publishing.py")
ROOT = PROGRAM.parents[2]
KILLS = 3
AT_ONCE = 400
KEYS = {"sqlite": "n integer PRIMARY KEY", "postgresql": "n bigserial PRIMARY KEY"}

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")


class Writer:
    """A process that accepts numbered messages and writes them to a database."""

    def __init__(self, folder: Path, target: str) -> None:
        self.folder = folder
        self.target = target

    @property
    def accepted(self) -> int:
        """How many messages it reported as accepted."""
        path = self.folder / "report"
        return len(path.read_text().splitlines()) if path.exists() else 0

    async def start(self, count: int) -> Process:
        """Have it accept so many more messages."""
        first = await asyncio.to_thread(lambda: self.accepted)
        arguments = [str(self.folder), self.target, str(first), str(first + count)]
        return await asyncio.create_subprocess_exec(
            *(sys.executable, str(PROGRAM), *arguments),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    async def finish(self) -> int:
        """Have it settle what is left, and a few messages more."""
        process = await self.start(TAGS)
        return await process.wait()


async def make(database: Database) -> None:
    kind = "sqlite" if isinstance(database, SQLiteTables) else "postgresql"
    await database.run(
        f"CREATE TABLE TABLE_ ({KEYS[kind]}, event_id text UNIQUE, tag text,"
        " ticks bigint)"
    )


async def count_of(database: Database) -> int:
    ((count,),) = await database.run("SELECT count(*) FROM TABLE_")
    return int(count)


async def wrong_rows(database: Database, messages: int) -> list[str]:
    """The tags whose rows are not those of the messages, in their order."""
    expected: dict[str, list[str]] = {}
    for number in range(messages):
        for sample in message(number).payload:
            expected.setdefault(sample.tag.name, []).append(sample.event_id)
    found: dict[str, list[str]] = {}
    for tag, event_id in await database.run(
        "SELECT tag, event_id FROM TABLE_ ORDER BY n"
    ):
        found.setdefault(tag, []).append(event_id)
    return [tag for tag in expected if found.get(tag) != expected[tag]]


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    found: Database
    if request.param == "sqlite":
        found = SQLiteTables(tmp_path)
    else:
        found = PostgresTables(request.getfixturevalue("postgres"))
    await make(found)
    return found


async def test_a_process_killed_under_load_loses_and_doubles_nothing(
    database: Database, tmp_path: Path
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201
    rng = random.Random(seed)
    writer = Writer(tmp_path, database.target)
    for _ in range(KILLS):
        before = await count_of(database)
        process = await writer.start(AT_ONCE)
        while await count_of(database) == before:
            assert process.returncode is None
            await asyncio.sleep(0.01)
        await asyncio.sleep(rng.uniform(0, 0.1))
        process.kill()
        await process.wait()
    assert await writer.finish() == 0
    assert await wrong_rows(database, writer.accepted) == []


async def test_a_commit_of_which_nobody_heard_is_not_doubled(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    database = PostgresTables(postgres)
    await make(database)
    async with Proxy(postgres.port) as proxy:
        proxy.hold_from = b"INSERT 0"
        url = database.target.replace(f":{postgres.port}/", f":{proxy.port}/")
        process = await Writer(tmp_path, url).start(1)
        while await count_of(database) < SAMPLES:
            assert process.returncode is None
            await asyncio.sleep(0.01)
        # The rows are there, and the process still waits for the answer.
        await proxy.held.wait()
        process.kill()
        await process.wait()
    writer = Writer(tmp_path, database.target)
    assert await writer.finish() == 0
    assert await count_of(database) == writer.accepted * SAMPLES
