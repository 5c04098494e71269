"""The client of schema registries, and the answers that one gives."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pichannels.errors import DecodeError, NotConnected, RetryLater, SettingsError
from pichannels.formats.avro import SAMPLE_AVRO
from pichannels.formats.protobuf import ProtobufCodec
from pichannels.formats.registry import Schema, SchemaRefused, SchemaRegistry
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret
from tests.integration.certificates import make_certificate
from tests.servers.registry import Registry, answers

SOON = RetryPolicy(attempts=4, initial=0.01, maximum=0.02)
ONCE = RetryPolicy(attempts=1)
SCHEMA = Schema('{"type":"string"}')
VALUES = "pi-values-value"


async def test_a_schema_is_registered_once() -> None:
    async with Registry(answers("avro.json")) as server:
        registry = SchemaRegistry(server.url)
        ids = [await registry.register(VALUES, SCHEMA) for _ in range(2)]
    assert ids == [100001, 100001]
    assert server.asked == [
        ("POST", f"/subjects/{VALUES}/versions", {"schema": '{"type":"string"}'})
    ]


async def test_the_kind_of_schema_and_what_it_needs_are_told() -> None:
    async with Registry(answers("protobuf.json")) as server:
        schema = Schema("CgA=", "PROTOBUF")
        assert await SchemaRegistry(server.url).register(VALUES, schema) == 7
    assert server.asked[0][2] == {"schema": "CgA=", "schemaType": "PROTOBUF"}


async def test_a_refusal_tells_what_the_registry_said() -> None:
    async with Registry(answers("refused.json")) as server:
        registry = SchemaRegistry(server.url)
        with pytest.raises(SchemaRefused) as refused:
            await registry.register(VALUES, SCHEMA)
        with pytest.raises(SchemaRefused, match="Schema not found"):
            await registry.lookup(VALUES, SCHEMA)
        problems = await registry.problems(VALUES, SCHEMA)
        nothing = await registry.problems("new-value", SCHEMA)
    assert "READER_FIELD_MISSING_DEFAULT_VALUE" in str(refused.value)
    assert "compatibility: 'BACKWARD'" in refused.value.said
    assert (len(problems), nothing) == (2, [])


async def test_a_schema_that_is_not_there_costs_one_record() -> None:
    async with Registry(answers("refused.json")) as server:
        with pytest.raises(DecodeError, match="Schema 404 not found"):
            await SchemaRegistry(server.url).by_id(404)


async def test_what_a_registry_could_not_do_is_tried_again() -> None:
    async with Registry(answers("busy.json")) as server:
        found = await SchemaRegistry(server.url, retry=SOON).register(VALUES, SCHEMA)
        assert (found, len(server.asked)) == (5, 3)
        server.is_away = True
        with pytest.raises(RetryLater, match="no leader"):
            await SchemaRegistry(server.url, retry=ONCE).lookup(VALUES, SCHEMA)


async def test_the_next_member_is_asked_where_one_is_away() -> None:
    async with Registry(answers("avro.json")) as server:
        registry = SchemaRegistry(["http://127.0.0.1:1", server.url], retry=ONCE)
        assert await registry.register(VALUES, SCHEMA) == 100001
    with pytest.raises(NotConnected):
        await SchemaRegistry("http://127.0.0.1:1", retry=SOON).by_id(1)


async def test_the_login_is_used_and_a_wrong_one_told() -> None:
    async with Registry(answers("avro.json"), login=("me", "s3cret")) as server:
        right = SchemaRegistry(server.url, user="me", password=Secret("", "s3cret"))
        assert await right.register(VALUES, SCHEMA) == 100001
        with pytest.raises(SettingsError, match="does not let us in"):
            await SchemaRegistry(server.url, token="t").register(VALUES, SCHEMA)


async def test_what_is_no_registry_is_told() -> None:
    application = web.Application()

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html>")

    application.router.add_get("/{path:.*}", page)
    async with TestServer(application) as server:
        with pytest.raises(SettingsError, match="no schema registry"):
            await SchemaRegistry(str(server.make_url(""))).by_id(1)


@pytest.mark.parametrize(
    "url", ["ftp://a", "registry:8081", "http://me:secret@a", []], ids=str
)
def test_urls_are_looked_at(url: Any) -> None:
    with pytest.raises(SettingsError) as told:
        SchemaRegistry(url)
    assert "secret" not in str(told.value)


async def test_tls_is_spoken_with_those_who_are_trusted(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "registry")
    async with Registry(answers("avro.json"), certificate=certificate) as server:
        right = SchemaRegistry(server.url, ca=certificate)
        assert await right.register(VALUES, SCHEMA) == 100001
        with pytest.raises(NotConnected, match="certificate"):
            await SchemaRegistry(server.url, retry=ONCE).register(VALUES, SCHEMA)


async def test_a_missing_certificate_is_told(tmp_path: Path) -> None:
    registry = SchemaRegistry("https://127.0.0.1:1", ca=tmp_path / "none.pem")
    with pytest.raises(SettingsError, match="certificates cannot be used"):
        await registry.by_id(1)


def test_the_recorded_schemas_are_those_that_are_shipped() -> None:
    avro = {e["path"]: e["answer"] for e in answers("avro.json")}["/schemas/ids/100001"]
    kept = {e["path"]: e["answer"] for e in answers("protobuf.json")}
    proto = base64.b64decode(kept["/schemas/ids/7?format=serialized"]["schema"])
    sample = ProtobufCodec(plain=False).decode(b"")
    assert json.loads(avro["schema"]) == json.loads(SAMPLE_AVRO)
    assert proto == sample.DESCRIPTOR.file.serialized_pb  # type: ignore[attr-defined]
