"""publish.MQTT and a real broker: topics, acknowledgements, and what breaks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from nodes import publish
from pichannels.channels import BaseChannel
from pichannels.delivery import Outcome
from pichannels.errors import SampleErrors, SettingsError
from pichannels.formats.csv_codec import CsvCodec
from pichannels.message import Message
from pichannels.mqtt import Connection, Login, Publish
from pichannels.retry import RetryPolicy
from pichannels.values import Sample, Tag
from tests.servers.mosquitto import Mosquitto

SOON = RetryPolicy(attempts=0, initial=0.05, maximum=0.1)


def batch(*names: str, lane: str = "live") -> Message:
    samples = [
        Sample(Tag(name, server="S", units="K"), 10**16 + n, float(n))
        for n, name in enumerate(names)
    ]
    return Message(payload=samples, meta={"lane": lane})


@pytest.fixture
def root() -> str:
    """A topic of which nobody has heard."""
    return uuid4().hex


@asynccontextmanager
async def subscribed(broker: Mosquitto, root: str) -> AsyncIterator[Connection]:
    connection = await Connection.open(Login(broker.url), f"reader-{root}")
    assert await connection.subscribe({f"{root}/#": 2}) == {}
    yield connection
    await connection.close()


async def received(connection: Connection, count: int) -> list[Publish]:
    found: list[Publish] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += await connection.messages()
            for each in found:
                connection.acknowledge(each)
    return found


async def send(node: publish.MQTT, *messages: Message) -> list[Outcome]:
    channel = BaseChannel("out")
    channel.add(node)
    await channel.start()
    try:
        return [await channel.run(msg) for msg in messages]
    finally:
        await channel.stop()


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_each_sample_goes_to_the_topic_of_its_tag(
    mosquitto: Mosquitto, root: str, qos: int
) -> None:
    node = publish.MQTT(mosquitto.url, f"{root}/{{server}}/{{name}}", qos=qos)
    msg = batch("TI1", "U1/TI2+#", lane="repair")
    async with subscribed(mosquitto, root) as reader:
        (outcome,) = await send(node, msg)
        first, second = await received(reader, 2)
    assert (outcome.error, first.qos) == (None, qos)
    topics = [f"{root}/S/TI1", f"{root}/S/U1/TI2%2B%23"]
    assert [first.topic, second.topic] == topics
    line = json.loads(first.payload)
    sample = msg.payload[0]
    assert (line["tag"], line["value"], line["lane"]) == ("TI1", 0.0, "repair")
    assert first.properties == {
        "content_type": "application/json",
        "user_property": [("event_id", sample.event_id), ("lane", "repair")],
    }


async def test_other_payloads_are_one_message(mosquitto: Mosquitto, root: str) -> None:
    node = publish.MQTT(mosquitto.url, f"{root}/%(meta.unit)s", expiry=60)
    messages = [
        Message("text/csv", "a;b", {"unit": "u{1}"}),
        Message("application/python", {"a": 1}, {"unit": "u2"}),
    ]
    async with subscribed(mosquitto, root) as reader:
        await send(node, *messages)
        text, plain = await received(reader, 2)
    assert (text.topic, text.payload) == (f"{root}/u{{1}}", b"a;b")
    assert (plain.payload, text.properties["content_type"]) == (b'{"a":1}', "text/csv")
    assert text.properties["message_expiry_interval"] in (59, 60)
    assert text.properties["user_property"][0] == ("message_id", messages[0].uuid)


async def test_a_codec_makes_the_values(mosquitto: Mosquitto, root: str) -> None:
    codec = CsvCodec(["tag", "value"])
    node = publish.MQTT(mosquitto.url, f"{root}/{{name}}", codec=codec)
    async with subscribed(mosquitto, root) as reader:
        await send(node, batch("a"))
        (found,) = await received(reader, 1)
    assert found.payload == b"a,0.0"
    assert found.properties["content_type"] == "text/csv"


async def test_a_function_names_the_topic(mosquitto: Mosquitto, root: str) -> None:
    def topic(sample: Sample) -> str:
        return f"{root}/{'high' if sample.value else 'low'}"

    node = publish.MQTT(mosquitto.url, topic, protocol="3.1.1")
    async with subscribed(mosquitto, root) as reader:
        await send(node, batch("a", "b"))
        found = await received(reader, 2)
    assert [each.topic for each in found] == [f"{root}/low", f"{root}/high"]


async def test_the_last_value_is_retained(mosquitto: Mosquitto, root: str) -> None:
    node = publish.MQTT(mosquitto.url, f"{root}/{{name}}", retain=True)
    await send(node, batch("a", "a"))
    async with subscribed(mosquitto, root) as reader:
        (last,) = await received(reader, 1)
    assert last.retain and json.loads(last.payload)["value"] == 1.0


async def test_a_broker_that_restarts_gets_all_in_order(
    mosquitto: Mosquitto, root: str
) -> None:
    node = publish.MQTT(mosquitto.url, f"{root}/a", retry=SOON, timeout=5)
    login, name = Login(mosquitto.url), f"reader-{root}"
    # Mosquitto forgets sessions with a clean start when it restarts.
    kept: dict[str, Any] = {"clean_start": False, "session_expiry": 60}
    reader = await Connection.open(login, name, **kept)
    await reader.subscribe({f"{root}/#": 1})
    await reader.close()
    await node.start()
    acks = []
    for number in range(400):
        pending = await node.handle(Message(payload=str(number).encode()))
        acks.append(pending.ack)
        await asyncio.sleep(0)
        if number in (100, 250):
            await asyncio.to_thread(mosquitto.stop)
        if number in (150, 300):
            await asyncio.sleep(0.1)
            await asyncio.to_thread(mosquitto.start)
    await asyncio.gather(*acks)
    await node.stop()
    reader = await Connection.open(login, name, **kept)
    found = [int(each.payload) for each in await all_of(reader)]
    await reader.close()
    assert list(dict.fromkeys(found)) == list(range(400))
    assert node.errors > 0 and node.written == 400


async def all_of(connection: Connection) -> list[Publish]:
    """What the broker has kept, up to the last number."""
    found: list[Publish] = []
    async with asyncio.timeout(10):
        while not found or found[-1].payload != b"399":
            batch = await connection.messages()
            for each in batch:
                connection.acknowledge(each)
            found += batch
    return found


async def test_what_the_broker_refuses_is_set_aside(tmp_path: Path, root: str) -> None:
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite open/#\n")
    broker = Mosquitto(f"acl_file {rules}")
    await asyncio.to_thread(broker.start)
    try:
        node = publish.MQTT(broker.url, "{name}")
        some, all_ = await send(node, batch("open/a", "shut/b"), batch("shut/c"))
    finally:
        await asyncio.to_thread(broker.close)
    assert (some.state, some.sample_errors) == ("processed", 1)
    assert [s.tag.name for s in some.aside[0].message.payload] == ["shut/b"]
    assert isinstance(all_.error, publish.Refused | SampleErrors)
    assert "not authorized" in str(all_.error) and node.written == 1


@pytest.mark.parametrize(
    ("topic", "payload", "words"),
    [
        ("%(meta.nothing)s", "x", "nothing at meta.nothing"),
        ("a/{name}", "x", "only samples have a tag"),
        (lambda msg: "a/#", "x", "has a wildcard"),
        (lambda msg: "", "x", "the topic is empty"),
        ("a", object(), "JSON has nothing"),
    ],
)
async def test_a_message_without_a_topic_or_json_fails(
    mosquitto: Mosquitto, topic: Any, payload: Any, words: str
) -> None:
    node = publish.MQTT(mosquitto.url, topic)
    (outcome,) = await send(node, Message(payload=payload))
    assert words in str(outcome.error)


async def test_the_probe_tells_whether_the_broker_is_there(
    mosquitto: Mosquitto,
) -> None:
    node = publish.MQTT(mosquitto.url, "a")
    assert (await node.probe())[0].ok
    away = publish.MQTT("mqtt://127.0.0.1:9", "a")
    assert not (await away.probe())[0].ok


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "tcp://x"}, "not a URL"),
        ({"topic": "a/+"}, "this is no topic"),
        ({"topic": "{tag}"}, "no such field"),
        ({"topic": "%(tag)s"}, "no such place"),
        ({"qos": 3}, "no such QoS"),
        ({"protocol": "4"}, "no such choice"),
        ({"expiry": 0}, "expiry"),
    ],
)
def test_an_option_that_cannot_work_is_told(
    options: dict[str, Any], words: str
) -> None:
    given: dict[str, Any] = {"url": "mqtt://x", "topic": "a"}
    with pytest.raises(SettingsError, match=words):
        publish.MQTT(**(given | options))
