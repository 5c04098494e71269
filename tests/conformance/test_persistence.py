"""What every persistence does, wherever it keeps data."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

import pytest

from pichannels.errors import CodecError
from pichannels.journal import Journal
from pichannels.persistence import MemoryPersistence, Persistence
from pichannels.saved import PostgreSQLPersistence, SQLitePersistence
from tests.servers.postgres import PostgresServer

NUMBERS = count(1)

Made = AsyncIterator[Callable[[], Persistence]]


async def memory(tmp_path: Path) -> Made:
    kept = MemoryPersistence()
    yield lambda: kept


async def journal(tmp_path: Path) -> Made:
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.open()
    yield lambda: journal
    await journal.close()


async def sqlite(tmp_path: Path) -> Made:
    yield lambda: SQLitePersistence(tmp_path / "folder" / "saved.sqlite")


async def postgres_table(server: PostgresServer) -> Made:
    schema = f"saved {next(NUMBERS)}"
    yield lambda: PostgreSQLPersistence(server.url(), schema=schema)


@pytest.fixture(params=(memory, journal, sqlite, postgres_table))
async def make(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    """What makes the same persistence again and again, for each kind in turn."""
    is_server = request.param is postgres_table
    where = request.getfixturevalue("postgres") if is_server else tmp_path
    async for made in request.param(where):
        yield made


@pytest.fixture
async def kept(make: Callable[[], Persistence]) -> AsyncIterator[Persistence]:
    """A started, empty persistence."""
    kept = make()
    await kept.start()
    yield kept
    await kept.stop()


async def test_what_is_saved_is_restored(kept: Persistence) -> None:
    value = {"last": [1, 2.5, b"x", None], "name": "Größe"}
    await kept.save("a.node", "state", value)
    assert await kept.restore("a.node", "state") == value


async def test_the_last_value_counts(kept: Persistence) -> None:
    for number in range(5):
        kept.save("a", "n", number)
    assert await kept.restore("a", "n") == 4
    await kept.save("a", "n", 5)
    assert await kept.restore("a", "n") == 5


async def test_namespaces_and_keys_are_apart(kept: Persistence) -> None:
    for place in (("a", "b.c"), ("a.b", "c"), ("a", "B.C"), ("", "")):
        await kept.save(*place, ".".join(place))
    for place in (("a", "b.c"), ("a.b", "c"), ("a", "B.C"), ("", "")):
        assert await kept.restore(*place) == ".".join(place)


async def test_what_is_missing_is_a_key_error_or_the_default(kept: Persistence) -> None:
    assert await kept.restore("a", "n", None) is None
    with pytest.raises(KeyError, match="n"):
        await kept.restore("a", "n")


async def test_later_changes_of_a_value_are_not_kept(kept: Persistence) -> None:
    value = [1]
    saved = kept.save("a", "n", value)
    value.append(2)
    await saved
    (await kept.restore("a", "n")).append(3)
    assert await kept.restore("a", "n") == [1]


async def test_a_value_without_codec_is_refused(kept: Persistence) -> None:
    with pytest.raises(CodecError):
        kept.save("a", "n", object())
    assert await kept.restore("a", "n", 0) == 0


async def test_data_is_there_at_the_next_start(
    make: Callable[[], Persistence],
) -> None:
    first = make()
    await first.start()
    for number in range(50):
        first.save("a", f"n{number % 7}", number)
    await first.stop()
    second = make()
    await second.start()
    found = [await second.restore("a", f"n{number}") for number in range(7)]
    await second.stop()
    assert found == [49, 43, 44, 45, 46, 47, 48]
