"""publish.PostgreSQL against a real server that is killed, slow and strict."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped,unused-ignore]
import pytest

from nodes import publish
from nodes._sql import SQLSink
from pichannels.errors import NotConnected, SampleErrors, SettingsError, UsageError
from pichannels.message import Message
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret
from pichannels.values import Sample, Tag, datetime_from_ticks, parse_ticks
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Proxy
from tests.servers.tables import PostgresTables

NOON = parse_ticks("2024-05-01T12:00:00.1234567Z")
SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.05)


@pytest.fixture
def database(postgres: PostgresServer) -> PostgresTables:
    return PostgresTables(postgres)


def batch(*values: float, tag: str = "TI1", lane: str = "live") -> Message:
    tags = Tag(tag)
    samples = [Sample(tags, NOON + int(v), v) for v in values]
    return Message(payload=samples, meta={"lane": lane})


@asynccontextmanager
async def started(sink: SQLSink) -> AsyncIterator[SQLSink]:
    await sink.start()
    try:
        yield sink
    finally:
        await sink.stop()


async def put(sink: SQLSink, msg: Message) -> Awaitable[Any]:
    found = sink.process(msg)
    pending = await found if isinstance(found, Awaitable) else found
    return pending.ack


async def publish_all(sink: SQLSink, *msgs: Message) -> None:
    await asyncio.gather(*[await put(sink, msg) for msg in msgs])


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what changes is a counter
        await asyncio.sleep(0.005)


async def rows_there(database: PostgresTables, count: int) -> None:
    query = "SELECT 1 FROM TABLE_"
    while len(await database.run(query)) < count:  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def test_times_are_times_with_a_zone(database: PostgresTables) -> None:
    msg = batch(0)
    async with started(database.sink()) as sink:
        await publish_all(sink, msg)
    found = await database.run("SELECT time, received_at, ticks FROM TABLE_")
    assert found == [(datetime_from_ticks(NOON), msg.timestamp, NOON)]


async def test_a_table_may_be_in_a_schema_and_have_an_odd_name(
    database: PostgresTables,
) -> None:
    await database.run("CREATE SCHEMA TABLE_")
    database.table += '.my "Values"'
    async with started(database.sink()) as sink:
        await publish_all(sink, batch(*range(150)))
    schema = database.table.partition(".")[0]
    database.table = f'{schema}."my ""Values"""'
    assert await database.run("SELECT count(*) FROM TABLE_") == [(150,)]


async def test_a_column_of_another_type_is_told(database: PostgresTables) -> None:
    await database.run("CREATE TABLE TABLE_ (event_id text PRIMARY KEY, time text)")
    *_, found = await database.sink(columns=["event_id", "time"]).probe()
    assert found.text.endswith("column 'time' is text, and timestamptz is needed")


async def test_one_key_twice_in_a_batch_is_written_once(
    database: PostgresTables,
) -> None:
    msgs = [batch(*range(200)), batch(*range(200))]
    async with started(database.sink(key=["tag"])) as sink:
        await publish_all(sink, *msgs)
    assert await database.run("SELECT value_number FROM TABLE_") == [(199.0,)]


async def numbered(database: PostgresTables, **options: Any) -> SQLSink:
    """A sink whose table numbers its rows in the order in which they came."""
    await database.run(
        "CREATE TABLE TABLE_ (n bigserial, event_id text PRIMARY KEY, tag text,"
        " ticks bigint)"
    )
    return database.sink(columns=["event_id", "tag", "ticks"], retry=SOON, **options)


async def orders(database: PostgresTables) -> dict[str, list[int]]:
    """Tag -> its ticks in the order of the rows."""
    found: dict[str, list[int]] = {}
    for tag, ticks in await database.run("SELECT tag, ticks FROM TABLE_ ORDER BY n"):
        found.setdefault(tag, []).append(ticks - NOON)
    return found


async def load(sink: SQLSink, rng: random.Random) -> dict[str, list[int]]:
    """Publish many messages of a few tags; what should be there, when it is."""
    expected: dict[str, list[int]] = {}
    acks = []
    for number in range(600):
        tag = f"T{rng.randrange(9)}"
        values = range(number * 20, number * 20 + rng.randint(1, 20))
        expected.setdefault(tag, []).extend(values)
        acks.append(await put(sink, batch(*values, tag=tag)))
    await asyncio.gather(*acks)
    return expected


@pytest.mark.parametrize("connections", [1, 3])
async def test_a_killed_server_costs_nothing(
    database: PostgresTables, connections: int
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201
    sink = await numbered(database, connections=connections, batch=150, queue_rows=1000)
    server = database.server
    async with started(sink):
        loading = asyncio.create_task(load(sink, random.Random(seed)))
        for written in (500, 2000):
            await until(lambda: sink.written >= written)  # noqa: B023
            errors = sink.errors
            await asyncio.to_thread(server.kill)
            await until(lambda: sink.errors > errors)  # noqa: B023
            await asyncio.to_thread(server.start)
        expected = await loading
    assert await orders(database) == expected


async def test_a_server_that_is_away_at_the_start_is_waited_for(
    database: PostgresTables,
) -> None:
    server = database.server
    await asyncio.to_thread(server.stop)
    async with started(database.sink(retry=SOON)) as sink:
        ack = await put(sink, batch(1))
        await until(lambda: sink.errors > 0)
        await asyncio.to_thread(server.start)
        await ack
    assert await database.run("SELECT count(*) FROM TABLE_") == [(1,)]


async def test_what_is_not_written_stays_unsettled_at_the_stop(
    database: PostgresTables,
) -> None:
    sink = database.sink(retry=SOON)
    await sink.start()
    await asyncio.to_thread(database.server.stop)
    ack = await put(sink, batch(1))
    await sink.stop()
    assert isinstance(ack, asyncio.Future)
    assert not ack.done()


async def test_a_policy_with_an_end_lets_messages_fail(
    database: PostgresTables,
) -> None:
    await asyncio.to_thread(database.server.stop)
    policy = RetryPolicy(attempts=2, initial=0.01)
    async with started(database.sink(retry=policy)) as sink:
        with pytest.raises(NotConnected, match=r"127\.0\.0\.1"):
            await (await put(sink, batch(1)))


@pytest.mark.parametrize(("count", "answer"), [(3, b"INSERT 0"), (300, b"COMMIT")])
async def test_a_commit_whose_answer_is_lost_is_repeated_harmlessly(
    database: PostgresTables, count: int, answer: bytes
) -> None:
    async with Proxy(database.server.port) as proxy:
        sink = database.sink(url=database.server.url(port=proxy.port), retry=SOON)
        await sink.start()
        proxy.hold_from = answer
        ack = await put(sink, batch(*range(count)))
        await rows_there(database, count)
        await proxy.held.wait()
        proxy.hold_from = None
        proxy.hang_up()
        await ack
        await sink.stop()
    assert sink.errors == 1
    assert await database.run("SELECT count(*) FROM TABLE_") == [(count,)]


async def test_a_server_that_says_nothing_is_given_up(
    database: PostgresTables,
) -> None:
    async with Proxy(database.server.port) as proxy:
        url = database.server.url(port=proxy.port)
        sink = database.sink(url=url, retry=SOON, timeout=0.2)
        await sink.start()
        proxy.hold_from = b"INSERT 0"
        ack = await put(sink, batch(1))
        await proxy.held.wait()
        proxy.hold_from = None
        await ack
        await sink.stop()
    assert (sink.errors, sink.written) == (1, 1)


async def test_a_statement_that_takes_too_long_is_ended_and_tried_again(
    database: PostgresTables,
) -> None:
    async with started(database.sink(retry=SOON, timeout=0.2)) as sink:
        other = await asyncpg.connect(database.server.url())
        async with other.transaction():
            await other.execute(f"LOCK TABLE {database.table}")
            ack = await put(sink, batch(1))
            await until(lambda: sink.errors > 0)
        await ack
        await other.close()
    assert sink.written == 1


async def test_a_row_that_a_trigger_refuses_is_set_aside(
    database: PostgresTables,
) -> None:
    async with started(database.sink()) as sink:
        await database.run(
            "CREATE FUNCTION refuse_TABLE_() RETURNS trigger LANGUAGE plpgsql AS $$"
            " BEGIN IF new.value_number = 7 THEN RAISE 'not seven'; END IF;"
            " RETURN new; END $$"
        )
        await database.run(
            "CREATE TRIGGER t BEFORE INSERT ON TABLE_ FOR EACH ROW"
            " EXECUTE FUNCTION refuse_TABLE_()"
        )
        with pytest.raises(publish.RowRefused, match="not seven"):
            await (await put(sink, batch(7)))
        await publish_all(sink, batch(8))


async def test_a_key_that_is_too_long_for_the_index_is_set_aside(
    database: PostgresTables,
) -> None:
    rng = random.Random(1)
    tags = ["T", "".join(chr(rng.randrange(32, 4000)) for _ in range(9000)), "U"]
    samples = [Sample(Tag(tag), NOON, 1.0) for tag in tags]
    async with started(database.sink()) as sink:
        with pytest.raises(SampleErrors, match="index row"):
            await (await put(sink, Message(payload=samples)))
    assert len(await database.run("SELECT 1 FROM TABLE_")) == 2


async def test_a_text_with_a_nul_is_set_aside(database: PostgresTables) -> None:
    samples = [Sample(Tag("T"), NOON + n, text) for n, text in enumerate("a\0b")]
    async with started(database.sink()) as sink:
        ack = await put(sink, Message(payload=samples))
        with pytest.raises(SampleErrors) as caught:
            await ack
    assert list(caught.value.causes) == [1]
    assert len(await database.run("SELECT 1 FROM TABLE_")) == 2


# Logins


async def test_a_password_is_looked_up(
    database: PostgresTables, tmp_path: Path
) -> None:
    await database.run("CREATE ROLE TABLE_ LOGIN")
    (tmp_path / "password").write_text("hidden")
    url = f"postgresql://{database.table}@127.0.0.1:{database.server.port}/postgres"
    sink = database.sink(url=url, password=Secret.file(tmp_path / "password"))
    first, second = await sink.probe()
    # The server trusts everybody, and this user may not make tables there.
    assert (first.ok, second.ok, "may not make it" in second.text) == (
        True,
        False,
        True,
    )


async def test_a_url_may_be_a_secret(
    database: PostgresTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE", database.server.url())
    async with started(database.sink(url=Secret.env("DATABASE"))) as sink:
        await publish_all(sink, batch(1))
    assert sink.written == 1


async def test_a_secret_that_is_missing_is_told(database: PostgresTables) -> None:
    sink = database.sink(password=Secret.env("NO_SUCH_VARIABLE"))
    with pytest.raises(SettingsError, match="NO_SUCH_VARIABLE is not set"):
        await sink.start()


async def test_a_database_that_does_not_exist_is_told(
    database: PostgresTables,
) -> None:
    sink = database.sink(url=database.server.url("nowhere"))
    with pytest.raises(SettingsError, match='database "nowhere" does not exist'):
        await sink.start()


async def test_tls_that_the_server_does_not_offer_is_told(
    database: PostgresTables,
) -> None:
    (found,) = await database.sink(ssl="require").probe()
    assert (found.ok, "SSL" in found.text) == (False, True)


async def test_probe_tells_that_the_server_is_away(database: PostgresTables) -> None:
    await asyncio.to_thread(database.server.stop)
    (found,) = await database.sink().probe()
    assert (found.ok, "is not connected" in found.text) == (False, True)


async def test_words_about_the_server_hold_no_password(
    database: PostgresTables,
) -> None:
    await asyncio.to_thread(database.server.stop)
    url = database.server.url().replace("@", ":hidden@")
    (found,) = await database.sink(url=url).probe()
    assert "hidden" not in found.text


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"url": "mysql://host/plant"}, SettingsError),
        ({"url": 5}, SettingsError),
        ({"url": "postgresql://h/d", "password": 5}, UsageError),
        ({"url": "postgresql://h/d", "connections": 0}, SettingsError),
        ({"url": "postgresql://h/d", "timeout": 0}, SettingsError),
        ({"url": "postgresql://h/d", "table": "a.b.c"}, SettingsError),
        ({"url": "postgresql://h/d", "hypertable": True, "columns": ["event_id"]},
         SettingsError),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_told(
    options: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        publish.PostgreSQL(**options)


# TimescaleDB


async def test_without_timescale_a_hypertable_is_refused(
    database: PostgresTables,
) -> None:
    sink = database.sink(hypertable=True)
    with pytest.raises(SettingsError, match="no extension timescaledb"):
        await sink.start()
    assert await database.run("SELECT to_regclass('TABLE_')") == [(None,)]


STAND_IN = """
SET allow_system_table_mods = on;
INSERT INTO pg_extension VALUES (99999, 'timescaledb', 10, 11, false, '2', NULL, NULL);
CREATE TABLE made (name regclass, column_name name);
CREATE FUNCTION create_hypertable(t regclass, c name, if_not_exists boolean)
  RETURNS void LANGUAGE sql AS 'INSERT INTO made VALUES (t, c)';
"""


async def test_a_hypertable_is_made_with_the_time_in_its_key(
    database: PostgresTables,
) -> None:
    """What Timescale is asked for; a stand-in of its function writes it down."""
    name = f"{database.table}_timescale"
    await database.run(f"CREATE DATABASE {name}")
    url = database.server.url(name)
    other = await asyncpg.connect(url)
    await other.execute(STAND_IN)
    async with started(database.sink(url=url, hypertable=True)) as sink:
        await publish_all(sink, batch(1), batch(1))
    assert sink.table.key == ["event_id", "time"]
    made = await other.fetch("SELECT name::text, column_name FROM made")
    count = await other.fetchval(f"SELECT count(*) FROM {database.table}")
    await other.close()
    assert ([tuple(row) for row in made], count) == ([(database.table, "time")], 1)
