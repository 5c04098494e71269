"""The client of schema registries, with the answers that a real one has given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pichannels.errors import DecodeError, NotConnected, RetryLater, SettingsError
from pichannels.formats.avro import SAMPLE_AVRO
from pichannels.formats.registry import Schema, SchemaRefused, SchemaRegistry
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret
from tests.integration.certificates import make_certificate
from tests.servers.registry import Registry, documented, recorded

SOON = RetryPolicy(attempts=4, initial=0.01, maximum=0.02)
ONCE = RetryPolicy(attempts=1)
SCHEMA = Schema(SAMPLE_AVRO)
TEXT = Schema('{"type":"string"}')
VALUES = "pi-values-value"
PLANT = "plant-value"


async def test_a_recorded_schema_is_registered_once() -> None:
    async with Registry(recorded("avro")) as server:
        registry = SchemaRegistry(server.url)
        ids = [await registry.register(VALUES, SCHEMA) for _ in range(2)]
        version = (await registry.version(VALUES)).version
        problems = await registry.problems(VALUES, SCHEMA)
    assert (ids, version, problems) == ([1, 1], 1, [])
    posts = [path for method, path, _ in server.asked if path.endswith("/versions")]
    assert posts == [f"/subjects/{VALUES}/versions"]


async def test_the_kind_of_a_recorded_schema_is_told() -> None:
    exchanges = recorded("json")
    async with Registry(exchanges) as server:
        registry = SchemaRegistry(server.url)
        schema = Schema(exchanges[0]["sent"]["schema"], "JSON")
        id = await registry.register("levels-value", schema)
        assert await registry.by_id(id) == schema
        assert (await registry.find("levels-value", schema)).version == 1


async def test_a_recorded_refusal_tells_what_the_registry_said() -> None:
    async with Registry(recorded("refused")[1:]) as server:
        registry = SchemaRegistry(server.url)
        with pytest.raises(SchemaRefused) as refused:
            await registry.register(PLANT, SCHEMA)
        with pytest.raises(SchemaRefused, match="Failed to discover"):
            await registry.register("bad-value", Schema("{"))
        problems = await registry.problems(PLANT, SCHEMA)
        nothing = await registry.problems("new-value", SCHEMA)
    assert "tag at /fields/0" in refused.value.said
    assert refused.value.said.endswith("(409)")
    assert ["tag at /fields/0" in each for each in problems] == [True]
    assert nothing == []


async def test_recorded_misses_tell_what_is_not_there() -> None:
    async with Registry(recorded("refused")) as server:
        registry = SchemaRegistry(server.url)
        for asked, code in (
            (registry.lookup(PLANT, SCHEMA), 40403),
            (registry.lookup("new-value", SCHEMA), 40401),
            (registry.version("new-value"), 40401),
            (registry.version(PLANT, 9), 40402),
        ):
            with pytest.raises(SchemaRefused, match=rf"\({code}\)"):
                await asked
        with pytest.raises(DecodeError, match=r"'contentId-404' .* \(40403\)"):
            await registry.by_id(404)


async def test_recorded_logins_are_let_in_or_told() -> None:
    async with Registry(recorded("access")) as server:
        admin = SchemaRegistry(server.url, token=Secret("", "admin"))
        assert await admin.register(VALUES, TEXT) == 1
        reader = SchemaRegistry(server.url, token="reader")
        assert await reader.lookup(VALUES, TEXT) == 1
        for registry, said in (
            (SchemaRegistry(server.url, token="reader"), "status 403"),
            (SchemaRegistry(server.url, token="stranger"), "status 401"),
            (SchemaRegistry(server.url), r"User is not authenticated\. \(401\)"),
        ):
            with pytest.raises(SettingsError, match=f"does not let us in: {said}"):
                await registry.register(VALUES, TEXT)


async def test_a_documented_refusal_has_all_that_is_incompatible() -> None:
    async with Registry(documented("refused")) as server:
        registry = SchemaRegistry(server.url)
        with pytest.raises(SchemaRefused, match="compatibility: 'BACKWARD'"):
            await registry.register(VALUES, SCHEMA)
        assert len(await registry.problems(VALUES, SCHEMA)) == 2


async def test_what_a_registry_could_not_do_is_tried_again() -> None:
    async with Registry(documented("busy")) as server:
        found = await SchemaRegistry(server.url, retry=SOON).register(VALUES, SCHEMA)
        assert (found, len(server.asked)) == (5, 3)
        server.is_away = True
        with pytest.raises(RetryLater, match="no leader"):
            await SchemaRegistry(server.url, retry=ONCE).lookup(VALUES, SCHEMA)


async def test_the_next_member_is_asked_where_one_is_away() -> None:
    async with Registry(recorded("avro")) as server:
        registry = SchemaRegistry(["http://127.0.0.1:1", server.url], retry=ONCE)
        assert await registry.register(VALUES, SCHEMA) == 1
    with pytest.raises(NotConnected):
        await SchemaRegistry("http://127.0.0.1:1", retry=SOON).by_id(1)


async def test_the_login_is_used_and_a_wrong_one_told() -> None:
    async with Registry(recorded("avro"), login=("me", "s3cret")) as server:
        right = SchemaRegistry(server.url, user="me", password=Secret("", "s3cret"))
        assert await right.register(VALUES, SCHEMA) == 1
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
    async with Registry(recorded("avro"), certificate=certificate) as server:
        right = SchemaRegistry(server.url, ca=certificate)
        assert await right.register(VALUES, SCHEMA) == 1
        with pytest.raises(NotConnected, match="certificate"):
            await SchemaRegistry(server.url, retry=ONCE).register(VALUES, SCHEMA)


async def test_a_missing_certificate_is_told(tmp_path: Path) -> None:
    registry = SchemaRegistry("https://127.0.0.1:1", ca=tmp_path / "none.pem")
    with pytest.raises(SettingsError, match="certificates cannot be used"):
        await registry.by_id(1)
