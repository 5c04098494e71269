"""A message leaves a trace that a collector of OpenTelemetry understands."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

import nodes.publish
import nodes.request
from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.channels.http import HttpChannel
from pichannels.channels.kafka import KafkaChannel
from pichannels.config import Config
from pichannels.endpoints.http import HTTPEndpoint
from pichannels.engine import Engine
from pichannels.errors import Dropped, RetryLater
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.project import Project
from pichannels.retry import RetryPolicy
from pichannels.states import replayed
from pichannels.telemetry_config import TracingConfig
from pichannels.tracing import identity_of, parsed
from tests.servers.collector import Collector, collecting
from tests.servers.kafka import Kafka

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"


class Do(BaseNode):
    """Calls a function with each message."""

    def __init__(self, function: Callable[[Message], Any], name: str) -> None:
        super().__init__(name=name)
        self.function = function

    def process(self, msg: Message) -> Any:
        return self.function(msg)


def same(msg: Message) -> Message:
    return msg


async def later(msg: Message) -> Message:
    return msg


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as collector:
        yield collector


@asynccontextmanager
async def running(
    channel: BaseChannel, folder: Path, endpoint: str, **more: Any
) -> AsyncIterator[Engine]:
    """The channel in an instance; its spans are there when it has stopped."""
    tracing = TracingConfig(endpoint=endpoint, **more)
    config = Config(project_name="plant", tracing=tracing)
    engine = Engine(Project([channel], config), data_dir=folder, control=False)
    async with engine:
        yield engine


async def test_each_node_is_a_span_within_that_of_the_channel(
    tmp_path: Path, collector: Collector
) -> None:
    channel = BaseChannel("boiler")
    channel.add(Do(same, "first"), Do(later, "second"))
    async with running(channel, tmp_path, collector.url):
        await channel.handle(Message(payload="1"))
    whole = collector.one("boiler")
    parts = [collector.one(f"boiler.{name}") for name in ("first", "second")]
    assert {(part.trace, part.parent) for part in parts} == {(whole.trace, whole.id)}
    assert (whole.parent, whole.service) == ("", "plant")


async def test_a_message_is_found_by_its_id_and_the_trace_by_the_message(
    tmp_path: Path, collector: Collector
) -> None:
    channel = BaseChannel("boiler").add(Do(same, "first"))
    msg = Message(payload="1")
    async with running(channel, tmp_path, collector.url):
        await channel.handle(msg)
    span = collector.one("boiler")
    assert span.facts["messaging.message.id"] == msg.uuid
    assert (span.trace, span.id) == identity_of(msg.uuid)[:2]


async def test_a_copy_in_a_fork_belongs_to_the_same_trace(
    tmp_path: Path, collector: Collector
) -> None:
    channel = BaseChannel("boiler")
    channel.fork(name="beside").add(Do(later, "copy"))
    channel.case(True, names=["way"])[0].add(Do(same, "chosen"))
    channel.add(Do(same, "last"))
    channel.add_final_nodes(Do(same, "end"))
    async with running(channel, tmp_path, collector.url):
        await channel.handle(Message(payload="1"))
    assert len({span.trace for span in collector.spans}) == 1
    whole = collector.one("boiler").id
    parents = {span.parent for span in collector.spans if span.name.count(".") == 1}
    assert collector.one("boiler.beside").parent == whole
    assert collector.one("boiler.way").parent == whole
    assert collector.one("boiler: final").parent == whole
    assert whole in parents


async def test_each_attempt_is_linked_to_the_one_before(
    tmp_path: Path, collector: Collector
) -> None:
    failures = [RetryLater("not yet"), RetryLater("still not")]

    def fail_twice(msg: Message) -> Message:
        if failures:
            raise failures.pop()
        return msg

    channel = BaseChannel("boiler", retry=RetryPolicy(initial=0.01, attempts=5))
    channel.add(Do(fail_twice, "sink"))
    async with running(channel, tmp_path, collector.url):
        await channel.accept(Message(payload="1"))
        await channel.drain()
    first, second, third = collector.named("boiler")
    assert len({first.trace, second.trace, third.trace}) == 1
    assert (second.links, third.links) == (
        [(first.trace, first.id)],
        [(second.trace, second.id)],
    )
    assert [span.is_error for span in (first, second, third)] == [True, True, False]


async def test_a_replay_begins_a_trace_that_is_linked_to_that_of_the_original(
    tmp_path: Path, collector: Collector
) -> None:
    factory = SQLiteMessageStoreFactory()
    channel = BaseChannel("boiler", message_store_factory=factory)
    channel.add(Do(same, "first"))
    assert channel.message_store is not None
    async with running(channel, tmp_path, collector.url):
        await channel.handle(Message(payload="1"))
        await channel.handle(Message(payload="2", meta={"traceparent": TRACEPARENT}))
        entries = await channel.message_store.search()
        for entry in entries:
            await channel.handle(replayed(entry))
    originals, again = collector.named("boiler")[:2], collector.named("boiler")[2:]
    linked = [span.links for span in again]
    assert linked == [[(originals[0].trace, originals[0].id)], [(TRACE, SPAN)]]
    assert not {span.trace for span in originals} & {span.trace for span in again}


async def test_what_runs_again_after_a_restart_goes_on_with_its_trace(
    tmp_path: Path, collector: Collector
) -> None:
    def put_off(msg: Message) -> Message:
        raise RetryLater("away")

    msg = Message(payload="1")
    first = BaseChannel("boiler", drain_timeout=0, retry=RetryPolicy(initial=60))
    async with running(first.add(Do(put_off, "sink")), tmp_path, collector.url):
        await first.accept(msg)
    second = BaseChannel("boiler").add(Do(same, "sink"))
    async with running(second, tmp_path, collector.url):
        await second.drain()
    span = collector.named("boiler")[-1]
    assert (span.trace, span.parent) == identity_of(msg.uuid)[:2]


async def test_a_drop_is_no_error(tmp_path: Path, collector: Collector) -> None:
    def drop(msg: Message) -> Message:
        raise Dropped("not needed")

    channel = BaseChannel("boiler").add(Do(drop, "filter"))
    async with running(channel, tmp_path, collector.url):
        await channel.handle(Message(payload="1"))
    span = collector.one("boiler.filter")
    assert (span.is_error, span.facts["pichannels.outcome"]) == (False, "Dropped")


async def test_parts_that_a_node_yields_are_of_one_span(
    tmp_path: Path, collector: Collector
) -> None:
    def halves(msg: Message) -> Any:
        yield msg.derive("1")
        yield msg.derive("2")

    channel = BaseChannel("boiler").add(Do(halves, "split"), Do(later, "each"))
    async with running(channel, tmp_path, collector.url):
        await channel.handle(Message(payload="1 2"))
    whole = collector.one("boiler")
    assert {span.parent for span in collector.named("boiler.each")} == {whole.id}
    assert len(collector.named("boiler.each")) == 2


async def test_a_trace_goes_on_from_http_to_http(
    tmp_path: Path, collector: Collector
) -> None:
    got: list[Any] = []

    async def take(request: web.Request) -> web.Response:
        got.append(parsed(request.headers))
        return web.Response(text="ok")

    app = web.Application()
    app.add_routes([web.route("*", "/{name}", take)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    endpoint = HTTPEndpoint(port=0)
    channel = HttpChannel("in", endpoint=endpoint, method="POST", url="/in")
    channel.add(
        nodes.request.HTTP(f"{url}/ask", name="ask"),
        nodes.publish.HTTP(f"{url}/tell", name="tell"),
    )
    headers = {"traceparent": TRACEPARENT, "tracestate": "vendor=1"}
    async with running(channel, tmp_path, collector.url):
        async with aiohttp.ClientSession(headers=headers) as session:
            at = channel.statistics()["url"]
            async with session.post(at, data="1") as answer:
                assert answer.status == 200
    await runner.cleanup()
    spans = [collector.one(f"in.{name}") for name in ("ask", "tell")]
    assert [(each.trace, each.span, each.state) for each in got] == [
        (TRACE, span.id, "vendor=1") for span in spans
    ]
    assert collector.one("in").parent == SPAN


async def test_a_trace_goes_on_through_kafka(
    tmp_path: Path, collector: Collector, kafka: Kafka
) -> None:
    topic, seen = "traced", asyncio.Event()
    out = BaseChannel("out").add(nodes.publish.Kafka(kafka.address, topic, name="sink"))
    async with running(out, tmp_path / "out", collector.url):
        await out.handle(Message(payload="1"))
    back = KafkaChannel("back", servers=kafka.address, topics=topic, group="traced")

    def notice(msg: Message) -> Message:
        seen.set()
        return msg

    back.add(Do(notice, "seen"))
    async with running(back, tmp_path / "back", collector.url):
        await seen.wait()
    sink = collector.one("out.sink")
    found = collector.one("back")
    assert (found.trace, found.parent) == (sink.trace, sink.id)


async def test_only_a_part_of_the_traces_is_recorded(
    tmp_path: Path, collector: Collector
) -> None:
    channel = BaseChannel("boiler").add(Do(same, "first"))
    async with running(channel, tmp_path, collector.url, sample=0.0):
        await channel.handle(Message(payload="1"))
        known = Message(payload="2", meta={"traceparent": TRACEPARENT})
        await channel.handle(known)
    assert {span.trace for span in collector.spans} == {TRACE}


async def test_the_token_is_shown_to_the_collector(
    tmp_path: Path, collector: Collector
) -> None:
    channel = BaseChannel("boiler").add(Do(same, "first"))
    async with running(channel, tmp_path, collector.url, token="hidden"):
        await channel.handle(Message(payload="1"))
    assert collector.authorizations == {"Bearer hidden"}


async def test_a_collector_that_is_away_holds_up_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with collecting() as gone:
        pass
    caplog.set_level(logging.CRITICAL)
    channel = BaseChannel("boiler").add(Do(same, "first"))
    async with running(channel, tmp_path, gone.url):
        await channel.handle(Message(payload="1"))
    assert channel.processed == 1


async def test_without_tracing_a_message_stays_as_it_is(tmp_path: Path) -> None:
    channel = BaseChannel("boiler").add(Do(same, "first"))
    project = Project([channel])
    async with Engine(project, data_dir=tmp_path, control=False):
        result = await channel.handle(Message(payload="1"))
    assert result.meta == {}
