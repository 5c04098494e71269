"""The engine starts, drains and stops; nothing accepted is lost either way."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from msgstore.memory import MemoryMessageStoreFactory
from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.config import Config, ControlConfig, SimulatorConfig
from pichannels.engine import Engine, StartError, opened_stores
from pichannels.errors import JournalLocked, UsageError
from pichannels.message import Message
from pichannels.metrics import render
from pichannels.node import BaseNode
from pichannels.project import Project


class Gate(BaseNode):
    """Lets messages through when it is open."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def process(self, msg: Message) -> Message:
        self.reached.set()
        await self.opened.wait()
        return msg


class Broken(BaseNode):
    """Does not start."""

    async def start(self) -> None:
        raise OSError("no such device")

    def process(self, msg: Message) -> Message:
        return msg


class Sourced(BaseChannel):
    """Tells the order in which sources start and stop."""

    def __init__(self, name: str, told: list[str]) -> None:
        super().__init__(name)
        self._told = told

    async def start_source(self) -> None:
        self._told.append(f"start {self.name}")

    async def stop_source(self) -> None:
        self._told.append(f"stop {self.name}")


def engine_of(*channels: BaseChannel, folder: Path, **config: Any) -> Engine:
    project = Project(channels, Config(**config))
    return Engine(project, data_dir=folder, control=False, simulator=False)


async def test_channels_start_in_order_and_stop_in_reverse(tmp_path: Path) -> None:
    told: list[str] = []
    channels = [Sourced("a", told), Sourced("b", told)]
    async with engine_of(*channels, folder=tmp_path):
        pass
    assert told == ["start a", "start b", "stop b", "stop a"]


async def test_without_sources_only_the_chains_run(tmp_path: Path) -> None:
    told: list[str] = []
    channel = Sourced("a", told)
    engine = Engine(Project([channel]), data_dir=tmp_path, control=False, sources=False)
    async with engine:
        await channel.handle(Message(payload="x"))
    assert told == []


async def test_messages_are_accepted_into_the_journal(tmp_path: Path) -> None:
    gate = Gate()
    channel = BaseChannel("a").append(gate)
    async with engine_of(channel, folder=tmp_path) as engine:
        await channel.accept(Message(payload="x"))
        assert engine.journal.count_unsettled("a") == 1
        gate.opened.set()
        await channel.drain()
        await engine.journal.flush()
        assert engine.journal.count_unsettled("a") == 0


async def test_what_is_not_drained_runs_again_at_the_next_start(
    tmp_path: Path,
) -> None:
    stuck, free = Gate(), Gate()
    channel = BaseChannel("a").append(stuck)
    async with engine_of(channel, folder=tmp_path, drain_timeout=0.0):
        await channel.accept(Message(payload="x"))
        await stuck.reached.wait()
    again = BaseChannel("a").append(free)
    async with engine_of(again, folder=tmp_path):
        free.opened.set()
        await again.drain()
    assert again.processed == 1


async def test_the_channels_share_one_time_limit(tmp_path: Path) -> None:
    channels = [BaseChannel(str(n)).append(Gate()) for n in range(5)]
    engine = engine_of(*channels, folder=tmp_path, drain_timeout=0.2)
    async with engine:
        for channel in channels:
            await channel.accept(Message(payload="x"))
        start = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - start < 1.0
    assert channels[0].drain_timeout == 10.0


async def test_draining_tells_what_is_in_flight(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate()
    channel = BaseChannel("boiler").append(gate)
    caplog.set_level(logging.INFO, "pichannels.engine")
    async with engine_of(channel, folder=tmp_path, drain_timeout=0.1):
        await channel.accept(Message(payload="x"))
        await gate.reached.wait()
    assert "draining: boiler: 1 in flight, 1 in the journal" in caplog.messages


async def test_a_second_instance_is_refused_in_words(tmp_path: Path) -> None:
    async with engine_of(BaseChannel("a"), folder=tmp_path):
        with pytest.raises(JournalLocked, match=f"process {os.getpid()}"):
            await engine_of(BaseChannel("a"), folder=tmp_path).start()


async def test_a_second_instance_may_stand_by(tmp_path: Path) -> None:
    first = engine_of(BaseChannel("a"), folder=tmp_path)
    second = Engine(
        Project([BaseChannel("a")]), data_dir=tmp_path, control=False, wait=True
    )
    await first.start()
    standing_by = asyncio.create_task(second.start())
    await first.stop()
    await standing_by
    assert second.status().state == "running"
    await second.stop()


async def test_who_stands_by_can_be_stopped(tmp_path: Path) -> None:
    project = Project([BaseChannel("a")])
    async with engine_of(BaseChannel("a"), folder=tmp_path):
        second = Engine(project, data_dir=tmp_path, control=False, wait=True)
        running = asyncio.create_task(second.run_until_stopped())
        await asyncio.sleep(0)
        second.request_stop()
        assert await running
    assert second.status().state == "stopped"


async def test_one_channel_that_fails_stops_all(tmp_path: Path) -> None:
    told: list[str] = []
    broken = BaseChannel("b").append(Broken())
    engine = engine_of(Sourced("a", told), broken, folder=tmp_path)
    with pytest.raises(StartError, match="channel 'b' did not start: no such device"):
        await engine.start()
    assert told == ["start a", "stop a"]


async def test_a_failed_start_lets_go_of_the_journal(tmp_path: Path) -> None:
    with pytest.raises(StartError):
        await engine_of(BaseChannel("b").append(Broken()), folder=tmp_path).start()
    async with engine_of(BaseChannel("a"), folder=tmp_path) as engine:
        assert engine.status().state == "running"


async def test_an_engine_starts_again_after_a_stop(tmp_path: Path) -> None:
    engine = engine_of(BaseChannel("a"), folder=tmp_path)
    async with engine:
        pass
    async with engine:
        assert engine.status().is_ready


async def test_a_running_engine_does_not_start(tmp_path: Path) -> None:
    async with engine_of(BaseChannel("a"), folder=tmp_path) as engine:
        with pytest.raises(UsageError, match="is running"):
            await engine.start()


async def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = Config(control=ControlConfig(port=taken.getsockname()[1]))
        engine = Engine(Project([BaseChannel("a")], config), data_dir=tmp_path)
        with pytest.raises(StartError, match="the control server did not start"):
            await engine.start()


async def test_the_simulator_runs_before_the_channels(tmp_path: Path) -> None:
    config = Config(simulator=SimulatorConfig(port=0, tags=10))
    project = Project([BaseChannel("a")], config)
    async with Engine(project, data_dir=tmp_path, control=False) as engine:
        assert str(engine.status().simulator).endswith("/piwebapi")


# Stop on request


async def test_a_stop_request_drains(tmp_path: Path) -> None:
    gate = Gate()
    channel = BaseChannel("a").append(gate)
    engine = engine_of(channel, folder=tmp_path)
    running = asyncio.create_task(engine.run_until_stopped())
    await started(engine)
    await channel.accept(Message(payload="x"))
    await gate.reached.wait()
    engine.request_stop()
    gate.opened.set()
    assert await running
    assert channel.processed == 1


async def test_a_second_request_stops_at_once(tmp_path: Path) -> None:
    gate = Gate()
    channel = BaseChannel("a").append(gate)
    engine = engine_of(channel, folder=tmp_path)
    running = asyncio.create_task(engine.run_until_stopped())
    await started(engine)
    await channel.accept(Message(payload="x"))
    await gate.reached.wait()
    engine.request_stop()
    await asyncio.sleep(0)
    engine.request_stop(now=True)
    assert not await running
    gate.opened.set()
    await channel.drain()
    await engine.journal.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ on Windows")
async def test_sigterm_is_a_stop_request(tmp_path: Path) -> None:
    engine = engine_of(BaseChannel("a"), folder=tmp_path)
    running = asyncio.create_task(engine.run_until_stopped())
    await started(engine)
    signal.raise_signal(signal.SIGTERM)
    assert await running
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


async def started(engine: Engine) -> None:
    """Until the engine says so."""
    async for event in engine.events.follow():
        if event.name == "instance.started":
            return


# Commands and reports


async def test_a_channel_is_stopped_and_started_alone(tmp_path: Path) -> None:
    async with engine_of(BaseChannel("a"), BaseChannel("b"), folder=tmp_path) as engine:
        assert (await engine.stop_channel("a")).state == "stopped"
        assert not engine.status().is_ready
        started = [await engine.start_channel("a") for _ in range(2)]
        assert [each.state for each in started] == ["waiting", "waiting"]
        assert engine.status().is_ready


async def test_a_channel_is_paused_restarted_and_resumed(tmp_path: Path) -> None:
    channel = BaseChannel("a")
    async with engine_of(channel, folder=tmp_path) as engine:
        states = [(await engine.pause_channel("a")).state]
        await channel.accept(Message(payload="x"))
        states.append((await engine.restart_channel("a")).state)
        assert engine.status().is_ready and channel.processed == 0
        states.append((await engine.resume_channel("a")).state)
        await channel.drain()
    assert states == ["paused", "paused", "waiting"] and channel.processed == 1


async def test_a_sub_channel_is_not_stopped_alone(tmp_path: Path) -> None:
    channel = BaseChannel("a")
    channel.fork("b")
    async with engine_of(channel, folder=tmp_path) as engine:
        with pytest.raises(UsageError, match="as a part of 'a'"):
            await engine.stop_channel("a.b")


async def test_the_status_counts_by_outcome(tmp_path: Path) -> None:
    channel = BaseChannel("a")
    async with engine_of(channel, folder=tmp_path) as engine:
        await channel.handle(Message(payload="x"))
        (report,) = engine.status().channels
    assert (report.received, report.processed, report.failed) == (1, 1, 0)


async def test_the_metrics_are_readable(tmp_path: Path) -> None:
    channel = BaseChannel("a")
    async with engine_of(channel, folder=tmp_path) as engine:
        await channel.handle(Message(payload="x"))
        text = render(engine.metrics())
    assert 'pichannels_channel_settled_total{channel="a",state="processed"} 1\n' in text


async def test_stores_are_read_without_an_engine(tmp_path: Path) -> None:
    factory = SQLiteMessageStoreFactory()
    channel = BaseChannel("a", message_store_factory=factory)
    project = Project([channel, BaseChannel("b")])
    async with Engine(project, data_dir=tmp_path, control=False):
        await channel.handle(Message(payload="x"))
    async with opened_stores(project, tmp_path):
        assert channel.message_store is not None
        assert await channel.message_store.total() == 1


async def test_a_default_store_keeps_messages(tmp_path: Path) -> None:
    channel = BaseChannel("a")
    project = Project([channel], message_store=MemoryMessageStoreFactory())
    async with Engine(project, data_dir=tmp_path, control=False):
        await channel.handle(Message(payload="x"))
        assert channel.message_store is not None
        assert await channel.message_store.total() == 1
