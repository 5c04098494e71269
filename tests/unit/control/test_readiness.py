"""An instance is ready when its channels run, and sources and sinks are there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

import nodes.publish
from pichannels import clock
from pichannels.channels import BaseChannel
from pichannels.config import Config, ControlConfig
from pichannels.control.readiness import paused_parts
from pichannels.engine import Engine
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.probes import Finding
from pichannels.project import Project

TOKEN = "0123456789abcdef"


class Sink(BaseNode):
    """Finds on its other side what it is told, and counts how often it looks."""

    is_sink = True

    def __init__(self, findings: list[Finding], is_connected: bool = False) -> None:
        super().__init__(name="sink")
        self.findings = findings
        self.is_connected = is_connected
        self.looks = 0
        self.looked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    def process(self, msg: Message) -> Message:
        return msg

    def statistics(self) -> dict[str, int]:
        return {"connected": int(self.is_connected)}

    async def probe(self) -> list[Finding]:
        self.looks += 1
        self.looked.set()
        await self.may_answer.wait()
        return self.findings


class Source(BaseChannel):
    """Has a source that is away."""

    @property
    def is_ready(self) -> bool:
        return False

    def statistics(self) -> dict[str, Any]:
        return {"trouble": "the folder is gone"}


class Later(clock.SystemClock):
    """The clock of the system, and some time after it."""

    seconds = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.seconds


@asynccontextmanager
async def running(channel: BaseChannel, folder: Path) -> AsyncIterator[Engine]:
    config = Config(project_name="plant", control=ControlConfig(token=TOKEN))
    async with Engine(Project([channel], config), data_dir=folder) as engine:
        yield engine


async def asked(engine: Engine, token: str = TOKEN) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(engine.control_url, headers=headers) as session:
        async with session.get("/ready") as answer:
            return answer.status, await answer.json()


async def scraped(engine: Engine) -> str:
    """What Prometheus is told of whether it is ready."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(engine.control_url, headers=headers) as session:
        async with session.get("/metrics") as answer:
            lines = (await answer.text()).splitlines()
    (line,) = (each for each in lines if each.startswith("pichannels_ready "))
    return line


async def test_a_sink_that_is_there_lets_it_be_ready(tmp_path: Path) -> None:
    sink = Sink([Finding(True, "server", "it answers")])
    async with running(BaseChannel("a").add(sink), tmp_path) as engine:
        assert await asked(engine) == (200, {"ready": True})
    assert sink.looks == 1


async def test_a_sink_that_is_away_is_told_with_the_reason(tmp_path: Path) -> None:
    sink = Sink([Finding(False, "server", "no answer"), Finding(True, "disk", "ok")])
    async with running(BaseChannel("a").add(sink), tmp_path) as engine:
        status, told = await asked(engine)
    reason = {"part": "a.sink", "kind": "sink", "reason": "server: no answer"}
    assert (status, told) == (503, {"ready": False, "reasons": [reason]})


async def test_without_the_token_no_reason_is_told(tmp_path: Path) -> None:
    sink = Sink([Finding(False, "server", "no answer")])
    async with running(BaseChannel("a").add(sink), tmp_path) as engine:
        _, told = await asked(engine, token="")
    assert told["reasons"] == [{"part": "a.sink", "kind": "sink"}]


async def test_a_source_that_is_away_is_told(tmp_path: Path) -> None:
    async with running(Source("a"), tmp_path) as engine:
        _, told = await asked(engine)
    reason = {"part": "a", "kind": "source", "reason": "the folder is gone"}
    assert told["reasons"] == [reason]


async def test_who_asks_often_does_not_let_it_look_often(tmp_path: Path) -> None:
    sink, now = Sink([]), Later()
    with clock.use(now):
        async with running(BaseChannel("a").add(sink), tmp_path) as engine:
            for _ in range(3):
                await asked(engine)
            looks = sink.looks
            now.seconds += 60
            await asked(engine)
    assert (looks, sink.looks) == (1, 2)


async def test_a_sink_that_is_connected_is_not_looked_at(tmp_path: Path) -> None:
    sink = Sink([Finding(False, "server", "refused")], is_connected=True)
    async with running(BaseChannel("a").add(sink), tmp_path) as engine:
        status, _ = await asked(engine)
    assert (status, sink.looks) == (200, 0)


async def test_who_asks_for_the_numbers_alone_hears_of_a_sink_that_is_away(
    tmp_path: Path,
) -> None:
    sink = Sink([Finding(False, "server", "no answer")])
    async with running(BaseChannel("a").add(sink), tmp_path) as engine:
        await scraped(engine)
        await sink.looked.wait()
        assert await scraped(engine) == "pichannels_ready 0"


async def test_a_connection_that_is_lost_is_told_at_once(tmp_path: Path) -> None:
    sink = Sink([Finding(False, "server", "refused")], is_connected=True)
    async with running(BaseChannel("a").add(sink), tmp_path) as engine:
        before, _ = await asked(engine)
        sink.is_connected = False
        await asked(engine)
        lost, told = await asked(engine)
        sink.is_connected = True
        again, _ = await asked(engine)
    assert (before, lost, again) == (200, 503, 200)
    assert told["reasons"][0]["reason"] == "server: refused"


async def test_a_sink_that_has_failed_is_looked_at_sooner(tmp_path: Path) -> None:
    sink, now = Sink([Finding(True, "server", "it answers")]), Later()
    with clock.use(now):
        async with running(BaseChannel("a").add(sink), tmp_path) as engine:
            await asked(engine)
            sink.findings = [Finding(False, "server", "no answer")]
            sink.tally.note(OSError("no answer"))
            now.seconds += 6
            await asked(engine)
            assert (await asked(engine))[0] == 503


async def test_a_sink_that_has_messages_and_no_connection_is_told(
    tmp_path: Path,
) -> None:
    sink = Sink([Finding(True, "server", "it answers")])
    sink.tally.in_flight = 1
    async with running(BaseChannel("a").add(sink), tmp_path) as engine:
        _, told = await asked(engine)
        sink.tally.in_flight = 0
    assert "messages wait" in told["reasons"][0]["reason"]


async def test_a_sink_that_does_not_answer_holds_up_nobody(tmp_path: Path) -> None:
    sink = Sink([])
    sink.may_answer.clear()
    async with running(BaseChannel("a").add(sink), tmp_path) as engine:
        _, told = await asked(engine)
    assert told["reasons"][0]["reason"] == "it has not answered yet"


async def test_a_web_server_that_comes_back_makes_it_ready(tmp_path: Path) -> None:
    runner = web.AppRunner(web.Application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    await site.stop()
    sink, now = nodes.publish.HTTP(f"http://127.0.0.1:{port}/"), Later()
    with clock.use(now):
        async with running(BaseChannel("a").add(sink), tmp_path) as engine:
            before, _ = await asked(engine)
            await web.TCPSite(runner, "127.0.0.1", port).start()
            now.seconds += 10
            after, _ = await asked(engine)
    await runner.cleanup()
    assert (before, after) == (503, 200)


async def test_what_is_held_back_while_it_drains_was_paused_by_nobody(
    tmp_path: Path,
) -> None:
    channel = BaseChannel("a")
    async with running(channel, tmp_path) as engine:
        await channel.pause()
        status = engine.status()
    draining = msgspec.structs.replace(status, state="draining")
    assert (paused_parts(status), paused_parts(draining)) == (["a"], [])
