"""One suite over every node that comes with pichannels.

What a node declares in `changes` is all of a message that it may change.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import io
import pkgutil
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import nats
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

import nodes
from nodes import (
    compress,
    context,
    convert,
    decode,
    encode,
    enrich,
    files,
    filter,
    flow,
    ftp,
    log,
    mapping,
    meta,
    publish,
    python,
    reduce,
    request,
    split,
    window,
)
from pichannels.adapters.sparkplug import payload_class
from pichannels.channels.base import BaseChannel
from pichannels.delivery import Outcome
from pichannels.endpoints.remote import RemoteEndpoint
from pichannels.errors import MessageError, PichannelsError, UsageError
from pichannels.formats.avro import AvroCodec
from pichannels.formats.protobuf import ProtobufCodec
from pichannels.message import Message, isolate
from pichannels.node import BaseNode
from pichannels.remote import Hub, HubServer, connect
from pichannels.remote.inboxes import WriteOnly
from pichannels.retry import RetryPolicy
from pichannels.simulator import Plant, Simulator
from pichannels.values import DigitalState, Sample, Tag
from tests.servers.ftp import PASSWORD, USER, FTPServer
from tests.servers.kafka import Kafka
from tests.servers.mail import MailServer
from tests.servers.mosquitto import Mosquitto
from tests.servers.nats import NatsServer
from tests.servers.postgres import PostgresServer

DOCUMENT = b"""{"Items": [{"WebId": "", "Name": "TI1", "Items": [
    {"Timestamp": "2024-05-01T12:00:00Z", "Value": 1.5, "Good": true}]}]}"""
TIMEOUT = DigitalState("I/O Timeout", 246, is_system=True)
HL7 = "MSH|^~\\&|LAB|NORTH|||2026||ADT^A01|77|P|2.5\rPID|1||9||Doe^Jane\r"
ENVELOPE = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><Ping/>'
    "</s:Body></s:Envelope>"
)
PLANT = Path(__file__).parents[2] / "examples" / "plant.csv"
DOCS = Path(__file__).parents[2] / "docs" / "nodes.md"


class Place(NamedTuple):
    """Where nodes of one test may write to."""

    folder: Path
    url: str
    database: str = "postgresql://host/plant"
    pi: str = "http://host/piwebapi"
    ftp: int = 21
    mail: int = 25
    mqtt: str = "mqtt://host"
    kafka: str = "host:9092"
    nats: str = "nats://host"
    remote: str = "http://host"
    door: RemoteEndpoint = RemoteEndpoint()


def raw() -> Message:
    return Message("application/json", DOCUMENT, {"came": "with it"})


def batch() -> Message:
    samples = [
        Sample(Tag(name), 10**16 + n, value, good=n != 2)
        for n, (name, value) in enumerate([("TI1", 1.5), ("TI2", 2), ("TI1", TIMEOUT)])
    ]
    return Message(decode.SAMPLES, samples, {"came": "with it"})


def carrying(payload: Any, kept: Any = None) -> Callable[[], Message]:
    """What makes messages with this payload, and with something kept in `ctx`."""

    def make() -> Message:
        msg = Message("text/plain", payload, {"came": "with it"})
        for name in ("first", "second"):
            msg.add_context(name, Message(payload=kept, meta={"came": "with it"}))
        return msg

    return make


def from_file() -> Message:
    """A message that came from a file in the present folder."""
    Path("came.csv").write_text("text")
    meta = {"came": "with it", "filepath": "came.csv", "filename": "came.csv"}
    return Message("text/plain", "text", meta)


def sparkplug() -> Message:
    payload = payload_class()(timestamp=10**12, seq=0)
    payload.metrics.add(name="TI1", datatype=9, float_value=1.5)
    meta = {"came": "with it", "topic": "spBv1.0/G/NBIRTH/N"}
    return Message(payload=payload.SerializeToString(), meta=meta)


class Case(NamedTuple):
    """How to make a node, a message that it has work with, and how that ends."""

    make: Callable[..., BaseNode]
    message: Callable[[], Message] = batch
    ends: str = "processed"


def case(kind: Callable[..., BaseNode], *args: Any, **options: Any) -> Case:
    return Case(lambda place, **more: kind(*args, **options, **more))


def with_payload(
    payload: Any, kind: Callable[..., BaseNode], *args: Any, **options: Any
) -> Case:
    return case(kind, *args, **options)._replace(message=carrying(payload))


def on_files(make: Callable[..., BaseNode]) -> Case:
    return Case(make, from_file)


def on_server(kind: Callable[..., BaseNode]) -> Case:
    def make(place: Place, **options: Any) -> BaseNode:
        return kind("127.0.0.1", place.ftp, (USER, PASSWORD), **options)

    return Case(make, from_file)


def double(samples: list[Sample]) -> list[Sample]:
    return [sample.with_value(2) for sample in samples]


def hl7() -> Message:
    return decode.HL7().process(carrying(HL7)())


async def mark(msg: Message) -> None:
    await asyncio.sleep(0)
    msg.meta["marked"] = True


async def wait(msg: Message) -> None:
    await asyncio.sleep(0.001)


CASES = {
    "compress.Deadband": case(compress.Deadband, 0.5),
    "compress.ExceptionReport": case(compress.ExceptionReport, 0.5),
    "compress.SwingingDoor": case(compress.SwingingDoor, 0.5),
    "decode.PI": case(decode.PI)._replace(message=raw),
    "decode.JSON": case(decode.JSON)._replace(message=raw),
    "decode.Sparkplug": Case(
        lambda place, **options: decode.Sparkplug(**options), sparkplug
    ),
    "decode.XML": with_payload("<a><b>1</b></a>", decode.XML),
    "decode.SOAP": with_payload(ENVELOPE, decode.SOAP),
    "encode.SOAP": with_payload({"a": "1"}, encode.SOAP, "Ping", "urn:plant"),
    "decode.HL7": with_payload(HL7, decode.HL7),
    "decode.CSV": with_payload("a;b\n1;2\n", decode.CSV, delimiter=";"),
    "decode.CSVFile": with_payload("", decode.CSVFile, PLANT),
    "decode.Avro": with_payload(
        AvroCodec('"long"', framing="file").encode([1]), decode.Avro
    ),
    "decode.Protobuf": with_payload(
        ProtobufCodec().encode(Sample(Tag("TI1"), 10**16, 1.5)), decode.Protobuf
    ),
    "encode.Avro": case(encode.Avro),
    "encode.Protobuf": case(encode.Protobuf),
    "decode.Text": with_payload(b"raw", decode.Text),
    "decode.Base64": with_payload("cmF3", decode.Base64),
    "encode.JSON": with_payload({"a": [1]}, encode.JSON),
    "encode.XML": with_payload({"a": {"b": "1"}}, encode.XML),
    "encode.HL7": case(encode.HL7)._replace(message=hl7),
    "encode.CSV": with_payload([{"a": 1}], encode.CSV),
    "encode.Text": with_payload("text", encode.Text),
    "encode.Base64": with_payload(b"raw", encode.Base64),
    "context.AddCtx": case(context.AddCtx, "third"),
    "context.SetCtx": with_payload(1, context.SetCtx, "first"),
    "context.CombineCtx": with_payload(1, context.CombineCtx, ["first", "second"]),
    "context.UseMetaFromCtx": with_payload(1, context.UseMetaFromCtx, "first"),
    "flow.Drop": case(flow.Drop)._replace(ends="dropped"),
    "flow.Empty": case(flow.Empty),
    "flow.RaiseError": case(flow.RaiseError)._replace(ends="error"),
    "flow.Reject": case(flow.Reject)._replace(ends="rejected"),
    "flow.Sleep": case(flow.Sleep, 0.001),
    "mapping.Map": with_payload({"a": 1}, mapping.Map, [mapping.MapItem("a", "b")]),
    "mapping.ToOrderedDict": with_payload({"a": 1}, mapping.ToOrderedDict, ["a"]),
    "meta.EmptyMeta": case(meta.EmptyMeta, ["came"]),
    "meta.SetMeta": case(meta.SetMeta, {"unit": "K"}),
    "files.Read": on_files(lambda place, **options: files.Read(**options)),
    "files.Write": on_files(
        lambda place, **options: files.Write(place.folder / "w.txt", **options)
    ),
    "files.Save": on_files(
        lambda place, **options: files.Save(
            f"file://{place.folder.as_posix()}/?filename=%(counter)d.txt", **options
        )
    ),
    "files.Move": on_files(
        lambda place, **options: files.Move(place.folder / "done", **options)
    ),
    "files.Clean": on_files(lambda place, **options: files.Clean(**options)),
    "ftp.Read": on_server(ftp.Read),
    "ftp.Write": on_server(ftp.Write),
    "ftp.Delete": on_server(ftp.Delete),
    "filter.Duplicates": case(filter.Duplicates),
    "filter.Where": case(filter.Where, lambda msg: True),
    "filter.Samples": case(filter.Samples, lambda s: s.tag.name == "TI1"),
    "filter.Quality": case(filter.Quality),
    "filter.SystemStates": case(filter.SystemStates, "null"),
    "filter.Tags": case(filter.Tags, "TI1"),
    "convert.Units": case(convert.Units, "SI"),
    "enrich.PI": Case(
        lambda place, **options: enrich.PI(
            url=place.url, **({"first_wait": 0.01} | options)
        )
    ),
    "enrich.Table": case(enrich.Table, {"TI1": {"unit": "K"}}, units_from="unit"),
    "publish.Email": Case(
        lambda place, **options: publish.Email(
            "127.0.0.1",
            place.mail,
            sender="a@x",
            recipients="b@x",
            subject="values",
            **options,
        )
    ),
    "publish.File": Case(
        lambda place, **options: publish.File(place.folder / "v.jsonl", **options)
    ),
    "publish.HTTP": Case(lambda place, **options: publish.HTTP(place.url, **options)),
    "publish.Kafka": Case(
        lambda place, **options: publish.Kafka(place.kafka, "conformance", **options)
    ),
    "publish.MQTT": Case(
        lambda place, **options: publish.MQTT(place.mqtt, "c/{name}", **options)
    ),
    "publish.NATS": Case(
        lambda place, **options: publish.NATS(place.nats, "conformance", **options)
    ),
    "publish.Remote": Case(
        lambda place, **options: publish.Remote(place.remote, "inbox", **options)
    ),
    "publish.Outbox": Case(
        lambda place, **options: publish.Outbox(place.door, "outbox", **options)
    ),
    "publish.SQLite": Case(
        lambda place, **options: publish.SQLite(place.folder / "v.db", **options)
    ),
    "publish.PostgreSQL": Case(
        lambda place, **options: publish.PostgreSQL(place.database, **options)
    ),
    "publish.PI": Case(
        lambda place, **options: publish.PI(
            r"\\SIMSRV\UNIT1.BOILER.TEMP", url=place.pi, **options
        )
    ),
    "publish.Console": Case(
        lambda place, **options: publish.Console(io.StringIO(), **options)
    ),
    "publish.Call": case(publish.Call, wait),
    "reduce.Change": case(reduce.Change),
    "reduce.RateLimit": case(reduce.RateLimit, 10),
    "reduce.Sampling": case(reduce.Sampling, 2),
    "split.Items": case(split.Items),
    "request.HTTP": Case(
        lambda place, **options: request.HTTP(place.url, "POST", **options)
    ),
    "split.Split": case(split.Split),
    "window.Tumbling": case(window.Tumbling, 1e-7, max_hold=0.01),
    "window.Hopping": case(window.Hopping, 2e-7, 1e-7, max_hold=0.01),
    "window.Sliding": case(window.Sliding, 1, max_hold=0.01),
    "window.Session": case(window.Session, 1e-7, max_hold=0.01),
    "window.Join": case(
        window.Join, "TI1", {"other": "TI2"}, lateness=0, max_hold=0.01
    ),
    "log.Log": case(log.Log),
    "python.Function": case(python.Function, double),
    "python.MessageFunction": case(python.MessageFunction, mark),
}

ASKING = ("enrich.PI", "publish.HTTP", "request.HTTP")
"""Nodes that ask a web server."""

each_node = pytest.mark.parametrize("name", CASES)
each_that_passes = pytest.mark.parametrize(
    "name", [name for name, found in CASES.items() if found.ends == "processed"]
)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """Where the server is, for the node that needs it."""
    if request.node.callspec.params["name"] != "publish.PostgreSQL":
        return ""
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url()


@pytest.fixture
async def pi(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A PI Web API, for the node that writes to one."""
    if request.node.callspec.params["name"] != "publish.PI":
        yield ""
        return
    async with Simulator(Plant(tags=50, activity=0, created=0)) as simulator:
        yield simulator.url


@pytest.fixture
def ftp_port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """An FTP server, for the nodes that need one."""
    if not request.node.callspec.params["name"].startswith("ftp."):
        yield 0
        return
    server = FTPServer(tmp_path)
    yield server.port
    server.stop()


@pytest.fixture
def mqtt(request: pytest.FixtureRequest) -> str:
    """Where the broker is, for the node that needs it."""
    if request.node.callspec.params["name"] != "publish.MQTT":
        return ""
    broker: Mosquitto = request.getfixturevalue("mosquitto")
    return broker.url


@pytest.fixture
def kafka_address(request: pytest.FixtureRequest) -> str:
    """Where the broker is, for the node that needs it."""
    if request.node.callspec.params["name"] != "publish.Kafka":
        return ""
    broker: Kafka = request.getfixturevalue("kafka")
    return broker.address


@pytest.fixture
async def nats_url(request: pytest.FixtureRequest) -> str:
    """Where the server with its stream is, for the node that needs it."""
    if request.node.callspec.params["name"] != "publish.NATS":
        return ""
    server: NatsServer = request.getfixturevalue("nats_server")
    client = await nats.connect(server.url)
    await client.jetstream().add_stream(name="conformance", subjects=["conformance"])
    await client.close()
    return server.url


@pytest.fixture
async def mail(request: pytest.FixtureRequest) -> AsyncIterator[int]:
    """An SMTP server, for the node that needs one."""
    if request.node.callspec.params["name"] != "publish.Email":
        yield 25
        return
    server = MailServer()
    await server.start()
    yield server.port
    await server.stop()


async def accept(items: Sequence[bytes]) -> None:
    """Be another instance that accepts everything."""


async def take_away(door: RemoteEndpoint) -> None:
    """Be another instance that reads an outbox."""
    while True:
        await asyncio.sleep(0.005)
        if not door.is_open:
            continue
        with suppress(PichannelsError):
            async with connect(door.url) as link:
                acks = await link.entities("outbox", mode="w")
                stream = await link.entities("outbox", follow=True)
                while await stream.receive():
                    await acks.seek(stream.position)
                    await acks.trim()


@pytest.fixture
async def elsewhere(
    request: pytest.FixtureRequest,
) -> AsyncIterator[tuple[str, RemoteEndpoint]]:
    """Another instance, for the nodes that hand over to one."""
    name, door = request.node.callspec.params["name"], RemoteEndpoint(port=0)
    async with AsyncExitStack() as stack:
        url = "http://host"
        if name == "publish.Remote":
            hub = await stack.enter_async_context(Hub())
            hub.publish("inbox", WriteOnly(accept))
            url = (await stack.enter_async_context(HubServer(hub))).url
        reader = asyncio.create_task(take_away(door)) if "Outbox" in name else None
        yield url, door
        if reader is not None:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)


@pytest.fixture
async def place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    database: str,
    pi: str,
    ftp_port: int,
    mail: int,
    mqtt: str,
    kafka_address: str,
    nats_url: str,
    elsewhere: tuple[str, RemoteEndpoint],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Place]:
    monkeypatch.chdir(tmp_path)
    if request.node.callspec.params["name"] not in ASKING:
        yield Place(
            *(tmp_path, "http://host/", database, pi, ftp_port, mail, mqtt),
            *(kafka_address, nats_url, *elsewhere),
        )
        return

    async def take(asked: web.Request) -> web.Response:
        await asked.read()
        return web.Response(status=204)

    application = web.Application()
    application.router.add_post("/in", take)
    async with TestServer(application) as server:
        url = str(server.make_url("/in"))
        yield Place(tmp_path, url, database, pi, ftp_port, mail, mqtt)


async def run(node: BaseNode, msg: Message) -> Outcome:
    """The outcome of a message in a channel with only this node."""
    channel = BaseChannel("conformance")
    channel.add(node)
    await channel.start()
    try:
        return await channel.run(msg)
    finally:
        await channel.stop()


def public_nodes() -> set[str]:
    found = set()
    for module in pkgutil.iter_modules(nodes.__path__):
        if not module.name.startswith("_"):
            public = importlib.import_module(f"nodes.{module.name}")
            for name in public.__all__:
                kind = getattr(public, name)
                if inspect.isclass(kind) and issubclass(kind, BaseNode):
                    found.add(f"{module.name}.{name}")
    return found


def class_of(name: str) -> type[BaseNode]:
    module, _, kind = name.partition(".")
    found: type[BaseNode] = getattr(importlib.import_module(f"nodes.{module}"), kind)
    return found


def options_of(name: str) -> list[str]:
    variable = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    parameters = inspect.signature(class_of(name)).parameters.values()
    return [p.name for p in parameters if p.kind not in variable]


def test_every_node_is_here() -> None:
    assert public_nodes() == set(CASES)


@each_node
async def test_a_message_is_processed(name: str, place: Place) -> None:
    outcome = await run(CASES[name].make(place), CASES[name].message())
    ends = CASES[name].ends
    assert (outcome.state, outcome.error is None) == (ends, ends == "processed")


@pytest.mark.parametrize("name", [name for name in CASES if name != "flow.Empty"])
async def test_the_meta_is_kept(name: str, place: Place) -> None:
    outcome = await run(CASES[name].make(place), CASES[name].message())
    assert outcome.message.meta["came"] == "with it"


def facts(msg: Message) -> dict[str, Any]:
    return {
        "content_type": msg.content_type,
        "ctx": isolate(msg.ctx),
        "meta": isolate(msg.meta),
        "payload": isolate(msg.payload),
        "uuid": msg.uuid,
    }


@each_node
async def test_nothing_changes_but_what_the_node_declares(
    name: str, place: Place
) -> None:
    msg = CASES[name].message()
    node = CASES[name].make(place)
    before = facts(msg)
    after = facts((await run(node, msg)).message)
    changed = {key for key in before if before[key] != after[key]}
    assert changed <= node.changes  # type: ignore[attr-defined]


@each_node
async def test_the_list_of_samples_is_never_changed_in_place(
    name: str, place: Place
) -> None:
    msg = batch()
    samples, before = msg.payload, list(msg.payload)
    await run(CASES[name].make(place), msg)
    assert samples == before


@each_node
def test_an_unknown_option_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="nmae.*did you mean 'name'"):
        CASES[name].make(Place(Path(), "http://host/"), nmae="x")


@each_node
def test_a_node_takes_a_name(name: str) -> None:
    node = CASES[name].make(Place(Path(), "http://host/"), name="mine")
    assert node.name == "mine"


@each_node
async def test_passthrough_gives_what_came(name: str, place: Place) -> None:
    msg = CASES[name].message()
    before = facts(msg)
    outcome = await run(CASES[name].make(place, passthrough=True), msg)
    after = facts(outcome.message)
    assert (after["payload"], after["meta"]) == (before["payload"], before["meta"])


@each_that_passes
async def test_input_and_output_are_kept_on_request(name: str, place: Place) -> None:
    msg = CASES[name].message()
    before = isolate(msg.payload)
    options = {"store_input_as": "before", "store_output_as": "after"}
    outcome = await run(CASES[name].make(place, **options), msg)
    kept = outcome.message.ctx
    if name != "flow.Empty":
        assert kept["before"]["payload"] == before
    assert kept["after"]["payload"] == outcome.message.payload


@each_node
async def test_a_mock_replaces_the_work(name: str, place: Place) -> None:
    node = CASES[name].make(place)
    node.mock(output=Message(payload="mocked"))
    outcome = await run(node, CASES[name].message())
    assert outcome.message.payload == "mocked"


@each_that_passes
async def test_a_node_can_be_tried_again(name: str, place: Place) -> None:
    options: dict[str, Any] = {"retry": RetryPolicy(attempts=3, initial=0.01)}
    outcome = await run(CASES[name].make(place, **options), CASES[name].message())
    assert outcome.error is None


@each_that_passes
async def test_starting_and_stopping_may_be_repeated(name: str, place: Place) -> None:
    node = CASES[name].make(place)
    for _ in range(2):
        await node.start()
        await node.stop()
    assert (await run(node, CASES[name].message())).error is None


@each_node
@pytest.mark.parametrize("steps", range(4))
async def test_cancelling_leaves_nothing_behind(
    name: str, place: Place, steps: int
) -> None:
    node = CASES[name].make(place)
    await node.start()
    before = asyncio.all_tasks()
    task = asyncio.create_task(node.handle(CASES[name].message()))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError, MessageError):
        await task
    await node.stop()
    left = {t for t in asyncio.all_tasks() - before if "writer" in t.get_name()}
    assert not left


@each_node
def test_the_documentation_has_each_node_with_each_option(name: str) -> None:
    text = DOCS.read_text(encoding="utf-8")
    found = re.search(rf"^### {re.escape(name)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    assert found is not None, f"{name} has no section"
    missing = [o for o in options_of(name) if f"`{o}" not in found[1]]
    assert not missing


@each_node
def test_the_docstring_explains_each_option(name: str) -> None:
    text = inspect.getdoc(class_of(name)) or ""
    missing = [o for o in options_of(name) if not re.search(rf"\b{o}\b", text)]
    assert not missing
