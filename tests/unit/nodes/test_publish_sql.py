"""What publish.SQLite and publish.PostgreSQL have in common, on real databases."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime
from decimal import Decimal
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from nodes._sql import SQLSink
from nodes._sql_columns import FIELDS
from nodes.publish import RowRefused
from pichannels.channels.base import BaseChannel
from pichannels.delivery import Outcome
from pichannels.errors import CodecError, SampleErrors, SettingsError, UsageError
from pichannels.message import Message
from pichannels.node import Pending
from pichannels.retry import RetryPolicy
from pichannels.values import (
    DigitalState,
    Sample,
    Tag,
    ValueFailure,
    format_ticks,
    parse_ticks,
)
from tests.servers.tables import Database, PostgresTables, SQLiteTables

NOON = parse_ticks("2024-05-01T12:00:00.1234567Z")
TAG = Tag("TI1", "\\\\SRV\\TI1", server="pi", key="7", units="degC")
SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.02)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return SQLiteTables(tmp_path)
    return PostgresTables(request.getfixturevalue("postgres"))


def batch(*values: Any, lane: str = "live", tag: Tag = TAG) -> Message:
    samples = [Sample(tag, NOON + n, value) for n, value in enumerate(values)]
    return Message(payload=samples, meta={"lane": lane})


async def acks(node: SQLSink, *msgs: Message) -> list[Awaitable[Any]]:
    found = []
    for msg in msgs:
        result = node.process(msg)
        pending = result if isinstance(result, Pending) else await result
        found.append(pending.ack)
    return found


async def publish(node: SQLSink, *msgs: Message) -> list[Any]:
    """Hand over all messages, wait, stop: None or the error of each."""
    await node.start()
    outcomes = await asyncio.gather(*await acks(node, *msgs), return_exceptions=True)
    await node.stop()
    return outcomes


async def through(node: SQLSink, msg: Message) -> Outcome:
    """The outcome of a message in a channel."""
    channel = BaseChannel("sql")
    channel.add(node)
    await channel.start()
    try:
        return await channel.run(msg)
    finally:
        await channel.stop()


async def values(database: Database, what: str = "value_number") -> list[Any]:
    rows = await database.run(f"SELECT {what} FROM TABLE_ ORDER BY ticks, event_id")
    return [row[0] for row in rows]


async def test_a_sample_becomes_a_row(database: Database) -> None:
    msg = batch(71.5)
    await publish(database.sink(), msg)
    names = "event_id, ticks, tag, path, server, value_number, units, lane, good"
    (row,) = await database.run(f"SELECT {names} FROM TABLE_")
    (sample,) = msg.payload
    assert row == (
        *(sample.event_id, NOON, "TI1", "\\\\SRV\\TI1", "pi"),
        *(71.5, "degC", "live", True),
    )


@pytest.mark.parametrize(
    ("value", "row"),
    [
        (1.5, (1.5, None, None, None, False, None)),
        (3, (3.0, None, None, None, False, None)),
        (True, (1.0, None, None, None, False, None)),
        (inf, (inf, None, None, None, False, None)),
        ("run", (None, "run", None, None, False, None)),
        ([1, 2], (None, "[1,2]", None, None, False, None)),
        (None, (None, None, None, None, False, None)),
        (DigitalState("On", 1), (None, None, "On", 1, False, None)),
        (DigitalState("Bad", 255, True), (None, None, "Bad", 255, True, None)),
        (ValueFailure("no"), (None, None, None, None, False, "no")),
    ],
)
async def test_values_have_columns_of_their_kind(
    database: Database, value: Any, row: tuple[Any, ...]
) -> None:
    await publish(database.sink(), batch(value))
    names = "value_number, value_text, value_state, state_code, is_system, value_error"
    assert await database.run(f"SELECT {names} FROM TABLE_") == [row]


@pytest.mark.parametrize("on_conflict", ["update", "ignore"])
@pytest.mark.parametrize("count", [3, 300])
async def test_what_comes_twice_is_there_once(
    database: Database, on_conflict: str, count: int
) -> None:
    twice = [batch(*range(count)), batch(*range(count))]
    await publish(database.sink(on_conflict=on_conflict), *twice)
    await publish(database.sink(on_conflict=on_conflict), batch(*range(count)))
    assert await values(database) == list(range(count))


@pytest.mark.parametrize(("on_conflict", "kept"), [("update", "K"), ("ignore", "C")])
@pytest.mark.parametrize("count", [1, 200])
async def test_the_row_that_is_there_is_updated_or_kept(
    database: Database, on_conflict: str, kept: str, count: int
) -> None:
    sink = database.sink(on_conflict=on_conflict)
    first = [Sample(TAG, NOON + n, 20.0, units="C") for n in range(count)]
    again = [sample.with_value(293.15, "K") for sample in first]
    await publish(sink, Message(payload=first), Message(payload=again))
    assert set(await values(database, "units")) == {kept}


@pytest.mark.parametrize("count", [1, 200])
async def test_a_correction_updates_although_others_are_ignored(
    database: Database, count: int
) -> None:
    sink = database.sink(on_conflict="ignore", key=["tag", "ticks"])
    await publish(sink, batch(*[1] * count), batch(*[2] * count, lane="correction"))
    assert set(await values(database)) == {2}


@pytest.mark.parametrize("on_conflict", ["update", "ignore"])
async def test_a_deleted_event_is_marked(database: Database, on_conflict: str) -> None:
    await publish(
        database.sink(on_conflict=on_conflict),
        batch(1, 2),
        batch(1, lane="delete"),
    )
    assert await values(database, "deleted") == [True, False]


async def test_without_a_column_for_the_mark_the_row_is_removed(
    database: Database,
) -> None:
    sink = database.sink(columns=["event_id", "ticks", "value_number"])
    await publish(sink, batch(1, 2, 3), batch(1, 2, lane="delete"), batch(1))
    assert await values(database) == [1, 3]


async def test_messages_that_wait_are_committed_together(database: Database) -> None:
    sink = database.sink(batch=3)
    await publish(sink, *[batch(n, tag=Tag(f"T{n}")) for n in range(7)])
    assert (sink.commits, sink.written) == (3, 7)


async def test_a_linger_makes_one_commit_of_several(database: Database) -> None:
    sink = database.sink(batch=3, linger=30)
    await sink.start()
    found = []
    for n in range(3):
        found += await acks(sink, batch(n, tag=Tag(f"T{n}")))
        await asyncio.sleep(0.01)
    await asyncio.gather(*found)
    assert sink.commits == 1
    await sink.stop()


async def test_a_stop_ends_a_linger(database: Database) -> None:
    sink = database.sink(linger=30)
    await sink.start()
    (ack,) = await acks(sink, batch(1))
    await sink.stop()
    assert await ack is None


async def test_a_message_is_settled_after_its_commit(database: Database) -> None:
    sink = database.sink()
    await sink.start()
    for ack in await acks(sink, batch(1)):
        await ack
    assert await values(database) == [1]
    await sink.stop()


async def checked(database: Database) -> SQLSink:
    """A sink whose table takes no negative numbers."""
    sink = database.sink(columns=["event_id", "ticks", "value_number"], create=False)
    await database.run(
        "CREATE TABLE TABLE_ (event_id text PRIMARY KEY, ticks bigint,"
        " value_number double precision CHECK (value_number >= 0))"
    )
    return sink


async def test_a_bad_row_is_set_aside_and_the_others_are_stored(
    database: Database,
) -> None:
    outcome = await through(await checked(database), batch(1, -2, 3, 4, -5))
    assert (outcome.state, outcome.sample_errors) == ("processed", 2)
    assert await values(database) == [1, 3, 4]


async def test_bad_rows_of_many_are_found(database: Database) -> None:
    sink = await checked(database)
    given = [-1 if n in (0, 77, 299) else n for n in range(300)]
    (error,) = await publish(sink, batch(*given))
    assert (sorted(error.causes), len(error.failed.payload)) == ([0, 77, 299], 3)
    assert await values(database) == [n for n in given if n >= 0]


async def test_a_message_of_bad_rows_fails_and_others_do_not(
    database: Database,
) -> None:
    msgs = [batch(1), batch(-1), batch(-2, -3), batch(2, tag=Tag("T"))]
    errors = await publish(await checked(database), *msgs)
    kinds = [type(error) for error in errors]
    assert kinds == [type(None), RowRefused, SampleErrors, type(None)]


async def test_values_out_of_range_are_set_aside(database: Database) -> None:
    sink = database.sink()
    outcome = await through(sink, batch(1, 10**400, "\ud800", 2))
    assert outcome.sample_errors == 2
    assert await values(database) == [1, 2]


ODD = [
    *(10**400, -(10**400), 2**63, 2**64, nan, -inf, -0.0, 5e-324),
    *("\ud800", "a\0b", "", "x" * 100_000, "\U0010ffff"),
    *([1, {"a": [None]}], {"a": {1: 2}}, [object()], {1, 2}, (1, "\ud800"), b"\xff"),
    *(Decimal("1.5"), datetime(2024, 5, 1, tzinfo=UTC), object()),
    *(DigitalState("\ud800", 1), DigitalState("a\0", 2), DigitalState("far", 2**70)),
    *(ValueFailure("\0"), ValueFailure(""), None, True),
]


@pytest.mark.parametrize("repeated", [1, 10])
async def test_no_value_stops_the_others(database: Database, repeated: int) -> None:
    good = [batch(1.0, tag=Tag(f"G{n}")) for n in range(3)]
    odd = batch(*ODD * repeated)
    odd.payload = [s.with_(id=f"{n}") for n, s in enumerate(odd.payload)]
    sink = database.sink()
    outcome = await through(sink, odd)
    stored = len(await values(database))
    assert stored + outcome.sample_errors == len(ODD) * repeated
    assert 10 * repeated <= stored < len(ODD) * repeated
    assert await publish(database.sink(), *good) == [None] * 3


async def test_counts_tell_what_was_written_and_refused(database: Database) -> None:
    sink = await checked(database)
    await publish(sink, batch(1, -2, 3), batch(-1, -2))
    counts = sink.statistics()
    assert (counts["written"], counts["failed"], counts["queued"]) == (2, 3, 0)


async def test_columns_are_named_and_chosen(database: Database) -> None:
    sink = database.sink(
        columns={
            "id": "event_id",
            "v": "value_number",
            "double": lambda s: s.value * 2,
        },
        types={"double": "double precision"},
        key="id",
    )
    await publish(sink, batch(1.5))
    assert await database.run("SELECT v, double FROM TABLE_") == [(1.5, 3.0)]


async def test_facts_of_meta_context_and_tags_are_columns(database: Database) -> None:
    extra = {"site": "meta.site", "device": "ctx.before", "area": "tags.area"}
    msg = batch(1)
    msg.meta |= {"site": 5, "tags": {"TI1": {"area": "boiler"}}}
    msg.ctx["before"] = {"payload": {"id": 7}, "meta": {}}
    await publish(database.sink(extra=extra), msg)
    found = await database.run("SELECT site, device, area FROM TABLE_")
    assert found == [("5", '{"id":7}', "boiler")]


async def test_a_function_that_fails_sets_its_sample_aside(database: Database) -> None:
    sink = database.sink(extra={"inverse": lambda s: 1 / s.value})
    outcome = await through(sink, batch(1, 0, 2))
    assert outcome.sample_errors == 1
    assert await values(database) == [1, 2]


def row_of(msg: Message) -> dict[str, Any]:
    return {"event_id": msg.uuid, **msg.payload}


TYPES = {"event_id": "text", "ticks": "bigint", "device": "text", "data": "text"}


async def test_rows_are_made_of_any_message(database: Database) -> None:
    sink = database.sink(row=row_of, types=TYPES)
    msg = Message(payload={"device": "P7", "data": {"a": 1}})
    await publish(sink, msg, msg)
    found = await database.run("SELECT device, ticks, data FROM TABLE_")
    assert found == [("P7", None, '{"a":1}')]


async def test_a_row_with_an_unknown_column_fails_alone(database: Database) -> None:
    sink = database.sink(row=row_of, types=TYPES)
    await sink.start()
    with pytest.raises(CodecError, match="'devise' that is not; did you mean 'device'"):
        await acks(sink, Message(payload={"devise": "P7"}))
    await sink.stop()


@pytest.mark.parametrize("made", [5, None, "text", [5], iter(lambda: 1 / 0, 1)])
async def test_what_is_no_row_is_told(database: Database, made: Any) -> None:
    outcome = await through(
        database.sink(row=lambda msg: made, types=TYPES), Message(payload=1)
    )
    assert isinstance(outcome.error, CodecError)


async def test_a_message_can_give_several_rows_and_none(database: Database) -> None:
    sink = database.sink(row=lambda msg: msg.payload, types=TYPES)
    rows = [{"event_id": "a", "ticks": 1}, {"event_id": "b", "ticks": 2}]
    assert await publish(sink, Message(payload=rows), Message(payload=[])) == [None] * 2
    assert await values(database, "event_id") == ["a", "b"]


async def test_what_is_no_batch_needs_a_function(database: Database) -> None:
    outcome = await through(database.sink(), Message(payload={"a": 1}))
    assert isinstance(outcome.error, UsageError)


async def test_a_table_that_is_there_needs_its_columns(database: Database) -> None:
    await database.run("CREATE TABLE TABLE_ (event_id text PRIMARY KEY, tick bigint)")
    sink = database.sink(columns=["event_id", "ticks"])
    with pytest.raises(SettingsError, match="no column 'ticks'; did you mean 'tick'"):
        await sink.start()
    await sink.stop()


async def test_a_table_without_unique_key_is_told(database: Database) -> None:
    await database.run("CREATE TABLE TABLE_ (event_id text, ticks bigint)")
    await database.run("CREATE INDEX TABLE_i ON TABLE_ (event_id)")
    (*_, found) = await database.sink(columns=["event_id", "ticks"]).probe()
    assert (found.ok, "no unique index on (event_id)" in found.text) == (False, True)


async def test_a_unique_index_is_as_good_as_a_primary_key(database: Database) -> None:
    await database.run("CREATE TABLE TABLE_ (event_id text, ticks bigint)")
    await database.run("CREATE UNIQUE INDEX TABLE_i ON TABLE_ (event_id)")
    sink = database.sink(columns=["event_id", "ticks"])
    assert await publish(sink, batch(1), batch(1)) == [None, None]


async def test_a_column_that_needs_a_value_is_told(database: Database) -> None:
    await database.run(
        "CREATE TABLE TABLE_ (event_id text PRIMARY KEY, site text NOT NULL,"
        " area text NOT NULL DEFAULT '')"
    )
    (*_, found) = await database.sink(columns=["event_id"]).probe()
    assert found.text.endswith("column 'site' needs a value and gets none")


async def test_a_table_that_is_not_there_is_not_made_unasked(
    database: Database,
) -> None:
    sink = database.sink(create=False)
    with pytest.raises(SettingsError, match="is not there; create it"):
        await sink.start()
    await sink.stop()


async def test_probe_tells_what_will_be_made_and_makes_nothing(
    database: Database,
) -> None:
    (*_, found) = await database.sink().probe()
    assert (found.ok, found.text.endswith("will be made")) == (True, True)
    (*_, found) = await database.sink(create=False).probe()
    assert (found.ok, found.text.endswith("is not there")) == (False, True)


async def test_probe_tells_that_a_table_fits(database: Database) -> None:
    await publish(database.sink(), batch(1))
    findings = await database.sink().probe()
    assert [finding.ok for finding in findings] == [True] * len(findings)


async def test_a_table_dropped_meanwhile_is_made_again(database: Database) -> None:
    sink = database.sink(retry=SOON)
    await sink.start()
    await database.run("DROP TABLE TABLE_")
    await asyncio.gather(*await acks(sink, batch(1)))
    assert await values(database) == [1]
    await sink.stop()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"key": "event"}, "not among the columns; did you mean 'event_id'"),
        ({"columns": ["event_id", "tiks"]}, "no such field; did you mean 'ticks'"),
        ({"extra": {"a": "metas.a"}}, "no such field"),
        ({"types": {"tick": "int"}}, "no such column; did you mean 'ticks'"),
        ({"types": {"ticks": "int; drop"}}, "no SQL type"),
        ({"on_conflict": "updte"}, "did you mean 'update'"),
        ({"row": row_of}, "row= needs the columns"),
        ({"batch": 0}, "1 or more"),
        ({"columns": "event_id"}, "a list or mapping"),
        ({"table": ""}, "not the name of a table"),
    ],
)
def test_settings_that_cannot_be_meant_are_told(
    tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    tables = SQLiteTables(tmp_path)
    tables.table = options.pop("table", "samples")
    with pytest.raises(SettingsError, match=told):
        tables.sink(**options)


def test_every_field_can_be_a_column(tmp_path: Path) -> None:
    sink = SQLiteTables(tmp_path).sink(columns=FIELDS)
    (row,) = sink.encode(batch(1))
    found = dict(zip(FIELDS, row, strict=True))
    assert (found["time"], found["tag_key"]) == (format_ticks(NOON), "7")
