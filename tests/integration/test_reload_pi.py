"""Reloads of PI channels in an engine, against the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pichannels.engine import Engine
from pichannels.project import load
from pichannels.simulator import Plant, Simulator

ONE, OTHER = "UNIT1.SPARE.AI1", "UNIT2.SPARE.AI1"

SETTINGS = """\
from nodes import decode, log
from pichannels.channels.pi import PIWebChannel
from pichannels.retry import RetryPolicy

plant = PIWebChannel(
    "plant",
    url="URL",
    tags=TAGS,
    poll_interval=0.05,
    heartbeat=HEARTBEAT,
    reconnect=RetryPolicy(attempts=0, initial=0.01, maximum=0.05),
)
plant.add(decode.PI(), log.Log(level=LEVEL))
CHANNELS = [plant]
"""

Write = Callable[..., Coroutine[Any, Any, Path]]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(Plant(seed=1, tags=100), poll=0.02) as running:
        yield running


@pytest.fixture
def write(simulator: Simulator, tmp_path: Path) -> Write:
    """Writes the settings with other tags or options."""

    async def written(
        *tags: str, level: str = "DEBUG", heartbeat: int = 2, more: str = ""
    ) -> Path:
        text = SETTINGS.replace("URL", simulator.url).replace("TAGS", repr(list(tags)))
        text = text.replace("LEVEL", repr(level)).replace("HEARTBEAT", str(heartbeat))
        file = tmp_path / "settings.py"
        await asyncio.to_thread(file.write_text, text + more)
        return file

    return written


@asynccontextmanager
async def running(file: Path, simulator: Simulator) -> AsyncIterator[Engine]:
    project = await asyncio.to_thread(load, file)
    async with Engine(project, control=False) as engine:
        await simulator.connected()
        yield engine


def tags(simulator: Simulator) -> list[list[str]]:
    return [[tag.name for tag in each.tags] for each in simulator.channels]


async def test_a_new_chain_keeps_the_connections(
    simulator: Simulator, write: Write
) -> None:
    async with running(await write(ONE), simulator) as engine:
        before = simulator.channels
        await write(ONE, level="INFO")
        report = await engine.reload()
        assert [change.kind for change in report.channels] == ["changed"]
        assert simulator.channels == before


async def test_new_tags_and_a_new_chain_keep_them_too(
    simulator: Simulator, write: Write
) -> None:
    async with running(await write(ONE), simulator) as engine:
        before = simulator.channels[0]
        await write(ONE, OTHER, level="INFO")
        await engine.reload()
        await simulator.connected(2)
        assert before in simulator.channels
        assert tags(simulator) == [[ONE], [OTHER]]


async def test_other_options_of_the_source_begin_anew(
    simulator: Simulator, write: Write
) -> None:
    async with running(await write(ONE), simulator) as engine:
        await write(ONE, heartbeat=3)
        await engine.reload()
        await simulator.connected()
        assert [each.heartbeat for each in simulator.channels] == [3]


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
async def test_tags_that_cannot_change_now_change_when_the_server_is_back(
    simulator: Simulator,
    write: Write,
    level: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(await write(ONE), simulator) as engine:
        simulator.faults.status(503, count=3, path="points")
        await write(ONE, OTHER, level=level)
        report = await engine.reload()
        assert (report.applied, report.failures) == (True, [])
        await simulator.connected()
        assert tags(simulator) == [[ONE, OTHER]]
    assert caplog.text.count("starts anew") == 1


BROKEN = """
async def start(): raise OSError("no such device")
next(plant.nodes()).start = start
plant.drain_timeout = 3
"""


async def test_a_source_goes_back_to_the_old_channel(
    simulator: Simulator, write: Write
) -> None:
    async with running(await write(ONE), simulator) as engine:
        before = simulator.channels
        old = engine.project.channel("plant")
        await write(ONE, more=BROKEN)
        report = await engine.reload()
        assert len(report.failures) == 1
        assert engine.project.channel("plant") is old
        assert (simulator.channels, old.is_ready) == (before, True)
