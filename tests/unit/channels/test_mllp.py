"""MLLP channels: what a block becomes, what is answered, and who is refused."""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import hl7  # type: ignore[import-untyped,unused-ignore]
import pytest
from hl7.client import MLLPClient  # type: ignore[import-untyped,unused-ignore]

from msgstore.memory import MemoryMessageStore, MemoryMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.channels.mllp import MLLPChannel
from pichannels.endpoints import ListenError
from pichannels.endpoints.mllp import ListenMLLP, MLLPEndpoint
from pichannels.errors import (
    Dropped,
    Rejected,
    RetryLater,
    SettingsError,
    UsageError,
)
from pichannels.hl7v2.framing import framed
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from tests.integration.certificates import make_certificate
from tests.unit.channels.steps import Gate

Done = Callable[[Message], Any]


class Call(BaseNode):
    def __init__(self, function: Done) -> None:
        super().__init__()
        self.function = function

    def process(self, msg: Message) -> Message:
        self.function(msg)
        return msg


def message(
    id: str = "7", kind: str = "ADT^A01", charset: str = "", name: str = "Doe"
) -> str:
    msh = rf"MSH|^~\&|LAB|NORTH|EHR|SOUTH|2026||{kind}|{id}|P|2.5||||||{charset}"
    return f"{msh}\rPID|1||9||{name}\r"


def make(*nodes: BaseNode, **options: Any) -> MLLPChannel:
    options.setdefault("endpoint", MLLPEndpoint(port=0))
    channel = MLLPChannel(options.pop("name", "a"), **options)
    channel.add(*nodes)
    return channel


@asynccontextmanager
async def running(*channels: BaseChannel) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for channel in channels:
            await channel.start()
            stack.push_async_callback(channel.stop)
        yield


class Sender:
    """A connection that sends bytes as they are given."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes | str) -> None:
        self.writer.write(data.encode() if isinstance(data, str) else data)

    async def answer(self) -> list[str]:
        """MSA-1 to MSA-3 of the next answer."""
        async with asyncio.timeout(30):
            block = await self.reader.readuntil(b"\x1c\r")
        segment = hl7.parse(block.strip(b"\x0b\x1c\r")).segment("MSA")
        return [str(field) for field in segment[1:]]

    async def is_closed(self) -> bool:
        async with asyncio.timeout(30):
            return await self.reader.read() == b""


@asynccontextmanager
async def connected(channel: MLLPChannel, **options: Any) -> AsyncIterator[Sender]:
    port = channel.endpoint.bound_port
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
    try:
        yield Sender(reader, writer)
    finally:
        writer.close()


async def ask(channel: MLLPChannel, data: bytes | str) -> list[str]:
    """What is answered to the content of one block."""
    content = data.encode() if isinstance(data, str) else data
    async with connected(channel) as sender:
        sender.send(framed(content))
        return await sender.answer()


async def answered(function: Done, **options: Any) -> list[str]:
    channel = make(Call(function), **options)
    async with running(channel):
        return await ask(channel, message())


def fails(error: Exception) -> Done:
    def fail(msg: Message) -> None:
        raise error

    return fail


async def stored(channel: MLLPChannel) -> list[tuple[str, Any]]:
    """State and payload of each message in the store."""
    store = channel.message_store
    assert isinstance(store, MemoryMessageStore)
    return [(e["state"], e["message"].payload) for e in await store.search(count=99)]


def keeping(*nodes: BaseNode, **options: Any) -> MLLPChannel:
    return make(*nodes, message_store_factory=MemoryMessageStoreFactory(), **options)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)


# Messages


async def received(data: bytes | str, **options: Any) -> Message:
    """The message that a block becomes."""
    found: list[Message] = []
    channel = make(Call(lambda msg: found.append(msg.copy())), **options)
    async with running(channel):
        await ask(channel, data)
    return found[0]


async def test_the_payload_is_the_message_as_text() -> None:
    msg = await received(message())
    assert (msg.payload, msg.content_type) == (message(), "text/hl7")


async def test_meta_tells_what_it_is_and_where_it_comes_from() -> None:
    assert (await received(message())).meta == {
        "message_type": "ADT^A01",
        "control_id": "7",
        "sending_application": "LAB",
        "sending_facility": "NORTH",
        "encoding": "utf-8",
        "remote": "127.0.0.1",
    }


@pytest.mark.parametrize(
    ("charset", "encoding", "default"),
    [
        ("", "utf-8", "utf-8"),
        ("", "cp1252", "cp1252"),
        ("8859/15", "iso8859-15", "utf-8"),
        ("UNICODE UTF-8", "utf-8", "cp1252"),
    ],
)
async def test_the_encoding_of_the_message_goes_before_that_of_the_channel(
    charset: str, encoding: str, default: str
) -> None:
    text = message(charset=charset, name="Müller 5 €")
    msg = await received(text.encode(encoding), encoding=default)
    assert msg.payload == text


# Answers


async def test_a_client_of_the_hl7_library_is_answered() -> None:
    channel = make()
    async with running(channel):
        port = channel.endpoint.bound_port

        def send() -> bytes:
            with MLLPClient("127.0.0.1", port) as client:
                answer: bytes = client.send_message(hl7.parse(message()))
                return answer

        answer = await asyncio.to_thread(send)
    ack = hl7.parse(answer.strip(b"\x0b\x1c\r"))
    assert str(ack.segment("MSA")) == "MSA|AA|7"
    assert re.fullmatch(r"ACK\^A01", str(ack.segment("MSH")(9)))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda msg: None, ["AA", "7"]),
        (fails(Dropped("not ours")), ["AA", "7"]),
        (fails(Rejected("no such ward")), ["AR", "7", "no such ward"]),
        (fails(ValueError("secret")), ["AE", "7", "the message failed"]),
        (fails(RetryLater("busy")), ["AE", "7", "try again later"]),
    ],
    ids=["processed", "dropped", "rejected", "failed", "retry"],
)
async def test_the_answer_follows_from_the_outcome(
    function: Done, expected: list[str]
) -> None:
    assert await answered(function) == expected


async def test_the_enhanced_mode_is_answered_with_its_codes() -> None:
    asks = message().replace("|P|2.5|||", "|P|2.5|||AL|NE")
    channel = make(enhanced=True)
    async with running(channel):
        assert await ask(channel, asks) == ["CA", "7"]


async def test_who_wants_no_answer_gets_none() -> None:
    none = message("1").replace("|P|2.5|||", "|P|2.5|||NE|NE")
    channel = make(enhanced=True)
    async with running(channel), connected(channel) as sender:
        sender.send(framed(none.encode()) + framed(message("2").encode()))
        assert await sender.answer() == ["AA", "2"]


async def test_what_is_accepted_is_durable_before_it_is_answered(
    tmp_path: Path,
) -> None:
    gate = Gate()
    channel = make(gate, accepted=True)
    journal = Journal(tmp_path / "j.sqlite")
    await journal.open()
    channel.attach(journal=journal)
    async with running(channel):
        assert await ask(channel, message()) == ["AA", "7"]
        assert channel.in_memory == 1
        gate.open.set()
    await journal.close()


async def test_what_a_paused_channel_stores_is_acknowledged(tmp_path: Path) -> None:
    channel = make()
    journal = Journal(tmp_path / "j.sqlite")
    await journal.open()
    channel.attach(journal=journal)
    async with running(channel):
        await channel.pause()
        told = await ask(channel, message())
        seen = channel.processed
        await channel.resume()
        await until(lambda: channel.processed == 1)
    await journal.close()
    assert (told, seen) == (["AA", "7"], 0)


async def test_a_paused_channel_that_cannot_store_says_so() -> None:
    channel = make()
    async with running(channel):
        await channel.pause()
        told = await ask(channel, message())
    assert told == ["AE", "7", "the channel is paused; send it again later"]


async def test_accepting_needs_a_journal() -> None:
    with pytest.raises(UsageError, match="has no journal"):
        await make(accepted=True).start()


# Framing


async def test_pieces_of_any_size_are_put_together() -> None:
    channel = make()
    async with running(channel), connected(channel) as sender:
        for byte in framed(message().encode()):
            sender.send(bytes([byte]))
            await asyncio.sleep(0)
        assert await sender.answer() == ["AA", "7"]


async def test_messages_on_one_connection_are_answered_in_order() -> None:
    seen: list[str] = []
    channel = make(Call(lambda msg: seen.append(msg.meta["control_id"])))
    ids = [str(number) for number in range(50)]
    async with running(channel), connected(channel) as sender:
        sender.send(b"".join(framed(message(id).encode()) for id in ids))
        told = [(await sender.answer())[1] for _ in ids]
    assert (told, seen) == (ids, ids)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (framed(b"hello"), ["AR", "", "it does not begin with MSH"]),
        (framed(b""), ["AR", "", "it does not begin with MSH"]),
        (message().encode() + b"\x1c\r", ["AR", "7", "the bytes are in no block"]),
        (
            framed(message(name="ü").encode("latin-1")),
            ["AR", "7", "it is not utf-8"],
        ),
        (
            framed(message(name="x" * 2000).encode()),
            ["AR", "7", "the block is larger than 2,000 bytes"],
        ),
    ],
    ids=["no header", "empty", "no block", "encoding", "too large"],
)
async def test_what_is_no_message_is_refused_and_stored_as_rejected(
    data: bytes, expected: list[str]
) -> None:
    channel = keeping(endpoint=MLLPEndpoint(port=0, message_limit=2000))
    async with running(channel), connected(channel) as sender:
        sender.send(data + framed(message("8").encode()))
        assert [await sender.answer(), await sender.answer()] == [
            expected,
            ["AA", "8"],
        ]
        (state, payload), (last, _) = await stored(channel)
    assert (state, type(payload), last) == ("rejected", bytes, "processed")
    assert (channel.rejected, channel.processed) == (1, 1)


async def test_a_block_that_is_cut_off_is_told_and_stored() -> None:
    channel = keeping()
    async with running(channel), connected(channel) as sender:
        sender.send(framed(message().encode())[:-10])
        sender.writer.write_eof()
        told = await sender.answer()
        assert (await stored(channel))[0][0] == "rejected"
    assert told == ["AR", "7", "the block was cut off: the connection ended"]


async def test_a_sender_that_is_too_slow_is_told_and_closed() -> None:
    channel = make(endpoint=MLLPEndpoint(port=0, read_timeout=0.05))
    async with running(channel), connected(channel) as sender:
        sender.send(b"\x0b" + message().encode())
        told = await sender.answer()
        assert await sender.is_closed()
    assert told[2] == "the block was cut off: the rest of it did not come in time"


async def test_a_silent_connection_is_closed_where_that_is_asked_for() -> None:
    channel = make(endpoint=MLLPEndpoint(port=0, idle_timeout=0.05))
    async with running(channel), connected(channel) as sender:
        assert await sender.is_closed()


async def test_more_connections_than_allowed_are_closed() -> None:
    channel = make(endpoint=MLLPEndpoint(port=0, max_connections=1))
    async with running(channel), connected(channel) as first:
        first.send(framed(message().encode()))
        assert await first.answer() == ["AA", "7"]
        async with connected(channel) as second:
            assert await second.is_closed()
        first.send(framed(message("8").encode()))
        assert await first.answer() == ["AA", "8"]


async def test_a_sender_that_goes_harms_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate()
    channel = make(gate)
    async with running(channel):
        async with connected(channel) as sender:
            sender.send(framed(message().encode()))
            await gate.entered.wait()
            sender.writer.transport.abort()
        gate.open.set()
        assert await ask(channel, message("8")) == ["AA", "8"]
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


async def test_a_sender_that_reads_no_answers_is_closed_in_the_end() -> None:
    channel = make(endpoint=MLLPEndpoint(port=0, read_timeout=0.1))
    many = framed(message("7" * 5000).encode()) * 100
    async with running(channel), connected(channel) as sender:
        sender.reader._limit = 1  # type: ignore[attr-defined]
        for _ in range(30):
            sender.send(many)
        await until(lambda: channel.statistics()["blocks"] > 0)
        await until(lambda: channel.statistics()["connections"] == 0)
        assert await ask(channel, message("8")) == ["AA", "8"]


async def test_messages_come_over_tls(tmp_path: Path) -> None:
    file = await asyncio.to_thread(make_certificate, tmp_path, "plant")
    channel = make(endpoint=MLLPEndpoint(port=0, certificate=file))
    context = await asyncio.to_thread(ssl.create_default_context, cafile=file)
    async with running(channel), connected(channel, ssl=context) as sender:
        sender.send(framed(message().encode()))
        assert await sender.answer() == ["AA", "7"]


# Sharing


async def test_channels_share_an_endpoint_by_the_types_of_messages() -> None:
    endpoint = MLLPEndpoint(port=0)
    seen: list[tuple[str, str]] = []

    def noting(name: str, **options: Any) -> MLLPChannel:
        node = Call(lambda msg: seen.append((name, msg.meta["message_type"])))
        return make(node, name=name, endpoint=endpoint, **options)

    admissions = noting("admissions", types=["ADT^A01", "adt^a04"])
    patients = noting("patients", types="ADT")
    others = noting("others")
    async with running(others, patients, admissions):
        for kind in ("ADT^A01^ADT_A01", "ADT^A04", "ADT^A08", "ORU^R01"):
            await ask(others, message(kind=kind))
    assert seen == [
        ("admissions", "ADT^A01"),
        ("admissions", "ADT^A04"),
        ("patients", "ADT^A08"),
        ("others", "ORU^R01"),
    ]


async def test_what_no_channel_takes_is_refused() -> None:
    channel = make(types=["ADT"])
    async with running(channel):
        told = await ask(channel, message(kind="ORU^R01"))
    assert told == ["AR", "7", "no channel takes messages of the type ORU\\S\\R01"]


async def test_two_channels_cannot_take_the_same_messages() -> None:
    endpoint = MLLPEndpoint(port=0)
    first = make(endpoint=endpoint, types=["ADT", "ORU"])
    second = make(name="b", endpoint=endpoint, types="ORU")
    async with running(first):
        with pytest.raises(UsageError, match="'a' has messages ORU of MLLP endpoint"):
            await second.start()


async def test_a_channel_that_is_stopped_says_so_while_others_run() -> None:
    endpoint = MLLPEndpoint(port=0)
    stopped = make(endpoint=endpoint, types="ADT")
    other = make(name="b", endpoint=endpoint)
    async with running(other):
        await stopped.start()
        await stopped.stop()
        told = await ask(other, message())
    assert told == ["AE", "7", "the channel is stopped; send it again later"]


async def test_a_port_in_use_is_told() -> None:
    first = make()
    async with running(first):
        port = first.endpoint.bound_port
        with pytest.raises(ListenError, match="the port is in use; stop what"):
            await make(name="b", endpoint=MLLPEndpoint(port=port)).start()


# Stopping


async def test_a_stop_answers_what_is_under_way() -> None:
    gate = Gate()
    channel = make(gate)
    await channel.start()
    async with connected(channel) as sender:
        sender.send(framed(message("1").encode()) + framed(message("2").encode()))
        await gate.entered.wait()
        stopping = asyncio.create_task(channel.stop())
        await asyncio.sleep(0)
        gate.open.set()
        await stopping
        assert await sender.answer() == ["AA", "1"]


async def test_what_cannot_be_drained_is_told_to_come_again() -> None:
    gate = Gate()
    channel = make(gate, drain_timeout=0.05)
    await channel.start()
    async with connected(channel) as sender:
        sender.send(framed(message().encode()))
        await gate.entered.wait()
        await channel.stop()
        told = await sender.answer()
    assert told == ["AE", "7", "the channel has stopped; send it again later"]


async def test_a_channel_starts_again() -> None:
    channel = make()
    for _ in range(2):
        async with running(channel):
            assert await ask(channel, message()) == ["AA", "7"]
    assert channel.endpoint.is_open is False


async def test_silent_connections_end_with_the_endpoint() -> None:
    channel = make()
    await channel.start()
    async with connected(channel) as sender:
        sender.send(framed(message().encode()))
        await sender.answer()
        await channel.stop()
        assert await sender.is_closed()


# Options


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"endpoint": None}, "this is no endpoint for MLLP"),
        ({"encoding": "utf-9"}, "there is no such encoding"),
        ({"encoding": "hex"}, "there is no such encoding"),
        ({"types": ["ADT^A01^X"]}, "this is no type of messages"),
        ({"types": []}, "the list is empty"),
    ],
)
def test_what_is_not_usable_is_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        make(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"message_limit": 0},
        {"max_connections": 0},
        {"read_timeout": 0},
        {"idle_timeout": -1},
    ],
)
def test_limits_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        MLLPEndpoint(**options)


def test_the_address_has_its_older_name() -> None:
    assert MLLPEndpoint("0.0.0.0", 2101).address == "0.0.0.0:2101"
    with pytest.raises(SettingsError, match="given twice"):
        MLLPEndpoint("127.0.0.1", host="127.0.0.1")


async def test_the_loop_may_be_the_running_one() -> None:
    loop = asyncio.get_running_loop()
    channel = make(endpoint=MLLPEndpoint(port=0, loop=loop), loop=loop)
    async with running(channel):
        assert await ask(channel, message()) == ["AA", "7"]


def test_settings_make_an_endpoint() -> None:
    channel = make(endpoint=ListenMLLP(port=2105, message_limit=10))
    endpoint = channel.endpoint
    assert isinstance(endpoint, MLLPEndpoint)
    assert (endpoint.port, endpoint.message_limit) == (2105, 10)


async def test_statistics_tell_what_came() -> None:
    channel = make()
    async with running(channel):
        await ask(channel, message())
        await ask(channel, b"hello")
        found = channel.statistics()
        await until(lambda: channel.statistics()["connections"] == 0)
    assert (found["blocks"], found["refused"], found["under_way"]) == (2, 1, 0)
