"""HTTP channels: what a request becomes, what is answered, and who is refused."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from msgstore.memory import MemoryMessageStore, MemoryMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.channels.http import HttpChannel
from pichannels.endpoints import Listen
from pichannels.endpoints.http import HTTPEndpoint
from pichannels.errors import (
    Dropped,
    NotConnected,
    Rejected,
    RetryLater,
    SettingsError,
    UsageError,
)
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from tests.integration.certificates import make_certificate
from tests.unit.channels.steps import Gate

ID = "Pichannels-Message-Id"


class Call(BaseNode):
    def __init__(self, function: Callable[[Message], Any]) -> None:
        super().__init__()
        self.function = function

    def process(self, msg: Message) -> Message:
        self.function(msg)
        return msg


def make(*nodes: BaseNode, **options: Any) -> HttpChannel:
    options.setdefault("endpoint", HTTPEndpoint(port=0))
    channel = HttpChannel(options.pop("name", "a"), **options)
    channel.add(*nodes)
    return channel


@asynccontextmanager
async def running(*channels: BaseChannel) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for channel in channels:
            await channel.start()
            stack.push_async_callback(channel.stop)
        yield


class Answer:
    """What a client was told."""

    def __init__(self, answer: aiohttp.ClientResponse, body: bytes) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.body = body

    @property
    def problem(self) -> str:
        return str(json.loads(self.body)["detail"])


async def ask(
    channel: HttpChannel, path: str = "/", data: Any = None, **options: Any
) -> Answer:
    endpoint = channel.endpoint
    assert isinstance(endpoint, HTTPEndpoint)
    method = options.pop("method", "POST")
    async with (
        aiohttp.ClientSession(endpoint.url) as session,
        session.request(method, path, data=data, **options) as answer,
    ):
        return Answer(answer, await answer.read())


async def answered(function: Callable[[Message], Any], **options: Any) -> Answer:
    """What is answered by a channel with one node that does this."""
    channel = make(Call(function), **options)
    async with running(channel):
        return await ask(channel, data=b"in")


def fails(error: Exception) -> Callable[[Message], None]:
    def fail(msg: Message) -> None:
        raise error

    return fail


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)


# Messages


async def message(
    path: str = "/",
    data: Any = None,
    send: dict[str, Any] | None = None,
    **options: Any,
) -> Message:
    """The message that a request becomes."""
    found: list[Message] = []
    channel = make(Call(lambda msg: found.append(msg.copy())), **options)
    async with running(channel):
        await ask(channel, path, data, **(send or {}))
    return found[0]


async def test_the_payload_is_the_body_as_bytes() -> None:
    assert (await message(data=b"\xff\x00")).payload == b"\xff\x00"


async def test_with_an_encoding_the_payload_is_text() -> None:
    msg = await message(data="Grün".encode("latin-1"), encoding="latin-1")
    assert msg.payload == "Grün"


async def test_the_content_type_is_that_of_the_request() -> None:
    send = {"headers": {"Content-Type": "text/csv; charset=utf-8"}}
    assert (await message(data=b"a;b", send=send)).content_type == "text/csv"


async def test_meta_tells_the_request() -> None:
    path = "/plants/north?unit=1&tag=a&tag=b"
    meta = (await message(path, url="/plants/{name}")).meta
    url = meta.pop("url")
    assert url.endswith(path)
    assert meta == {
        "name": "north",
        "method": "POST",
        "path": "/plants/north",
        "get_params": {"unit": "1", "tag": ["a", "b"]},
        "match_info": {"name": "north"},
        "remote": "127.0.0.1",
    }


async def test_headers_and_cookies_come_when_asked_for_without_logins() -> None:
    send = {"headers": {"X-Unit": "1", "Authorization": "Bearer x", "Cookie": "a=b"}}
    meta = (await message(send=send, add_headers=True)).meta
    names = {name for name, _ in meta["headers"]}
    assert (["X-Unit", "1"] in meta["headers"], "Authorization" in names) == (
        True,
        False,
    )
    assert meta["cookies"] == {"a": "b"}


async def test_a_body_that_comes_in_pieces_is_put_together() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d" % number
            await asyncio.sleep(0)

    assert (await message(data=pieces())).payload == b"012"


# Answers


async def test_the_answer_is_the_result() -> None:
    def reply(msg: Message) -> None:
        msg.payload, msg.content_type = b"a;b", "text/csv"

    answer = await answered(reply)
    found = (answer.status, answer.body, answer.headers["Content-Type"])
    assert found == (200, b"a;b", "text/csv")


@pytest.mark.parametrize(
    ("payload", "body", "content_type"),
    [
        ({"a": [1]}, b'{"a":[1]}', "application/json"),
        ("Grün", "Grün".encode(), "text/plain; charset=utf-8"),
        (None, b"", None),
        (b"\x00", b"\x00", "application/octet-stream"),
        (7, b"7", "application/json"),
    ],
)
async def test_the_body_follows_from_the_payload(
    payload: Any, body: bytes, content_type: str | None
) -> None:
    def reply(msg: Message) -> None:
        kind = "application/text" if isinstance(payload, str) else "no media type"
        msg.payload, msg.content_type = payload, kind

    answer = await answered(reply)
    assert (answer.body, answer.headers.get("Content-Type")) == (body, content_type)


async def test_meta_sets_status_headers_and_cookies() -> None:
    def reply(msg: Message) -> None:
        msg.meta["status"] = 201
        msg.meta["response_headers"] = {"Location": "/plants/7"}
        msg.meta["response_cookies"] = {"a": "b", "c": {"value": 1, "max_age": 5}}

    answer = await answered(reply)
    cookies = answer.headers.getall("Set-Cookie")
    assert (answer.status, answer.headers["Location"]) == (201, "/plants/7")
    assert cookies == ["a=b; Path=/", "c=1; Max-Age=5; Path=/"]


async def test_the_older_name_of_the_status_does_too() -> None:
    assert (await answered(lambda m: m.meta.update(status_code=418))).status == 418


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (Rejected("no unit"), 422, "no unit"),
        (ValueError("secret"), 500, "the message failed"),
        (NotConnected("db"), 503, "try again later"),
    ],
)
async def test_the_status_follows_from_the_outcome(
    error: Exception, status: int, detail: str
) -> None:
    answer = await answered(fails(error))
    assert (answer.status, answer.problem) == (status, detail)


async def test_a_dropped_message_has_an_answer_without_body() -> None:
    answer = await answered(fails(Dropped("not now")))
    assert (answer.status, answer.body) == (204, b"")


async def test_what_is_to_be_tried_again_says_when() -> None:
    answer = await answered(fails(RetryLater("busy", 2.5)))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "3")


@pytest.mark.parametrize(
    "meta",
    [
        {"status": 99},
        {"status": "ok"},
        {"response_headers": {"A": "b\r\nC: d"}},
        {"response_headers": "x"},
    ],
)
async def test_a_result_that_is_no_answer_tells_nothing_of_the_inside(
    meta: dict[str, Any],
) -> None:
    answer = await answered(lambda msg: msg.meta.update(meta))
    assert (answer.status, answer.problem) == (500, "the answer cannot be made")


async def test_a_get_channel_answers_head_without_body() -> None:
    channel = make(Call(lambda msg: setattr(msg, "payload", "text")), method="GET")
    async with running(channel):
        answer = await ask(channel, method="HEAD")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (
        200,
        b"",
        "4",
    )


async def test_options_tells_the_methods_without_a_message() -> None:
    channel = make(method="GET")
    async with running(channel):
        answer = await ask(channel, method="OPTIONS")
    allowed = answer.headers["Allow"]
    assert (answer.status, allowed, channel.processed) == (204, "GET, HEAD, OPTIONS", 0)


async def test_another_path_is_told() -> None:
    channel = make()
    async with running(channel):
        answer = await ask(channel, "/elsewhere")
    assert (answer.status, answer.problem) == (404, "there is nothing at /elsewhere")


async def test_another_method_is_told_with_those_that_are_taken() -> None:
    channel = make(method="PUT")
    async with running(channel):
        answer = await ask(channel)
    assert (answer.status, answer.headers["Allow"]) == (405, "PUT, OPTIONS")


async def test_it_speaks_tls(tmp_path: Path) -> None:
    file = await asyncio.to_thread(make_certificate, tmp_path, "plant")
    channel = make(endpoint=HTTPEndpoint(port=0, certificate=file))
    async with running(channel):
        answer = await ask(channel, data=b"x", ssl=False)
    assert answer.body == b"x"


# Who is refused


async def test_a_body_that_is_too_large_is_refused_before_it_is_read() -> None:
    channel = make(body_limit=1000)
    async with running(channel):
        answer = await ask(channel, data=b"x" * 1001)
    assert (answer.status, channel.processed) == (413, 0)


async def test_a_body_without_length_is_refused_when_it_grows_too_large() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536
            await asyncio.sleep(0)

    channel = make(body_limit=100_000)
    async with running(channel):
        try:
            status = (await ask(channel, data=endless())).status
        except aiohttp.ClientConnectionError:
            # It may still send when the answer comes, and not read it.
            status = 413
    assert (status, channel.refused, channel.processed) == (413, 1, 0)


async def test_a_compressed_body_counts_by_what_it_becomes() -> None:
    channel = make(body_limit=100_000)
    async with running(channel):
        headers = {"Content-Encoding": "deflate"}
        answer = await ask(channel, data=b"\0" * 1_000_000, headers=headers)
    assert (answer.status, channel.processed) == (413, 0)


async def test_the_endpoint_may_say_what_bodies_may_have() -> None:
    endpoint = HTTPEndpoint(port=0, http_args={"client_max_size": 10})
    channel = make(endpoint=endpoint)
    async with running(channel):
        assert (await ask(channel, data=b"x" * 11)).status == 413


async def test_a_body_in_another_encoding_is_refused() -> None:
    channel = make(encoding="utf-8")
    async with running(channel):
        answer = await ask(channel, data=b"\xff")
    assert (answer.status, answer.problem) == (400, "the body is not utf-8")


HALF = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"


@asynccontextmanager
async def connected(
    channel: HttpChannel,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    port = channel.endpoint.bound_port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield reader, writer
    writer.close()
    await asyncio.wait([asyncio.create_task(writer.wait_closed())])


async def test_a_client_that_does_not_end_holds_up_no_stop(
    caplog: pytest.LogCaptureFixture,
) -> None:
    channel = make()
    async with running(channel), connected(channel) as (_, writer):
        writer.write(HALF)
        await until(lambda: channel.under_way == 1)
        async with asyncio.timeout(5):
            await channel.stop()
    assert (channel.under_way, caplog.text) == (0, "")


async def test_connections_that_are_kept_open_hold_up_no_stop() -> None:
    channel = make()
    await channel.start()
    async with connected(channel) as (reader, writer):
        writer.write(HALF.replace(b"100", b"4"))
        await reader.readuntil(b"half")
        async with asyncio.timeout(0.3):
            await channel.stop()
        assert await reader.read() == b""


async def test_a_client_that_is_too_slow_is_told() -> None:
    channel = make(read_timeout=0.05)
    async with running(channel), connected(channel) as (reader, writer):
        writer.write(HALF)
        first = await reader.readline()
    assert (first, channel.processed) == (b"HTTP/1.1 408 Request Timeout\r\n", 0)


async def test_half_a_body_becomes_no_message() -> None:
    channel = make()
    async with running(channel):
        async with connected(channel) as (_, writer):
            writer.write(HALF)
            await until(lambda: channel.under_way == 1)
        await until(lambda: channel.under_way == 0)
        assert (channel.lost, channel.processed) == (1, 0)


async def test_a_body_that_is_not_as_its_headers_say_is_refused() -> None:
    channel = make(read_timeout=0.1)
    async with running(channel), connected(channel) as (reader, writer):
        head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head)
        await until(lambda: channel.under_way == 1)
        writer.write(b"nonsense\r\n")
        first = await reader.readline()
    # Which of the two depends on how aiohttp was built.
    assert first.split()[1] in (b"400", b"408")
    assert (channel.refused, channel.processed) == (1, 0)


async def test_the_message_of_a_client_that_goes_away_is_processed() -> None:
    gate = Gate()
    channel = make(gate)
    async with running(channel):
        async with connected(channel) as (_, writer):
            writer.write(HALF.replace(b"100", b"4"))
            await gate.entered.wait()
        gate.open.set()
        await until(lambda: channel.under_way == 0)
    assert channel.processed == 1


async def test_more_requests_than_there_may_be_are_put_off() -> None:
    gate = Gate()
    channel = make(gate, max_requests=1)
    async with running(channel):
        first = asyncio.create_task(ask(channel))
        await gate.entered.wait()
        second = await ask(channel)
        gate.open.set()
        assert (second.status, second.headers["Retry-After"]) == (503, "1")
        assert (await first).status == 200


# Start and stop


async def test_what_is_on_its_way_is_answered_when_the_channel_stops() -> None:
    gate = Gate()
    channel = make(gate)
    await channel.start()
    asked = [asyncio.create_task(ask(channel, data=b"%d" % n)) for n in range(20)]
    await until(lambda: channel.under_way == 20)
    stopping = asyncio.create_task(channel.stop())
    await asyncio.sleep(0)
    gate.open.set()
    await stopping
    answers = [await each for each in asked]
    assert sorted(answer.body for answer in answers) == sorted(
        b"%d" % n for n in range(20)
    )


async def test_a_channel_that_drains_takes_nothing_more() -> None:
    gate = Gate()
    channel = make(gate)
    await channel.start()
    first = asyncio.create_task(ask(channel))
    await gate.entered.wait()
    stopping = asyncio.create_task(channel.stop())
    await asyncio.sleep(0)
    second = await ask(channel)
    gate.open.set()
    await stopping
    assert (second.status, second.problem) == (503, "the channel is stopped")
    assert (await first).status == 200


@pytest.mark.parametrize("is_shared", [True, False])
async def test_who_waits_for_what_is_not_drained_in_time_is_told(
    is_shared: bool,
) -> None:
    endpoint = HTTPEndpoint(port=0)
    others = [make(name="b", url="/b", endpoint=endpoint)] if is_shared else []
    gate = Gate()
    channel = make(gate, endpoint=endpoint, drain_timeout=0.02)
    async with running(*others):
        await channel.start()
        asked = asyncio.create_task(ask(channel))
        await gate.entered.wait()
        await channel.stop()
        answer = await asked
    assert (answer.status, answer.problem) == (503, "the channel has stopped")
    assert channel.under_way == 0


async def test_a_stopped_channel_says_so_while_others_run() -> None:
    endpoint = HTTPEndpoint(port=0)
    a = make(name="a", url="/a", endpoint=endpoint)
    b = make(name="b", url="/b", endpoint=endpoint)
    async with running(a):
        seen = [(await ask(b, "/b")).status]
        await b.start()
        seen.append((await ask(b, "/b")).status)
        await b.stop()
        seen.append((await ask(b, "/b")).status)
    assert seen == [503, 200, 503]


async def test_it_can_be_started_again() -> None:
    channel = make()
    for _ in range(2):
        async with running(channel):
            answer = await ask(channel, data=b"x")
    assert (answer.body, channel.endpoint.is_open) == (b"x", False)


async def test_a_channel_that_does_not_start_leaves_the_port() -> None:
    class Fails(BaseNode):
        async def start(self) -> None:
            raise OSError("no")

    channel = make(Fails())
    with pytest.raises(OSError, match="no"):
        await channel.start()
    assert not channel.endpoint.is_open


# Accepted


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.open()
    yield journal
    await journal.close()


async def test_accepted_messages_are_answered_before_they_are_processed(
    journal: Journal,
) -> None:
    gate = Gate()
    channel = make(gate, accepted=True)
    channel.attach(journal=journal)
    async with running(channel):
        answer = await ask(channel, data=b"x")
        unsettled = journal.count_unsettled("a")
        gate.open.set()
    assert (answer.status, len(answer.headers[ID]), unsettled) == (202, 32, 1)


async def test_all_that_was_accepted_runs_again_after_a_stop(journal: Journal) -> None:
    gate = Gate()
    channel = make(gate, accepted=True, drain_timeout=0.0)
    channel.attach(journal=journal)
    await channel.start()
    asked = [asyncio.create_task(ask(channel, data=b"%d" % n)) for n in range(40)]
    await gate.entered.wait()
    await channel.stop()
    found = await asyncio.gather(*asked, return_exceptions=True)
    taken = {
        each.headers[ID]
        for each in found
        if isinstance(each, Answer) and each.status == 202
    }
    again: set[str] = set()
    other = make(Call(lambda msg: again.add(msg.uuid)), accepted=True)
    other.attach(journal=journal)
    async with running(other):
        await other.drain()
    assert taken
    assert taken <= again


async def test_nothing_is_accepted_while_the_journal_takes_nothing(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "journal.sqlite", budget=200_000)
    await journal.open()
    while not journal.is_full:
        await journal.append("other", Message(payload=b"x" * 10_000)).durable
    channel = make(accepted=True)
    channel.attach(journal=journal)
    async with running(channel):
        answer = await ask(channel, data=b"x")
    await journal.close()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


async def test_without_a_journal_nothing_can_be_accepted() -> None:
    with pytest.raises(UsageError, match="has no journal"):
        await make(accepted=True).start()


class Full(MemoryMessageStore):
    """A store on a disk that is full."""

    async def store(self, msg: Message) -> str:
        raise OSError(28, "No space left on device")


class FullFactory(MemoryMessageStoreFactory):
    def get_store(self, store_id: str) -> MemoryMessageStore:
        return Full(store_id, 10)


async def test_a_store_that_takes_nothing_puts_requests_off() -> None:
    channel = make(message_store_factory=FullFactory())
    async with running(channel):
        answer = await ask(channel)
    assert (answer.status, answer.problem, channel.lost) == (
        503,
        "nothing can be stored just now",
        0,
    )


def test_its_url_is_in_pictures_of_it() -> None:
    channel = make(endpoint=HTTPEndpoint(port=81), method="GET", url="/{name}")
    url = "GET http://127.0.0.1:81/{name}"
    assert next(channel.graph()) == f"a (HttpChannel), {url}"
    assert any(url in line for line in channel.graph_dot())


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"url": "plants"},
        {"url": "/{status}"},
        {"url": "/{name"},
        {"url": "/{name:[}"},
        {"method": "FETCH"},
        {"encoding": "utf-99"},
        {"body_limit": 0},
        {"max_requests": 0},
        {"read_timeout": -1},
        {"endpoint": "127.0.0.1:80"},
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        make(**options)


def test_an_endpoint_can_be_described() -> None:
    channel = make(endpoint=Listen(host="0.0.0.0", port=81))
    assert channel.endpoint.address == "0.0.0.0:81"


async def test_errors_of_nodes_are_logged_and_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await answered(fails(ValueError("password")))
    assert ("password" in caplog.text, b"password" in answer.body) == (True, False)
