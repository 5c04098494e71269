"""One instance has the lease; others are told, or wait."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pichannels.config import LeaseConfig
from pichannels.errors import LeaseHeld, NotConnected, SettingsError
from pichannels.journal import Journal
from pichannels.lease import Lease
from tests.servers.postgres import PostgresServer

Make = Callable[..., Lease]


async def never(left: float) -> None:
    raise AssertionError(f"lost, {left} s left")


@pytest.fixture
def make(postgres: PostgresServer, tmp_path: Path) -> Make:
    def make(url: str = "", wait: bool = False) -> Lease:
        config = LeaseConfig(url=url or postgres.url(), takeover=3.0)
        return Lease(config, str(tmp_path), wait, never)

    return make


@asynccontextmanager
async def journal(path: Path) -> AsyncIterator[Journal]:
    opened = Journal(path)
    await opened.open()
    yield opened
    await opened.close()


async def test_of_many_that_begin_at_once_one_gets_it(
    make: Make, tmp_path: Path
) -> None:
    async def tried(number: int) -> Lease | None:
        async with journal(tmp_path / f"{number}.sqlite") as own:
            lease = make()
            try:
                await lease.take(own)
            except (LeaseHeld, NotConnected):
                await lease.close()
                return None
            return lease

    found = [lease for lease in await asyncio.gather(*map(tried, range(6))) if lease]
    assert len(found) == 1
    await found[0].close()


async def test_who_closes_gives_it_back(make: Make, tmp_path: Path) -> None:
    async with journal(tmp_path / "a") as one, journal(tmp_path / "b") as other:
        first, second = make(), make()
        await first.take(one)
        with pytest.raises(LeaseHeld, match="is held by process"):
            await second.take(other)
        await first.close()
        await second.take(other)
        report = second.report()
        await second.close()
    assert report is not None
    assert (report.is_held, report.takeover) == (True, 3.0)


async def test_a_database_that_is_away_is_told(make: Make, tmp_path: Path) -> None:
    async with journal(tmp_path / "a") as own:
        lease = make("postgresql://me@127.0.0.1:1/plant")
        with pytest.raises(NotConnected, match="127.0.0.1:1/plant is not connected"):
            await lease.take(own)
        await lease.close()


async def test_a_database_that_refuses_us_ends_standing_by(
    make: Make, postgres: PostgresServer, tmp_path: Path
) -> None:
    async with journal(tmp_path / "a") as own:
        lease = make(postgres.url("nowhere"), wait=True)
        with pytest.raises(SettingsError, match='"nowhere" does not exist'):
            await lease.take(own)
        await lease.close()


def test_without_asyncpg_check_names_the_extra(tmp_path: Path) -> None:
    settings = tmp_path / "settings.py"
    settings.write_text(
        "CHANNELS = []\nLEASE = {'url': 'postgresql://me@db/plant'}\n", "utf-8"
    )
    code = (
        "import sys; sys.modules['asyncpg'] = None\n"
        "from pichannels.cli import cli\ncli(['check', '-s', sys.argv[1]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(settings)], capture_output=True, text=True
    )
    assert (done.returncode, "pip install 'pichannels[postgres]'" in done.stderr) == (
        1,
        True,
    )
