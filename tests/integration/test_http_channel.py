"""HTTP channels in projects: checked, declared, started, reloaded, under load."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pichannels.channels.http import HttpChannel
from pichannels.channels.listening import ListeningChannel
from pichannels.config import SettingsProblems
from pichannels.endpoints.http import HTTPEndpoint
from pichannels.engine import Engine, StartError
from pichannels.project import Project, load

SETTINGS = """\
from pathlib import Path

from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import python
from pichannels.channels.http import HttpChannel
from pichannels.endpoints.http import HTTPEndpoint

MESSAGE_STORE = SQLiteMessageStoreFactory()
endpoint = HTTPEndpoint(port=PORT)


def said(text):
    return python.Function(lambda payload: text)


def channel(name, text, **options):
    made = HttpChannel(name, endpoint=endpoint, url=f"/{name}", **options)
    return made.add(said(text))


CHANNELS = [channel("a", "first"), channel("b", "second")]
"""

YAML = """\
channels:
  - name: a
    source:
      http:
        endpoint: {host: 127.0.0.1, port: PORT}
        method: POST
        url: /plants/{name}
        encoding: utf-8
  - name: b
    source:
      http: {url: /other, endpoint: {host: 127.0.0.1, port: PORT}}
"""


@pytest.fixture
def port() -> Iterator[int]:
    """A port that nobody has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        number = found.getsockname()[1]
    yield number


@pytest.fixture
async def write(tmp_path: Path, port: int) -> Callable[..., Awaitable[Path]]:
    """Writes the settings, with one text in place of another."""

    async def written(old: str = "", new: str = "", file: str = "settings.py") -> Path:
        path = tmp_path / file
        text = YAML if file.endswith(".yml") else SETTINGS
        text = text.replace(old, new) if old else text
        await asyncio.to_thread(path.write_text, text.replace("PORT", str(port)))
        return path

    return written


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[Engine]:
    project = await asyncio.to_thread(load, path)
    async with Engine(project, control=False) as engine:
        yield engine


async def ask(port: int, path: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{port}{path}"
    async with aiohttp.ClientSession() as session, session.post(url) as answer:
        return answer.status, await answer.text()


def problems(*channels: HttpChannel) -> str:
    with pytest.raises(SettingsProblems) as caught:
        Project(channels)
    return str(caught.value)


# Checked


def test_two_channels_with_one_route_are_told() -> None:
    endpoint = HTTPEndpoint(port=8080)
    told = problems(
        HttpChannel("a", endpoint=endpoint, url="/{name}"),
        HttpChannel("b", endpoint=endpoint, url="/{id}"),
    )
    assert "CHANNELS[1]: channel 'a' has * /{} of HTTP endpoint 127.0.0.1:8080" in told


def test_one_route_at_two_endpoints_of_one_port_is_told() -> None:
    told = problems(
        HttpChannel("a", endpoint=HTTPEndpoint(port=8080)),
        HttpChannel("b", endpoint=HTTPEndpoint(port=8080)),
    )
    assert "CHANNELS[1]: channel 'a' has * / of" in told


def test_two_endpoints_that_differ_cannot_have_one_port() -> None:
    told = problems(
        HttpChannel("a", endpoint=HTTPEndpoint(port=8080)),
        HttpChannel("b", endpoint=HTTPEndpoint(port=8080, reuse_port=True)),
    )
    assert "channel 'a' has another endpoint at 127.0.0.1:8080" in told


@pytest.mark.parametrize(
    "options", [{"method": "GET"}, {"url": "/b"}, {"endpoint": HTTPEndpoint(port=1)}]
)
def test_channels_that_differ_may_share(options: dict[str, Any]) -> None:
    endpoint = HTTPEndpoint(port=8080)
    other = HttpChannel("b", **{"endpoint": endpoint, **options})
    assert Project([HttpChannel("a", endpoint=endpoint), other]).channels[1] is other


def test_endpoints_that_are_defined_alike_are_one() -> None:
    channels = [
        HttpChannel(name, endpoint=HTTPEndpoint(port=8080), url=f"/{name}")
        for name in "ab"
    ]
    Project(channels)
    assert channels[0].endpoint is channels[1].endpoint


# Declared


async def declared(write: Callable[..., Awaitable[Path]], *change: str) -> Project:
    await write(*change, file="channels.yml")
    settings = await write(SETTINGS, 'CHANNELS = ["channels.yml"]\n')
    return await asyncio.to_thread(load, settings)


async def test_channels_in_yaml_share_an_endpoint(
    write: Callable[..., Awaitable[Path]],
) -> None:
    a, b = (await declared(write)).channels
    assert isinstance(a, ListeningChannel)
    assert isinstance(b, ListeningChannel)
    assert a.endpoint is b.endpoint


async def test_channels_in_yaml_answer(
    write: Callable[..., Awaitable[Path]], port: int
) -> None:
    project = await declared(write)
    async with Engine(project, control=False):
        assert await ask(port, "/plants/north") == (200, "")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("method: POST", "method: POS"), "did you mean 'POST'?"),
        (("encoding: utf-8", "encodin: utf-8"), "did you mean 'encoding'?"),
        (("port: PORT}\n        m", "prt: 1}\n        m"), "did you mean 'port'?"),
        (("/{name}", "/{status}"), "a parameter may not be called 'status'"),
        (("\n        url: /plants/{name}", "\n        url: plants"), "this is no path"),
    ],
)
async def test_what_is_wrong_in_yaml_is_told_with_its_line(
    write: Callable[..., Awaitable[Path]], change: tuple[str, str], told: str
) -> None:
    with pytest.raises(SettingsProblems) as caught:
        await declared(write, *change)
    assert told in str(caught.value)
    assert "channels.yml:" in str(caught.value)


# Started and stopped


async def test_a_port_in_use_stops_the_start_and_says_what_to_do(
    write: Callable[..., Awaitable[Path]], port: int
) -> None:
    path = await write()
    with socket.create_server(("127.0.0.1", port)):
        with pytest.raises(StartError) as caught:
            async with running(path):
                pass
    assert (
        f"HTTP endpoint cannot listen on 127.0.0.1:{port}: the port is in use;"
        in str(caught.value)
    )


async def test_status_tells_where_a_channel_is(
    write: Callable[..., Awaitable[Path]], port: int
) -> None:
    async with running(await write()) as engine:
        await ask(port, "/a")
        report = engine.status().channels[0]
    url = f"http://127.0.0.1:{port}/a"
    assert (report.is_ready, report.source["url"], report.source["requests"]) == (
        True,
        url,
        1,
    )


async def test_a_channel_that_is_stopped_says_so_and_comes_back(
    write: Callable[..., Awaitable[Path]], port: int
) -> None:
    async with running(await write()) as engine:
        await engine.stop_channel("a")
        seen = [(await ask(port, "/a"))[0], (await ask(port, "/b"))[0]]
        await engine.start_channel("a")
        seen.append((await ask(port, "/a"))[0])
    assert seen == [503, 200, 200]


async def test_a_paused_channel_takes_requests_and_answers_later_ones(
    write: Callable[..., Awaitable[Path]], port: int
) -> None:
    async with running(await write()) as engine:
        await engine.pause_channel("a")
        seen = [(await ask(port, "/a"))[0], (await ask(port, "/b"))[0]]
        await engine.resume_channel("a")
        await engine.project.channel("a").drain()
        seen.append((await ask(port, "/a"))[0])
        assert engine.project.channel("a").processed == 2
    assert seen == [202, 200, 200]


class Load:
    """Clients that go on asking one path; what they were told, by status."""

    def __init__(self, port: int, path: str, clients: int = 8) -> None:
        self.told: list[tuple[int, str]] = []
        self.ids: set[str] = set()
        self.failures: list[str] = []
        self._url = f"http://127.0.0.1:{port}{path}"
        self._clients = clients
        self._is_over = False

    async def __aenter__(self) -> Load:
        self._tasks = [
            asyncio.create_task(self._ask(), name=f"client {n}")
            for n in range(self._clients)
        ]
        await self.reached(50)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_over = True
        await asyncio.gather(*self._tasks)

    async def _ask(self) -> None:
        async with aiohttp.ClientSession() as session:
            while not self._is_over:
                try:
                    async with session.post(self._url, data=b"xx") as answer:
                        self.told.append((answer.status, await answer.text()))
                        if answer.status == 202:
                            self.ids.add(answer.headers["Pichannels-Message-Id"])
                except aiohttp.ClientError as exc:
                    self.failures.append(type(exc).__name__)
                    await asyncio.sleep(0.01)

    async def reached(self, count: int) -> None:
        """Until so many more answers came."""
        wanted = len(self.told) + count
        async with asyncio.timeout(10):
            while len(self.told) < wanted:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.005)


async def test_no_request_is_lost_while_a_channel_pauses_and_restarts(
    write: Callable[..., Awaitable[Path]], port: int
) -> None:
    async with running(await write()) as engine:
        channel = engine.project.channel("a")
        pause, resume = engine.pause_channel, engine.resume_channel
        async with Load(port, "/a") as load:
            for command in (pause, resume, engine.restart_channel, pause, resume):
                await command("a")
                await load.reached(20)
            await pause("a")
            await engine.restart_channel("a")
            await load.reached(20)
            assert load.told[-1][0] == 202
            await resume("a")
        await asyncio.wait_for(channel.drain(), 10)
        statuses = [status for status, _ in load.told]
        taken = statuses.count(200) + statuses.count(202)
        await engine.journal.flush()
        assert ({*statuses} <= {200, 202, 503}, load.failures) == (True, [])
        assert channel.processed == await engine.journal.total("a") >= taken
        assert engine.journal.count_unsettled("a") == 0


async def test_a_reload_leaves_the_port_open(
    write: Callable[..., Awaitable[Path]], port: int
) -> None:
    async with running(await write()) as engine:
        async with Load(port, "/a") as load_a, Load(port, "/b") as load_b:
            await write("first", "changed")
            report = await engine.reload()
            await load_a.reached(50)
        assert ([change.name for change in report.channels], report.failures) == (
            ["a"],
            [],
        )
        # What is on its way at the change is told to come again.
        assert load_a.told[-1] == (200, "changed")
        assert {status for status, _ in load_a.told} <= {200, 503}
        assert {*load_b.told} == {(200, "second")}
        assert load_a.failures + load_b.failures == []


async def test_a_reload_of_the_only_channel_leaves_the_port_open(
    write: Callable[..., Awaitable[Path]], port: int
) -> None:
    alone = ', channel("b", "second")'
    async with running(await write(alone, "")) as engine:
        async with Load(port, "/a") as load_a:
            await write(f'"first"){alone}', '"changed")')
            await engine.reload()
            await load_a.reached(50)
    assert (load_a.told[-1], load_a.failures) == ((200, "changed"), [])


async def test_a_channel_that_a_reload_adds_uses_the_open_endpoint(
    write: Callable[..., Awaitable[Path]], port: int
) -> None:
    async with running(await write()) as engine:
        await write("CHANNELS = [", 'CHANNELS = [channel("c", "third"), ')
        report = await engine.reload()
        assert (report.failures, await ask(port, "/c")) == ([], (200, "third"))


async def test_a_channel_that_is_reloaded_and_fails_comes_back(
    write: Callable[..., Awaitable[Path]], port: int
) -> None:
    broken = """
class Broken(type(CHANNELS[0])):
    async def start_source(self):
        raise OSError("no")

CHANNELS[0] = Broken("a", endpoint=endpoint, url="/a")
CHANNELS[0].add(said("never"))
"""
    async with running(await write()) as engine:
        await write(SETTINGS, SETTINGS + broken)
        report = await engine.reload()
        assert (len(report.failures), await ask(port, "/a")) == (1, (200, "first"))


async def test_an_endpoint_that_moves_takes_its_channels_along(
    write: Callable[..., Awaitable[Path]], port: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        other = found.getsockname()[1]
    async with running(await write()) as engine:
        await write("PORT", str(other))
        report = await engine.reload()
        assert (report.failures, await ask(other, "/b")) == ([], (200, "second"))
        with pytest.raises(aiohttp.ClientConnectorError):
            await ask(port, "/a")


async def test_an_endpoint_with_other_options_takes_the_port_over(
    write: Callable[..., Awaitable[Path]], port: int
) -> None:
    async with running(await write()) as engine:
        await write("port=PORT)", 'port=PORT, http_args={"client_max_size": 1})')
        async with Load(port, "/a") as load_a, Load(port, "/b") as load_b:
            report = await engine.reload()
            await load_a.reached(50)
            await load_b.reached(50)
        assert (report.failures, load_a.told[-1][0]) == ([], 413)
        assert {s for s, _ in load_a.told + load_b.told} <= {200, 413, 503}
        # The connections of each of the 16 clients to the old one end.
        assert len(load_a.failures + load_b.failures) <= 32


async def test_nothing_accepted_is_lost_when_the_instance_stops_under_load(
    write: Callable[..., Awaitable[Path]], port: int
) -> None:
    path = await write('channel("a", "first")', 'channel("a", "first", accepted=True)')
    async with running(path) as engine:
        load_a = Load(port, "/a")
        async with load_a:
            await engine.stop()
        assert 202 in {status for status, _ in load_a.told}
        await engine.start()
        store = engine.project.channel("a").message_store
        assert store is not None
        found = await store.search(count=100_000)
    kept = {entry["message"].uuid for entry in found}
    assert load_a.ids <= kept


START = [sys.executable, "-m", "pichannels", "start", "--plain"]


async def test_nothing_accepted_is_lost_when_the_process_is_killed(
    write: Callable[..., Awaitable[Path]], port: int
) -> None:
    path = await write('channel("a", "first")', 'channel("a", "first", accepted=True)')
    process = await asyncio.create_subprocess_exec(
        *START, cwd=path.parent, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        async with Load(port, "/a") as load_a:
            await load_a.reached(100)
            process.kill()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    async with running(path) as engine:
        store = engine.project.channel("a").message_store
        assert store is not None
        kept = {e["message"].uuid for e in await store.search(count=100_000)}
    assert len(load_a.ids) > 100
    assert load_a.ids <= kept


async def test_no_bytes_bring_an_endpoint_down(
    write: Callable[..., Awaitable[Path]], port: int
) -> None:
    seed = random.randrange(2**32)
    source = random.Random(seed)
    whole = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
    async with running(await write()):
        for _ in range(100):
            sent = bytearray(whole)
            for _ in range(source.randrange(1, 12)):
                sent[source.randrange(len(sent))] = source.randrange(256)
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(bytes(sent))
            writer.close()
        assert await ask(port, "/a") == (200, "first"), f"seed {seed}"
