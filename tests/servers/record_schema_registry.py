"""Record what a schema registry answers, for `fixtures/schema_registry/recorded`.

    python -m tests.servers.record_schema_registry

A real registry is started (`apicurio.py`), our own client asks it through a proxy, and
the proxy writes down what goes by. Needs Java and Maven.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from pichannels.errors import PichannelsError
from pichannels.formats.avro import SAMPLE_AVRO, AvroCodec
from pichannels.formats.codec import decoded_from, encoded_for
from pichannels.formats.protobuf import ProtobufCodec
from pichannels.formats.registry import Reference, Schema, SchemaRegistry
from pichannels.values import Sample, Tag
from tests.servers.apicurio import Apicurio, Tokens
from tests.servers.registry import RECORDED
from tests.unit.formats.proto_files import UNIT_TEXT, descriptors

__all__ = ["Recorder", "record"]

_TOLD: Final = ("Content-Type", "WWW-Authenticate")
_VALUES: Final = "pi-values-value"
_PLANT: Final = "plant-value"
_UNIT: Final = (
    '{"type":"record","name":"Unit","namespace":"plant",'
    '"fields":[{"name":"name","type":"string"}]}'
)
_LINE: Final = (
    '{"type":"record","name":"Line","namespace":"plant","fields":'
    '[{"name":"unit","type":"plant.Unit"},{"name":"level","type":"double"}]}'
)
_EARLIER: Final = (
    '{"type":"record","name":"Sample","namespace":"pichannels","fields":[]}'
)
_JSON: Final = (
    '{"$schema":"http://json-schema.org/draft-07/schema#","type":"object",'
    '"properties":{"level":{"type":"number"}}}'
)


class Recorder:
    """A proxy before a registry that keeps each request and its answer.

    Args:
        server: where it passes them on to.
        tokens: what a bearer token stands for there, by the word that is recorded.

    Attributes:
        exchanges: what went by.
    """

    def __init__(self, server: Apicurio, tokens: Mapping[str, str]) -> None:
        self._server = server
        self._tokens = tokens
        self.exchanges: list[dict[str, Any]] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Its URL."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._pass)
        async with TestServer(application) as front:
            yield str(front.make_url("")).rstrip("/")

    async def _pass(self, request: web.Request) -> web.Response:
        sent = await request.read()
        login = request.headers.get("Authorization", "")
        headers = {"Content-Type": request.headers["Content-Type"]}
        if login:
            word = login.removeprefix("Bearer ")
            headers["Authorization"] = f"Bearer {self._tokens.get(word, word)}"
        target = self._server.url + request.raw_path
        async with (
            ClientSession(headers=headers) as session,
            session.request(request.method, target, data=sent) as answer,
        ):
            body = await answer.read()
        told = {name: answer.headers[name] for name in _TOLD if name in answer.headers}
        exchange: dict[str, Any] = {"method": request.method, "path": request.raw_path}
        if self._tokens:
            exchange["authorization"] = login or None
        exchange["sent"] = json.loads(sent) if sent else None
        exchange |= {"status": answer.status, "headers": told}
        if body:
            exchange["answer"] = json.loads(body)
        self.exchanges.append(exchange)
        return web.Response(body=body, status=answer.status, headers=told)


async def _refused(asked: Awaitable[object]) -> None:
    """What is to be refused; that it is not is a fault of the scene."""
    try:
        found = await asked
    except PichannelsError:
        return
    raise AssertionError(found)


async def _avro(url: str) -> None:
    client = SchemaRegistry(url)
    sample = Sample(Tag("TI1"), 10**16, 1.5)
    for subject in ("topic", "record"):
        codec = AvroCodec(registry=client, subject=subject)
        data = await encoded_for("pi-values", codec, sample)
    await decoded_from(AvroCodec(registry=client), data)
    schema = Schema(SAMPLE_AVRO)
    await client.find(_VALUES, schema)
    await client.version(_VALUES)
    await client.version(_VALUES, 1)
    assert await client.problems(_VALUES, schema) == []


async def _protobuf(url: str) -> None:
    client = SchemaRegistry(url)
    sample = Sample(Tag("TI1"), 10**16, 1.5)
    for subject in ("topic", "record"):
        codec = ProtobufCodec(registry=client, subject=subject)
        data = await encoded_for("pi-values", codec, sample)
    await decoded_from(ProtobufCodec(registry=client), data)


async def _imports(url: str) -> None:
    client = SchemaRegistry(url)
    codec = ProtobufCodec(descriptors(), registry=client)
    data = await encoded_for("lines", codec, {"tag": "a"})
    await decoded_from(ProtobufCodec(registry=client), data)


async def _text(url: str) -> None:
    client = SchemaRegistry(url)
    id = await client.register("units-value", Schema(UNIT_TEXT, "PROTOBUF"))
    await client.by_id(id, "serialized")


async def _references(url: str) -> None:
    client = SchemaRegistry(url)
    await client.register("plant.Unit", Schema(_UNIT))
    needed = Reference("plant.Unit", "plant.Unit", 1)
    line = Schema(_LINE, references=(needed,))
    id = await client.register("plant-lines-value", line)
    frame = b"\0" + id.to_bytes(4, "big")
    reader = AvroCodec(registry=client)
    await decoded_from(reader, frame + b"\x04U1" + bytes(8))
    other = Schema(_LINE, references=(Reference("plant.Unit", "plant.Unit", 7),))
    await _refused(client.register("other-lines-value", other))


async def _json(url: str) -> None:
    client = SchemaRegistry(url)
    schema = Schema(_JSON, "JSON")
    id = await client.register("levels-value", schema)
    await client.by_id(id)
    await client.find("levels-value", schema)


async def _refusals(url: str) -> None:
    client = SchemaRegistry(url)
    await client.register(_PLANT, Schema(_EARLIER))
    schema = Schema(SAMPLE_AVRO)
    await _refused(client.register(_PLANT, schema))
    assert await client.problems(_PLANT, schema)
    assert await client.problems("new-value", schema) == []
    await _refused(client.register("bad-value", Schema('{"type":"nothing"}')))
    await _refused(client.register("bad-value", Schema("{")))
    await _refused(client.lookup(_PLANT, schema))
    await _refused(client.lookup("new-value", schema))
    await _refused(client.version("new-value"))
    await _refused(client.version(_PLANT, 9))
    await _refused(client.by_id(404))
    await _refused(client.by_id(404, "serialized"))


async def _accepted(url: str) -> None:
    await SchemaRegistry(url).register(_PLANT, Schema(SAMPLE_AVRO))


async def _access(url: str) -> None:
    schema = Schema('{"type":"string"}')
    await SchemaRegistry(url, token="admin").register(_VALUES, schema)
    await SchemaRegistry(url, token="reader").lookup(_VALUES, schema)
    await _refused(SchemaRegistry(url, token="reader").register(_VALUES, schema))
    await _refused(SchemaRegistry(url, token="stranger").register(_VALUES, schema))
    await _refused(SchemaRegistry(url).register(_VALUES, schema))


_Scene = Callable[[str], Awaitable[None]]
_SCENES: Final[dict[str, _Scene]] = {
    "avro": _avro,
    "protobuf": _protobuf,
    "imports": _imports,
    "text": _text,
    "references": _references,
    "json": _json,
    "refused": _refusals,
}


async def _allow(server: Apicurio, level: str) -> None:
    """Which schemas the registry takes; nothing that our client has to do with."""
    async with (
        ClientSession(raise_for_status=True) as session,
        session.put(server.url + "/config", json={"compatibility": level}),
    ):
        return


async def _play(
    name: str, scene: _Scene, tokens: Mapping[str, str], server: Apicurio
) -> None:
    recorder = Recorder(server, tokens)
    async with recorder.running() as url:
        await scene(url)
    text = json.dumps(recorder.exchanges, indent=2)
    (RECORDED / f"{name}.json").write_text(text + "\n", "utf-8")


async def record() -> None:
    """Play each scene with a registry that knows nothing yet."""
    RECORDED.mkdir(exist_ok=True)
    for name, scene in _SCENES.items():
        with contextlib.closing(Apicurio()) as server:
            server.start()
            await _allow(server, "BACKWARD")
            await _play(name, scene, {}, server)
            if name == "refused":
                await _allow(server, "NONE")
                await _play("accepted", _accepted, {}, server)
    keys = Tokens()
    with contextlib.closing(Apicurio(keys)) as server:
        server.start()
        roles = {"admin": "sr-admin", "reader": "sr-readonly"}
        tokens = {word: keys.token(role) for word, role in roles.items()}
        await _play("access", _access, tokens, server)


if __name__ == "__main__":
    asyncio.run(record())
