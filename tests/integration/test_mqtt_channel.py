"""MQTT channels and a real broker: what comes, what is acknowledged, what breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pichannels.channels.mqtt import MQTTChannel
from pichannels.errors import NotConnected, SettingsError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.mqtt import Connection, Login, Publish, Refused
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret
from tests.integration.certificates import make_certificate
from tests.servers.mosquitto import Mosquitto

SOON = RetryPolicy(attempts=0, initial=0.05, maximum=0.1)
BOTH = pytest.mark.parametrize("protocol", ["5", "3.1.1"])


class Kept(BaseNode):
    """Keeps what comes, when it is open."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.open = asyncio.Event()
        self.open.set()

    async def process(self, msg: Message) -> Message:
        await self.open.wait()
        self.messages.append(msg.copy())
        return msg

    @property
    def payloads(self) -> list[bytes]:
        return [msg.payload for msg in self.messages]


@pytest.fixture
def broker(mosquitto: Mosquitto) -> Mosquitto:
    return mosquitto


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = Journal(tmp_path / "journal.db")
    await journal.open()
    yield journal
    await journal.close()


def make(broker: Mosquitto, journal: Journal | None, **options: Any) -> MQTTChannel:
    options.setdefault("topics", "plant/#")
    options.setdefault("reconnect", SOON)
    channel = MQTTChannel(options.pop("name", "in"), url=broker.url, **options)
    channel.add(Kept())
    channel.attach(journal=journal)
    return channel


def kept(channel: MQTTChannel) -> Kept:
    node = channel.steps[0]
    assert isinstance(node, Kept)
    return node


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(*channels: MQTTChannel) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for channel in channels:
            await channel.start()
            stack.push_async_callback(channel.stop)
            await until(lambda each=channel: each.is_ready)  # type: ignore[misc]
        yield


async def publish(broker: Mosquitto, messages: Sequence[Publish]) -> None:
    connection = await Connection.open(Login(broker.url), "publisher")
    for number in range(0, len(messages), 10):
        part = messages[number : number + 10]
        await asyncio.gather(*(connection.publish(each) for each in part))
    await connection.close()


def numbered(count: int, qos: int, topic: str = "plant/a") -> list[Publish]:
    return [Publish(topic, str(n).encode(), qos) for n in range(count)]


@pytest.mark.parametrize("qos", [0, 1, 2])
@BOTH
async def test_messages_come_once_and_in_order(
    broker: Mosquitto, journal: Journal, protocol: str, qos: int
) -> None:
    channel = make(broker, journal, protocol=protocol, qos=qos)
    sent = numbered(100, qos)
    async with running(channel):
        await publish(broker, sent)
        await until(lambda: len(kept(channel).messages) >= 100)
    assert kept(channel).payloads == [each.payload for each in sent]
    assert {msg.meta["qos"] for msg in kept(channel).messages} == {qos}


async def test_a_message_has_its_topic_and_properties(
    broker: Mosquitto, journal: Journal
) -> None:
    properties = {"content_type": "text/csv", "user_property": [("unit", "K")]}
    channel = make(broker, journal)
    async with running(channel):
        await publish(broker, [Publish("plant/a", b"1", 1, properties=properties)])
        await until(lambda: bool(kept(channel).messages))
    (msg,) = kept(channel).messages
    assert msg.content_type == "text/csv"
    assert msg.meta == {
        "topic": "plant/a",
        "qos": 1,
        "retain": False,
        "properties": {"content_type": "text/csv", "user_property": [["unit", "K"]]},
        "lane": "live",
    }


async def test_wildcards_choose_topics_each_with_its_qos(
    broker: Mosquitto, journal: Journal
) -> None:
    channel = make(broker, journal, topics={"w/+/temp": 2, "w/alarm/#": 0})
    topics = ["w/a/temp", "w/a/level", "w/alarm/1/2", "w/a/b/temp", "w/b/temp"]
    async with running(channel):
        await publish(broker, [Publish(topic, b"", 2) for topic in topics])
        await until(lambda: len(kept(channel).messages) >= 3)
    found = {msg.meta["topic"]: msg.meta["qos"] for msg in kept(channel).messages}
    assert found == {"w/a/temp": 2, "w/alarm/1/2": 0, "w/b/temp": 2}


async def test_two_channels_share_a_subscription(
    broker: Mosquitto, journal: Journal
) -> None:
    channels = [make(broker, journal, name=name, group="both") for name in "ab"]
    a, b = map(kept, channels)
    async with running(*channels):
        await publish(broker, numbered(60, 1))
        await until(lambda: len(a.messages) + len(b.messages) >= 60)
    assert sorted(map(int, a.payloads + b.payloads)) == list(range(60))
    assert a.messages and b.messages


async def test_what_was_retained_is_marked(broker: Mosquitto, journal: Journal) -> None:
    await publish(broker, [Publish("kept/a", b"old", 1, retain=True)])
    channel = make(broker, journal, topics="kept/#")
    async with running(channel):
        await until(lambda: bool(kept(channel).messages))
    assert kept(channel).messages[0].meta["retain"] is True


@BOTH
@pytest.mark.parametrize("qos", [1, 2])
async def test_the_broker_keeps_what_comes_while_the_channel_is_stopped(
    broker: Mosquitto, journal: Journal, protocol: str, qos: int
) -> None:
    options = {"protocol": protocol, "qos": qos, "client_id": f"away{protocol}{qos}"}
    async with running(make(broker, journal, **options)):
        pass
    await publish(broker, numbered(20, qos))
    channel = make(broker, journal, **options)
    async with running(channel):
        await until(lambda: len(kept(channel).messages) >= 20)
    assert [int(each) for each in kept(channel).payloads] == list(range(20))


async def test_the_client_id_is_kept_in_the_journal(
    broker: Mosquitto, journal: Journal
) -> None:
    async with running(make(broker, journal)):
        pass
    await publish(broker, numbered(1, 1))
    again = make(broker, journal)
    async with running(again):
        await until(lambda: bool(kept(again).messages))
    assert kept(again).payloads == [b"0"]


async def test_a_clean_start_forgets_what_the_broker_kept(
    broker: Mosquitto, journal: Journal
) -> None:
    async with running(make(broker, journal, client_id="clean")):
        pass
    await publish(broker, numbered(1, 1))
    channel = make(broker, journal, client_id="clean", clean_start=True)
    async with running(channel):
        await publish(broker, [Publish("plant/new", b"new", 1)])
        await until(lambda: bool(kept(channel).messages))
    assert kept(channel).payloads == [b"new"]


async def test_a_broker_that_comes_back_is_found_with_what_it_kept(
    broker: Mosquitto, journal: Journal
) -> None:
    channel = make(broker, journal)
    async with running(channel):
        await publish(broker, numbered(5, 1))
        await until(lambda: len(kept(channel).messages) >= 5)
        await asyncio.to_thread(broker.stop)
        await until(lambda: not channel.is_ready)
        await asyncio.to_thread(broker.start)
        await publish(broker, [Publish("plant/a", b"after", 1)])
        await until(lambda: b"after" in kept(channel).payloads)
    assert (channel.losses, kept(channel).payloads.count(b"after")) == (1, 1)


async def test_a_stalled_sink_holds_nothing_up(
    broker: Mosquitto, journal: Journal
) -> None:
    channel = make(broker, journal, qos=2, receive_maximum=5, window=10)
    kept(channel).open.clear()
    async with running(channel):
        await publish(broker, numbered(300, 2))
        await until(lambda: channel.messages == 300)
        kept(channel).open.set()
        await until(lambda: len(kept(channel).messages) >= 300)
    assert [int(each) for each in kept(channel).payloads] == list(range(300))


async def test_without_a_journal_it_is_acknowledged_when_it_is_processed(
    broker: Mosquitto,
) -> None:
    channel = make(broker, None, client_id="bare")
    kept(channel).open.clear()
    async with running(channel):
        await publish(broker, numbered(1, 1))
        await until(lambda: channel.messages == 1)
        await channel.abort()
    again = make(broker, None, client_id="bare")
    async with running(again):
        await until(lambda: bool(kept(again).messages))
    assert kept(again).messages[0].meta["duplicate"] is True


@pytest.mark.parametrize("has_journal", [False, True])
async def test_a_paused_channel_loses_nothing(
    broker: Mosquitto, journal: Journal, has_journal: bool
) -> None:
    channel = make(broker, journal if has_journal else None)
    async with running(channel):
        await channel.pause()
        await publish(broker, numbered(5, 1))
        await until(lambda: channel.messages >= (5 if has_journal else 1))
        assert kept(channel).messages == []
        await channel.resume()
        await until(lambda: len(kept(channel).messages) >= 5)
    assert [int(each) for each in kept(channel).payloads] == list(range(5))


@pytest.mark.usefixtures("mosquitto")
async def test_tls_with_certificates_of_both_sides_and_a_login(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MQTT_PASSWORD", "open sesame")
    pem = make_certificate(tmp_path, "both")
    broker = Mosquitto(certificate=pem, login=("plant", "open sesame"))
    await asyncio.to_thread(broker.start)
    options = {"ca": pem, "certificate": pem, "user": "plant"}
    try:
        wrong = make(broker, journal, password="other", **options)
        (finding,) = await wrong.probe()
        assert not finding.ok and "not authorized" in finding.text
        right = make(broker, journal, password=Secret.env("MQTT_PASSWORD"), **options)
        async with running(right):
            assert (await right.probe())[0].ok
        (finding,) = await make(broker, journal).probe()
        assert "certificate" in finding.text.lower()
    finally:
        await asyncio.to_thread(broker.close)


async def test_a_refused_message_is_told(broker: Mosquitto) -> None:
    connection = await Connection.open(Login(broker.url), "large")
    try:
        with pytest.raises(Refused, match="null"):
            await connection.publish(Publish("a\0b", b"", 1))
        await asyncio.to_thread(broker.kill)
        with pytest.raises(NotConnected):
            await connection.publish(Publish("a", b"", 1))
    finally:
        await connection.close()


async def test_nobody_there_is_a_finding(broker: Mosquitto, journal: Journal) -> None:
    await asyncio.to_thread(broker.kill)
    (finding,) = await make(broker, journal).probe()
    assert not finding.ok and broker.url in finding.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "http://x"}, "not a URL"),
        ({"url": "mqtt://me:secret@x"}, "a login is no part of the URL"),
        ({"topics": []}, "topics"),
        ({"topics": "a/#/b"}, "this names no topics"),
        ({"qos": 3}, "no such QoS"),
        ({"protocol": "3.1"}, "no such version; did you mean '3.1.1'"),
        ({"receive_maximum": 0}, "1 to 65535"),
        ({"keep_alive": -1}, "keep_alive"),
    ],
)
def test_an_option_that_cannot_work_is_told(
    options: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError, match=words) as told:
        MQTTChannel("in", **({"url": "mqtt://x", "topics": "a"} | options))
    assert "secret" not in str(told.value)
