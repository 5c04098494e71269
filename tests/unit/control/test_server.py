"""The control server is closed by default, and tells what goes on inside."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from msgstore.memory import MemoryMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.config import Config, ControlConfig
from pichannels.control.access import Address, read_address, write_address
from pichannels.control.client import (
    CommandFailed,
    ControlClient,
    NoInstance,
    connect,
)
from pichannels.control.commands import COMMANDS
from pichannels.engine import Engine
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.project import Project

TOKEN = "0123456789abcdef"


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """A running instance with one channel that keeps its messages."""
    channel = BaseChannel("boiler", message_store_factory=MemoryMessageStoreFactory())
    config = Config(project_name="plant", control=ControlConfig(token=TOKEN))
    async with Engine(Project([channel], config), data_dir=tmp_path) as engine:
        yield engine


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[ControlClient]:
    """What the commands use."""
    async with await connect(engine.data_dir) as client:
        yield client


@pytest.fixture
async def http(engine: Engine) -> AsyncIterator[aiohttp.ClientSession]:
    """Any HTTP client, without the token."""
    async with aiohttp.ClientSession(engine.control_url) as session:
        yield session


# Closed by default


@pytest.mark.parametrize("path", ["/status", "/metrics", "/events", "/nothing"])
async def test_reading_needs_the_token(http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(path) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("name", COMMANDS)
async def test_commands_need_the_token(http: aiohttp.ClientSession, name: str) -> None:
    async with http.post(f"/commands/{name}", json={}) as answer:
        assert answer.status == 401


@pytest.mark.parametrize("name", COMMANDS)
async def test_nothing_is_changed_by_get(
    http: aiohttp.ClientSession, name: str
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with http.get(f"/commands/{name}", headers=headers) as answer:
        assert answer.status == 405


async def test_a_foreign_host_name_is_refused(http: aiohttp.ClientSession) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "evil.example"}
    async with http.get("/status", headers=headers) as answer:
        assert answer.status == 403


async def test_errors_tell_nothing_of_the_inside(
    engine: Engine, client: ControlClient, caplog: pytest.LogCaptureFixture
) -> None:
    store = engine.project.channels[0].message_store
    assert store is not None
    await store.stop()
    engine.project.channels[0].message_store = _Failing()  # type: ignore[assignment]
    with pytest.raises(CommandFailed) as caught:
        await client.command("stores")
    assert str(caught.value) == "this failed; the log tells why"
    assert "POST /commands/stores failed" in caplog.text
    engine.project.channels[0].message_store = store


class _Failing:
    """A store with a fault in its code."""

    async def total(self) -> int:
        raise ZeroDivisionError("secret inside")


async def test_a_large_body_is_refused(http: aiohttp.ClientSession) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    body = io.BytesIO(b"x" * (2**20 + 1))
    async with http.post("/commands/stop", data=body, headers=headers) as answer:
        assert answer.status == 413


# What it tells


@pytest.mark.parametrize("path", ["/live", "/ready"])
async def test_health_needs_no_token(http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(path) as answer:
        assert (answer.status, await answer.json()) == (200, {path[1:]: True})


async def test_an_instance_with_a_stopped_channel_is_not_ready(
    engine: Engine, http: aiohttp.ClientSession
) -> None:
    await engine.stop_channel("boiler")
    async with http.get("/ready") as answer:
        assert answer.status == 503
        reasons = [{"part": "boiler", "kind": "channel"}]
        assert await answer.json() == {"ready": False, "reasons": reasons}


async def test_the_status_tells_channels(client: ControlClient) -> None:
    status = await client.status()
    assert (status["project"], status["pid"]) == ("plant", os.getpid())
    assert [channel["name"] for channel in status["channels"]] == ["boiler"]


async def test_metrics_are_text_for_prometheus(http: aiohttp.ClientSession) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with http.get("/metrics", headers=headers) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert "pichannels_ready 1\n" in await answer.text()


async def test_events_are_fed(engine: Engine, client: ControlClient) -> None:
    events = client.events()
    first = asyncio.ensure_future(anext(events))
    while not first.done():
        engine.events.fire("test", path=Path("x"))
        await asyncio.sleep(0.01)
    name, facts = await first
    await events.aclose()  # type: ignore[attr-defined]
    assert (name, facts["path"]) == ("test", "x")


async def test_a_reader_that_goes_away_is_forgotten(
    engine: Engine, client: ControlClient
) -> None:
    events = client.events()
    first = asyncio.ensure_future(anext(events))
    while not first.done():
        engine.events.fire("test")
        await asyncio.sleep(0.01)
    await events.aclose()  # type: ignore[attr-defined]
    await client.close()
    while engine.events._followers:
        engine.events.fire("test")
        await asyncio.sleep(0.01)
    assert not engine.events._followers


# Commands


async def test_channels_are_stopped_and_started(client: ControlClient) -> None:
    stopped = await client.command("stop-channel", channel="boiler")
    started = await client.command("start-channel", channel="boiler")
    assert (stopped["state"], started["state"]) == ("stopped", "waiting")


async def test_channels_are_paused_and_resumed(client: ControlClient) -> None:
    paused = await client.command("pause-channel", channel="boiler")
    again = await client.command("restart-channel", channel="boiler")
    resumed = await client.command("resume-channel", channel="boiler")
    states = [found["state"] for found in (paused, again, resumed)]
    assert states == ["paused", "paused", "waiting"]


async def test_a_replay_into_a_paused_channel_is_stored(
    engine: Engine, client: ControlClient
) -> None:
    await engine.project.channel("boiler").handle(Message(payload="hot"))
    (found,) = (await client.command("search", text="hot"))["messages"]
    await client.command("pause-channel", channel="boiler")
    report = await client.command("replay", ids=[found["id"]])
    assert (report["stored"], report["replayed"]) == (1, 0)


async def test_a_stored_message_is_found_shown_and_replayed(
    engine: Engine, client: ControlClient
) -> None:
    await engine.project.channel("boiler").handle(Message(payload="hot"))
    (found,) = (await client.command("search", text="hot"))["messages"]
    shown = await client.command("show", id=found["id"])
    report = await client.command("replay", ids=[found["id"]])
    assert shown["message"]["payload"] == "hot"
    assert (report["selected"], report["processed"]) == (1, 1)


@pytest.mark.parametrize(
    ("name", "arguments", "status", "message"),
    [
        ("stp", {}, 400, "did you mean 'stop'?"),
        ("stop", {"nwo": True}, 400, "nwo"),
        ("stop-channel", {}, 400, "channel"),
        ("stop-channel", {"channel": "boilr"}, 404, "did you mean 'boiler'?"),
        ("show", {"id": "none"}, 404, "holds message"),
        ("replay", {}, 400, "say which messages"),
        ("backup", {"path": "relative"}, 400, "no absolute path"),
    ],
)
async def test_a_wrong_command_is_told(
    client: ControlClient, name: str, arguments: Any, status: int, message: str
) -> None:
    with pytest.raises(CommandFailed, match=message) as caught:
        await client.command(name, **arguments)
    assert caught.value.status == status


async def test_a_replay_into_a_stopped_channel_is_refused(
    engine: Engine, client: ControlClient
) -> None:
    await engine.project.channel("boiler").handle(Message(payload="hot"))
    await engine.stop_channel("boiler")
    with pytest.raises(CommandFailed) as caught:
        await client.command("replay", channel="boiler", text="hot")
    assert caught.value.status == 409


async def test_a_replay_ends_when_who_asked_goes_away(
    engine: Engine, client: ControlClient
) -> None:
    channel = engine.project.channel("boiler")
    await channel.handle(Message(payload="hot"))
    gate = Gate()
    channel.append(gate)
    asking = asyncio.create_task(client.command("replay", text="hot"))
    await gate.reached.wait()
    asking.cancel()
    await gate.left.wait()
    assert gate.passed == 0


async def test_a_stop_is_finished_when_who_asked_goes_away(
    engine: Engine, client: ControlClient
) -> None:
    gate = Gate()
    channel = engine.project.channel("boiler").append(gate)
    await channel.accept(Message(payload="hot"))
    await gate.reached.wait()
    asking = asyncio.create_task(client.command("stop-channel", channel="boiler"))
    async for event in engine.events.follow():
        if event.facts.get("new") == "stopping":
            break
    asking.cancel()
    gate.opened.set()
    async for event in engine.events.follow():
        if event.facts.get("new") == "stopped":
            break
    assert gate.passed == 1


class Gate(BaseNode):
    """Lets messages through when it is open."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self.left = asyncio.Event()
        self.passed = 0

    async def process(self, msg: Message) -> Message:
        self.reached.set()
        try:
            await self.opened.wait()
            self.passed += 1
        finally:
            self.left.set()
        return msg


async def test_the_journal_is_copied_and_verified(
    client: ControlClient, tmp_path: Path
) -> None:
    target = tmp_path / "copy.sqlite"
    copied = await client.command("backup", path=str(target))
    assert copied["bytes"] == target.stat().st_size
    assert await client.command("verify") == {"problems": []}


async def test_a_backup_never_replaces_a_file(
    client: ControlClient, tmp_path: Path
) -> None:
    target = tmp_path / "mine.txt"
    target.write_text("mine")
    with pytest.raises(CommandFailed, match="exists"):
        await client.command("backup", path=str(target))


# The address


async def test_the_address_goes_with_the_instance(tmp_path: Path) -> None:
    async with Engine(Project([BaseChannel("a")]), data_dir=tmp_path):
        assert await asyncio.to_thread(read_address, tmp_path) is not None
    assert await asyncio.to_thread(read_address, tmp_path) is None


async def test_no_address_means_no_instance(tmp_path: Path) -> None:
    with pytest.raises(NoInstance, match="pichannels start"):
        await connect(tmp_path)


async def test_a_stale_address_means_no_instance(
    engine: Engine, tmp_path: Path
) -> None:
    assert engine.control_url is not None
    stale = Address(engine.control_url, TOKEN, 1)
    await asyncio.to_thread(write_address, tmp_path, stale)
    with pytest.raises(NoInstance, match="process 1 left its address"):
        await connect(tmp_path)


async def test_another_program_at_the_port_is_no_instance(tmp_path: Path) -> None:
    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        address = Address(f"http://127.0.0.1:{port}", TOKEN, 1)
        await asyncio.to_thread(write_address, tmp_path, address)
        with pytest.raises(NoInstance):
            await connect(tmp_path)
