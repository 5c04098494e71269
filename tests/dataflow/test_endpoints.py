"""Endpoints with a real server on loopback: clients read, stop reading, come back."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp import ClientSession

from pichannels.adapters.asgi import guarded, serve_until
from pichannels.channels import BaseChannel
from pichannels.dataflow import Application, Cache, Proxy, fresh, handle, stop
from pichannels.dataflow.endpoints import Endpoint, needs_token, serve, sse, websocket
from pichannels.errors import SettingsError, UsageError
from pichannels.message import Message
from pichannels.values import Sample, Tag

fastapi = pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

TOKEN = "s3cret"


@pytest.fixture(autouse=True)
def app() -> Iterator[Application]:
    with fresh() as application:
        yield application


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache(str(tmp_path / "db")) as cache:
        yield cache


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@asynccontextmanager
async def served(*endpoints: Any, token: str | None = None) -> AsyncIterator[str]:
    """The address of a server that has these endpoints at `/sse` and `/ws`."""
    web, port, over = fastapi.FastAPI(), free_port(), asyncio.Event()
    for endpoint in endpoints:
        web.get("/sse")(endpoint.sse)
        web.websocket("/ws")(endpoint.websocket)
    app = guarded(web, "127.0.0.1", token)
    serving = asyncio.create_task(serve_until(app, "127.0.0.1", port, over.wait))  # type: ignore[arg-type]
    await answers(port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        for endpoint in endpoints:
            endpoint.close()
        over.set()
        await serving


async def answers(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return await writer.wait_closed()


class Reader:
    """A client of server-sent events, as a browser is."""

    def __init__(self, answer: aiohttp.ClientResponse, last: str) -> None:
        self.answer = answer
        self.last = last

    async def next(self) -> tuple[str, Any]:
        """The kind and the data of the next event; "" when there are no more."""
        kind, data = "message", ""
        async with asyncio.timeout(10):
            async for line in self.answer.content:
                name, _, value = line.decode().rstrip("\n").partition(": ")
                if name == "id":
                    self.last = value
                elif name == "event":
                    kind = value
                elif name == "data":
                    data = value
                elif not name and data:
                    return kind, json.loads(data)
        return "", None

    async def values(self, count: int) -> list[Any]:
        return [(await self.next())[1]["value"] for _ in range(count)]


@asynccontextmanager
async def reading(url: str, last: str = "") -> AsyncIterator[Reader]:
    headers = {"Last-Event-ID": last} if last else {}
    async with ClientSession() as session, session.get(url, headers=headers) as answer:
        assert answer.content_type == "text/event-stream"
        # From now on it gets all.
        opened = await answer.content.readuntil(b"\nid: ")
        assert opened.startswith(b"retry: ")
        last = (await answer.content.readuntil(b"\n\n")).decode().strip()
        yield Reader(answer, last)


async def test_updates_of_a_cache_come_as_events(cache: Cache) -> None:
    async with served(Endpoint(cache)) as url, reading(f"{url}/sse") as client:
        await cache("time", "00:16:57")
        cache["time"] = "not published"
        await cache("time", {"at": [1, 2]})
        first, second = await client.next(), await client.next()
    assert first == ("message", {"key": "time", "value": "00:16:57"})
    assert second == ("message", {"key": "time", "value": {"at": [1, 2]}})


async def test_who_comes_back_gets_what_came_since(cache: Cache) -> None:
    async with served(Endpoint(cache)) as url:
        async with reading(f"{url}/sse") as client:
            await cache("a", 1)
            await client.next()
        for number in (2, 3):
            await cache("a", number)
        async with reading(f"{url}/sse", client.last) as again:
            await cache("a", 4)
            assert await again.values(3) == [2, 3, 4]


async def test_nothing_is_lost_while_the_server_restarts(tmp_path: Path) -> None:
    last, path = "", str(tmp_path / "db")
    found: list[Any] = []
    for run in range(3):
        cache = await asyncio.to_thread(Cache, path)
        with cache:
            await cache("a", f"{run}, nobody listens")
            async with served(Endpoint(cache)) as url:
                await cache("a", f"{run}, before")
                async with reading(f"{url}/sse", last) as client:
                    await cache("a", run)
                    while not found or found[-1] != run:
                        found += await client.values(1)
                    last = client.last
                await cache("a", f"{run}, after")
    # What is published before there is an endpoint is no update of it.
    assert found == [0, "0, after", "1, before", 1, "1, after", "2, before", 2]


async def test_a_place_that_is_gone_is_told(cache: Cache) -> None:
    async with served(Endpoint(cache, keep=3)) as url:
        async with reading(f"{url}/sse") as client:
            await cache("a", 0)
            await client.next()
        for number in range(1, 6):
            await cache("a", number)
        async with reading(f"{url}/sse", client.last) as again:
            assert await again.next() == ("gap", {"lost": 2})
            assert await again.values(3) == [3, 4, 5]
        async with reading(f"{url}/sse", "of-another-life") as stranger:
            assert await stranger.next() == ("gap", {"lost": None})
            assert await stranger.values(3) == [3, 4, 5]


@pytest.mark.parametrize(
    ("slow", "first", "then"),
    [("disconnect", "slow", ""), ("skip", "gap", "message")],
)
async def test_a_slow_client_neither_waits_nor_is_kept_waiting(
    slow: Any, first: str, then: str
) -> None:
    proxy = Proxy()
    async with served(Endpoint(proxy, keep=5, slow=slow)) as url:
        async with reading(f"{url}/sse") as client:
            # More than the buffers of sockets take, so that the server has to wait.
            for number in range(400):
                await proxy("x" * 50_000 + str(number))
                await asyncio.sleep(0)
            kinds = [(await client.next())[0]]
            while kinds[-1] == "message":
                kinds.append((await client.next())[0])
            after = await client.next()
    assert (kinds[-1], after[0], len(kinds) < 400) == (first, then, True)


async def test_a_client_that_does_not_read_is_left() -> None:
    proxy = Proxy()
    endpoint = Endpoint(proxy, patience=0.1)
    async with served(endpoint) as url, reading(f"{url}/sse") as client:
        for _ in range(300):
            await proxy("x" * 50_000)
        async with asyncio.timeout(10):
            while endpoint.clients:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.02)
        assert not client.answer.content.at_eof()


async def test_conflated_clients_get_the_last_value_of_each_key(cache: Cache) -> None:
    async with served(Endpoint(cache, slow="conflate")) as url:
        async with reading(f"{url}/sse") as client:
            await cache("a", 0)
            await client.next()
        for number in range(1, 5):
            await cache("a", number)
            await cache("b", -number)
        async with reading(f"{url}/sse", client.last) as again:
            assert await again.values(2) == [4, -4]


async def test_websockets_carry_the_same(cache: Cache) -> None:
    async with served(Endpoint(cache)) as url, ClientSession() as session:
        async with session.ws_connect(f"{url}/ws") as one:
            opened = await one.receive_json(timeout=10)
            await cache("a", 1)
            first = await one.receive_json(timeout=10)
        await cache("a", 2)
        again = f"{url}/ws?last_event_id={first['id']}"
        async with session.ws_connect(again) as two:
            second = [await two.receive_json(timeout=10) for _ in range(2)][1]
    assert opened["event"] == "open"
    assert (first["event"], first["data"]) == ("update", {"key": "a", "value": 1})
    assert second["data"]["value"] == 2


async def test_a_websocket_that_its_client_closes_is_no_error(
    cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = Endpoint(cache)
    async with served(endpoint) as url, ClientSession() as session:
        async with session.ws_connect(f"{url}/ws") as one:
            await one.receive_json(timeout=10)
        async with asyncio.timeout(10):
            while endpoint.clients:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []


async def test_what_comes_out_of_a_channel_is_followed(app: Application) -> None:
    channel = BaseChannel("values")
    async with served(Endpoint(channel)) as url, reading(f"{url}/sse") as client:
        await channel.start()
        sample = Sample(Tag("T1", server="S"), 10**16, 20.5)
        await channel.run(Message(payload=[sample]))
        await channel.run(Message(payload=b"plain"))
        (samples, text) = await client.values(2)
        await channel.stop()
    assert (samples[0]["tag"], samples[0]["value"], text) == ("T1", 20.5, "plain")


async def test_a_cache_keeps_the_updates_of_a_channel(cache: Cache) -> None:
    last = ""
    for number in (1, 2):
        channel = BaseChannel("values")
        async with served(Endpoint(channel, history=cache)) as url:
            await channel.start()
            await channel.run(Message(payload=number))
            async with reading(f"{url}/sse", last) as client:
                if last:
                    assert await client.values(1) == [2]
                last = client.last
            await channel.stop()


async def test_endpoints_of_one_source_share_what_is_kept(cache: Cache) -> None:
    async with served(Endpoint(cache)) as url:
        sse(cache)
        async with reading(f"{url}/sse") as client:
            await cache("a", 1)
            await cache("a", 2)
            assert await client.values(2) == [1, 2]


async def test_only_so_many_clients_are_served() -> None:
    async with served(Endpoint(Proxy(), most=1)) as url, httpx.AsyncClient() as http:
        async with reading(f"{url}/sse"):
            refused = await http.get(f"{url}/sse")
    assert refused.status_code == 503


async def test_a_token_opens_the_door() -> None:
    async with served(Endpoint(Proxy(), token=TOKEN)) as url:
        async with httpx.AsyncClient() as http:
            refused = [await http.get(f"{url}/sse{end}") for end in ("", "?token=no")]
        async with reading(f"{url}/sse?token={TOKEN}"):
            pass
    assert [answer.status_code for answer in refused] == [401, 401]


async def test_pages_from_elsewhere_get_no_websocket() -> None:
    async with served(Endpoint(Proxy())) as url, ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"{url}/ws", origin="http://evil.example")
        async with session.ws_connect(f"{url}/ws", origin=url):
            pass


async def test_names_that_point_here_are_refused() -> None:
    async with served(Endpoint(Proxy())) as url, httpx.AsyncClient() as http:
        refused = await http.get(f"{url}/sse", headers={"Host": "evil.example"})
    assert refused.status_code == 403


async def test_a_dependency_guards_paths_of_ones_own() -> None:
    web = fastapi.FastAPI()

    async def state() -> str:
        return "good"

    guard = fastapi.Depends(needs_token(TOKEN))
    web.get("/", dependencies=[guard])(state)
    transport = httpx.ASGITransport(app=web)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as http:
        without = await http.get("/")
        shown = await http.get("/", headers={"Authorization": f"Bearer {TOKEN}"})
    assert (without.status_code, shown.json()) == (401, "good")


async def test_serving_ends_with_the_stream(app: Application) -> None:
    web, proxy, port = fastapi.FastAPI(), Proxy(), free_port()
    web.get("/sse")(sse(proxy))
    web.websocket("/ws")(websocket(proxy))

    @handle(proxy)
    def see(value: Any) -> None:
        if value == "last":
            stop()

    serving = asyncio.create_task(serve(web, port=port))
    await answers(port)
    async with reading(f"http://127.0.0.1:{port}/sse") as client:
        await proxy("last")
        assert await client.values(1) == ["last"]
        assert await client.next() == ("", None)
    async with asyncio.timeout(10):
        await serving


async def test_other_machines_need_a_token() -> None:
    with pytest.raises(SettingsError, match="token"):
        await serve(fastapi.FastAPI(), host="0.0.0.0")


async def test_an_empty_token_is_told() -> None:
    for make in (lambda: Endpoint(Proxy(), token=""), lambda: needs_token("")):
        with pytest.raises(SettingsError, match="empty"):
            make()
    with pytest.raises(SettingsError, match="empty"):
        await serve(fastapi.FastAPI(), host="0.0.0.0", token="")


@pytest.mark.parametrize(
    ("source", "options"),
    [([1, 2], {}), (Proxy(), {"slow": "never"}), (Proxy(), {"keep": 0})],
    ids=["list", "slow", "keep"],
)
def test_options_are_looked_at(source: Any, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Endpoint(source, **options)
