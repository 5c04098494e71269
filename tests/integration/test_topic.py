"""Topics of stream applications and a real broker."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from pichannels.adapters.kafka import Refused
from pichannels.dataflow import (
    Application,
    Checkpoint,
    Conf,
    Dependency,
    JsonCodec,
    fresh,
)
from pichannels.dataflow.following import Event, Follower
from pichannels.dataflow.topic import READ_FROM_END, READ_FROM_START, Record, Topic
from pichannels.dataflow.topic_following import TopicOutlet
from pichannels.errors import NotConnected, RetryLater, SettingsError, UsageError
from pichannels.secrets import Secret
from tests.servers.kafka import PASSWORD, USER, Kafka
from tests.servers.proxy import Proxy

Make = Callable[..., Topic]


@pytest.fixture
def app() -> Iterator[Application]:
    """An application of the test's own is the current one."""
    with fresh() as application:
        yield application


@pytest.fixture
async def make(kafka: Kafka, app: Application) -> AsyncIterator[Make]:
    """Makes topics on the broker of a name of which nobody has heard."""
    name = uuid4().hex
    made: list[Topic] = []
    common = {"bootstrap_servers": kafka.address, "auto_offset_reset": "earliest"}

    def new(conf: dict[str, Any] | None = None, **options: Any) -> Topic:
        named = options.pop("name", name)
        settings = common | {"group_id": name, "session_timeout_ms": 2000}
        made.append(Topic(named, settings | (conf or {}), **options))
        return made[-1]

    await kafka.make_topic(name, partitions=2)
    yield new
    for topic in made:
        await topic.close()


async def taken(topic: Topic, count: int) -> list[Record]:
    async with asyncio.timeout(15):
        return [await anext(topic) for _ in range(count)]


async def values(topic: Topic, count: int) -> list[Any]:
    return [record.value for record in await taken(topic, count)]


async def test_a_topic_is_written_and_read_as_in_the_document(make: Make) -> None:
    topic = make({"group_instance_id": "demo"})
    await topic(key="trophy", value="🏆")
    await topic(key="fish", value="🐟")
    found: dict[Any, Any] = {}
    async with asyncio.timeout(15):
        async for msg in topic:
            found[msg.key] = msg.value
            if len(found) == 2:
                break
    assert found == {"trophy": "🏆", "fish": "🐟"}


def test_settings_are_merged_as_in_the_document(app: Application) -> None:
    Conf({"bootstrap_servers": "localhost:29091", "group_id": "default-demo"})
    topic1 = Topic("emoji", {"bootstrap_servers": "localhost:29092"})
    login = {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "myuser",
        "sasl_plain_password": "mypass",
    }
    Conf(login)
    topic2 = Topic("conf", {"group_id": "demo"})
    first = {"bootstrap_servers": "localhost:29092", "group_id": "default-demo"}
    second = {"bootstrap_servers": "localhost:29091", "group_id": "demo"}
    assert (topic1.conf, topic2.conf) == (first, second | login)


async def test_a_codec_makes_values_and_none_deletes(make: Make) -> None:
    topic = make(codec=JsonCodec())
    await topic("fish", {"msg": "a"}, {"from": "test"}, partition=0)
    await topic("fish", None, partition=0, timestamp_ms=5000)
    first, second = await taken(topic, 2)
    assert (first.value, list(first.headers)) == ({"msg": "a"}, [("from", b"test")])
    assert (second.value, second.timestamp) == (None, 5000)


async def test_what_cannot_be_read_is_a_dead_letter(make: Make, kafka: Kafka) -> None:
    plain, dead = make(), make(name=uuid4().hex)
    topic = make(codec=JsonCodec(), dead_letters=dead)
    await kafka.make_topic(dead.name)
    for value in ("1", "no JSON", "2"):
        await plain("k", value)
    assert await values(topic, 2) == [1, 2]
    (letter,) = await taken(dead, 1)
    assert (letter.key, letter.value, topic.dead) == ("k", "no JSON", 1)
    assert b"JSON" in dict(letter.headers)["error"]


async def test_a_function_may_take_dead_letters(make: Make) -> None:
    found: list[tuple[bytes, str]] = []
    plain = make()
    topic = make(
        codec=JsonCodec(),
        dead_letters=lambda raw, error: found.append((raw.value, type(error).__name__)),
    )
    await plain("k", "no JSON")
    await plain("k", "1")
    assert (await values(topic, 1), found) == ([1], [(b"no JSON", "DecodeError")])


async def test_what_was_settled_does_not_come_again(make: Make) -> None:
    topic, other = make(), make()
    for number in range(4):
        await topic("k", number)
    assert await values(topic, 3) == ["0", "1", "2"]
    # The third one is not settled: nobody has asked for the next.
    await topic.close()
    assert await values(other, 1) == ["2"]
    await other.commit()
    await other.close()
    assert await values(topic, 1) == ["3"]


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (READ_FROM_START, ["0", "1", "2", "new"]),
        (READ_FROM_END, ["new"]),
        (2, ["2", "new"]),
        ({1: 1}, ["1", "2", "new"]),
        (datetime.fromtimestamp(1, UTC), ["1", "2", "new"]),
    ],
)
async def test_an_offset_counts_more_than_what_was_committed(
    make: Make, kafka: Kafka, offset: Any, expected: list[str]
) -> None:
    if isinstance(offset, datetime):
        kafka.needs("offsets by time")
    writer = make()
    for number in range(3):
        await writer("k", number, partition=1, timestamp_ms=1000 * number)
    before = make()
    await taken(before, 2)
    await before.commit()
    await before.close()
    topic = make(offset=offset)
    stream = await topic.open_stream()
    await writer("k", "new", partition=1, timestamp_ms=9000)
    assert await values(topic, len(expected)) == expected
    await stream.close()


async def test_seeking_goes_back(make: Make) -> None:
    topic = make()
    for number in range(3):
        await topic("k", number, partition=0)
    assert await values(topic, 3) == ["0", "1", "2"]
    await topic.seek({0: 1})
    assert await values(topic, 2) == ["1", "2"]


async def test_a_pause_is_at_once_and_so_is_the_end_of_it(make: Make) -> None:
    topic = make()
    await topic("k", "a")
    await topic("k", "b")
    await taken(topic, 1)
    topic.pause()
    waiting = asyncio.ensure_future(anext(topic))
    done, _ = await asyncio.wait([waiting], timeout=0.1)
    assert not done
    topic.resume()
    async with asyncio.timeout(0.5):
        assert (await waiting).value == "b"


async def test_a_dry_topic_writes_nothing(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    topic = make(dry=True, conf={"bootstrap_servers": "127.0.0.1:1"})
    with caplog.at_level(logging.WARNING):
        await topic("fish", 1)
    assert "'fish'" in caplog.text


async def test_topics_are_sources_and_sinks_of_handlers(
    make: Make, app: Application, kafka: Kafka
) -> None:
    source, sink = make(), make(codec=JsonCodec(), name=uuid4().hex)
    await kafka.make_topic(sink.name)
    for number in range(3):
        await source("k", number)

    @app.handle(source, sink=[sink])
    def double(msg: Record) -> tuple[str, int]:
        if msg.value == "2":
            app.stop()
        return msg.key, 2 * int(msg.value)

    async with asyncio.timeout(15):
        await app.stream()
    assert await values(sink, 3) == [0, 2, 4]


async def test_a_record_whose_handler_failed_comes_again(
    make: Make, app: Application
) -> None:
    topic, again = make(), make()
    for number in range(3):
        await topic("k", number)

    @app.handle(topic)
    def fail(msg: Record) -> None:
        if msg.value == "1":
            raise ValueError("not this one")

    with pytest.raises(ValueError, match="not this one"):
        async with asyncio.timeout(15):
            await app.stream()
    assert await values(again, 2) == ["1", "2"]


async def test_many_records_are_worked_on_those_of_a_key_in_order(
    make: Make, app: Application
) -> None:
    topic, after = make(at_once=4), make()
    for number in range(24):
        await topic(str(number % 6), number)
    found: list[int] = []
    now = most = 0

    @app.handle(topic)
    async def work(msg: Record) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        found.append(int(msg.value))
        if len(found) == 24:
            app.stop()

    async with asyncio.timeout(15):
        await app.stream()
    await after("k", "last")
    assert (most, sorted(found)) == (4, list(range(24)))
    for key in range(6):
        assert [n for n in found if n % 6 == key] == list(range(key, 24, 6))
    assert await values(after, 1) == ["last"]


@pytest.mark.parametrize("way", ["failed", "stopped"])
async def test_what_was_overtaken_comes_again(
    make: Make, app: Application, way: str
) -> None:
    topic, again = make(at_once=9, codec=JsonCodec()), make()
    app.drain_timeout = 0.1
    for number in range(5):
        await topic(str(number), number, partition=0)
    await again("bad", "no JSON", partition=0)
    await topic("5", 5, partition=0)
    found: list[int] = []

    @app.handle(topic)
    async def work(msg: Record) -> None:
        if msg.value == 1:
            while len(found) < 5:  # noqa: ASYNC110 - they are counted
                await asyncio.sleep(0.01)
            if way == "failed":
                raise ValueError("not this one")
            app.stop()
            await asyncio.Event().wait()
        found.append(msg.value)

    with suppress(ValueError, asyncio.CancelledError):
        async with asyncio.timeout(15):
            await app.stream()
    assert sorted(found) == [0, 2, 3, 4, 5]
    assert await values(again, 2) == ["1", "2"]


async def test_a_stop_ends_what_is_worked_on(make: Make, app: Application) -> None:
    topic, again = make(at_once=4), make()
    for number in range(3):
        await topic(str(number), number, partition=0)
    await again("k", "behind", partition=0)
    begun: list[str] = []
    found: list[str] = []

    @app.handle(topic)
    async def work(msg: Record) -> None:
        begun.append(msg.value)
        if len(begun) == 4:
            app.stop()
        await asyncio.sleep(0.2)
        found.append(msg.value)

    async with asyncio.timeout(15):
        await app.stream()
    await again("k", "new", partition=0)
    assert found == ["0", "1", "2", "behind"]
    assert await values(again, 1) == ["new"]


async def test_a_topic_is_made_and_described(make: Make, kafka: Kafka) -> None:
    kafka.needs("topics that clients make")
    topic = make(name=uuid4().hex)
    with pytest.raises(RetryLater, match="has no topic"):
        await topic.describe()
    assert await topic.create(partitions=3)
    assert not await topic.create()
    assert sorted((await topic.describe())["partitions"]) == [0, 1, 2]


async def test_a_login_over_tls_takes_secrets(make: Make, kafka: Kafka) -> None:
    kafka.needs("logins")
    topic = make(
        {
            "bootstrap_servers": kafka.secure_address,
            "security_protocol": "SASL_SSL",
            "ssl_context": ssl.create_default_context(cafile=str(kafka.certificate)),
            "sasl_mechanism": "PLAIN",
            "sasl_plain_username": USER,
            "sasl_plain_password": Secret("", PASSWORD),
        }
    )
    await topic("k", "v")
    assert await values(topic, 1) == ["v"]


async def test_what_the_brokers_refuse_is_told_and_the_rest_goes_on(
    make: Make, kafka: Kafka
) -> None:
    kafka.needs("limit for the size of a record")
    topic = make({"max_request_size": 2**23})
    with pytest.raises(Refused):
        await topic("k", "x" * 2_000_000)
    await topic("k", "small")
    assert await values(topic, 1) == ["small"]


async def test_nobody_there_is_told(make: Make) -> None:
    with pytest.raises(NotConnected, match="127.0.0.1:1"):
        await make({"bootstrap_servers": "127.0.0.1:1"})("k", "v")


async def test_a_stream_waits_for_brokers_that_are_away_at_its_start(
    make: Make, kafka: Kafka, app: Application, caplog: pytest.LogCaptureFixture
) -> None:
    await make()("k", "v")
    found: list[Any] = []

    def take(record: Record) -> None:
        found.append(record.value)
        app.stop()

    async with Proxy(int(kafka.address.rpartition(":")[2])) as proxy:
        proxy.refusing = True
        topic = make({"bootstrap_servers": f"127.0.0.1:{proxy.port}"})
        app.handle(topic)(take)
        streaming = asyncio.create_task(app.stream())
        async with asyncio.timeout(20):
            while "; again in" not in caplog.text:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
            proxy.heal()
            await streaming
    assert found == ["v"]


async def test_a_value_without_a_form_needs_a_codec(make: Make) -> None:
    with pytest.raises(UsageError, match="JsonCodec"):
        await make()("k", {"a": 1})


async def test_it_is_read_once_at_a_time(make: Make) -> None:
    topic = make()
    await topic.open_stream()
    with pytest.raises(UsageError, match="being read already"):
        await topic.open_stream()


@pytest.mark.parametrize(
    "options",
    [
        {"conf": {"bootstrap_server": "k:9092"}},
        {"conf": {"bootstrap_servers": "k"}},
        {"conf": {"enable_auto_commit": True}},
        {"conf": {"auto_offset_reset": "smallest"}},
        {"name": "pi values"},
        {"offset": -3},
        {"at_once": 0},
        {"offset": "then"},
    ],
)
def test_settings_are_looked_at(app: Application, options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        Topic(**({"name": "t"} | options))


async def test_clients_of_an_endpoint_follow_a_topic(make: Make) -> None:
    topic = make(codec=JsonCodec())
    outlet = TopicOutlet(topic)
    new = await outlet.open(None, "disconnect")
    place = new.place
    await topic("k", 1, partition=0)
    await topic("k", 2, partition=1)
    found = [json.loads(event.data)["value"] for event in await all_of(new, 2)]
    again = await outlet.open(place, "disconnect")
    events = await all_of(again, 2)
    last = await outlet.open(events[0].id, "disconnect")
    (left,) = await all_of(last, 1)
    assert sorted(found) == [1, 2]
    assert (left.data, left.key) == (events[1].data, '"k"')
    for follower in (new, again, last):
        await follower.close()


async def test_clients_of_an_endpoint_hear_of_records_that_are_gone(make: Make) -> None:
    topic = make()
    await topic("k", "here", partition=0)
    follower = await TopicOutlet(topic).open("no place", "skip")
    gap, update = await all_of(follower, 2)
    assert (gap.kind, gap.data) == ("gap", '{"lost":null}')
    assert json.loads(update.data) == {"key": "k", "value": "here"}
    await follower.close()


async def all_of(follower: Follower, count: int) -> list[Event]:
    found: list[Event] = []
    async with asyncio.timeout(15):
        while len(found) < count:
            found += await follower.take(1)
    return found


async def test_what_was_enriched_with_old_values_is_enriched_again(
    make: Make, app: Application, kafka: Kafka
) -> None:
    activity, weather = make(), make({"group_id": uuid4().hex}, name=uuid4().hex)
    await kafka.make_topic(weather.name)
    found: list[tuple[int, str]] = []
    now, is_down, is_known = "", asyncio.Event(), asyncio.Event()

    async def again(checkpoint: Checkpoint, dependency: Dependency) -> None:
        places = dependency.checkpoint_state or {}
        await activity.seek({int(part): offset for part, offset in places.items()})

    checkpoint = Checkpoint(
        "activity",
        activity,
        [Dependency("weather", weather, downtime_check=minutes_behind)],
        downtime_callback=lambda *_: is_down.set(),
        recovery_callback=again,
    )

    @app.handle(weather)
    async def remember(msg: Record) -> None:
        nonlocal now
        minute, now = msg.value.split()
        await checkpoint.heartbeat(int(minute))
        is_known.set()

    @app.handle(activity)
    async def enrich(msg: Record) -> None:
        await is_known.wait()
        found.append((int(msg.value), now))
        state = {str(msg.partition): msg.offset}
        await checkpoint.check_pulse(int(msg.value), **state)
        if found[-1] == (12, "rain"):
            app.stop()

    async with asyncio.timeout(20):
        streaming = asyncio.create_task(app.stream())
        await weather("k", "0 sun")
        for minute in (5, 9, 12):
            await activity("k", minute, partition=0)
        await is_down.wait()
        await weather("k", "13 rain")
        await streaming
    assert found == [
        *((minute, "sun") for minute in (5, 9, 12)),
        *((minute, "rain") for minute in (5, 9, 12)),
    ]


def minutes_behind(checkpoint: Checkpoint, dependency: Dependency) -> Any:
    behind = checkpoint.state_marker - dependency.checkpoint_marker
    return behind if behind > 10 else None
