"""A process killed while it takes messages of a broker that restarts: none is lost."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from pathlib import Path

import pytest

from pichannels.errors import NotConnected
from pichannels.mqtt import Connection, Login, Publish
from tests.servers.mosquitto import Mosquitto, why_missing

PROGRAM = Path(__file__).with_name("subscribing.py")
ROOT = PROGRAM.parents[2]
KILLS = 3
AT_ONCE = 10
PACE = 0.02

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL"),
    pytest.mark.skipif(bool(why_missing()), reason=why_missing() or "-"),
]


class Publisher:
    """Publishes numbers with QoS 1 and 2, each again until the broker has it."""

    def __init__(self, broker: Mosquitto) -> None:
        self.count = 0
        self.is_over = False
        self._login = Login(broker.url)

    async def run(self) -> None:
        while not self.is_over:
            with suppress(NotConnected):
                await self._publish(await Connection.open(self._login, "numbers"))
            await asyncio.sleep(0.02)

    async def _publish(self, connection: Connection) -> None:
        try:
            while not self.is_over:
                numbers = range(self.count, self.count + AT_ONCE)
                sent = [
                    Publish("kill/a", str(number).encode(), 1 + number % 2)
                    for number in numbers
                ]
                await asyncio.gather(*map(connection.publish, sent))
                self.count += AT_ONCE
                await asyncio.sleep(PACE)
        finally:
            await connection.close()


def delivered(folder: Path) -> list[int]:
    path = folder / "delivered"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


async def start(folder: Path, broker: Mosquitto) -> Process:
    """A receiver that has delivered something."""
    before = await asyncio.to_thread(lambda: len(delivered(folder)))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROGRAM), str(folder), broker.url),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    while await asyncio.to_thread(lambda: len(delivered(folder))) == before:
        assert process.returncode is None
        await asyncio.sleep(0.02)
    return process


async def subscribe(broker: Mosquitto) -> None:
    """Let the broker keep everything from now on for the receiver."""
    login = Login(broker.url)
    connection = await Connection.open(login, "k", clean_start=False, session_expiry=60)
    assert await connection.subscribe({"kill/#": 2}) == {}
    await connection.close()


async def test_nothing_that_the_broker_had_is_lost(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201
    rng = random.Random(seed)
    broker = Mosquitto()
    await asyncio.to_thread(broker.start)
    await subscribe(broker)
    publisher = Publisher(broker)
    publishing = asyncio.create_task(publisher.run())
    processes: list[Process] = []
    try:
        for number in range(KILLS):
            processes.append(await start(tmp_path, broker))
            if number == 1:
                await asyncio.to_thread(broker.stop)
                await asyncio.to_thread(broker.start)
            await asyncio.sleep(rng.uniform(0, 0.2))
            processes[-1].kill()
            await processes[-1].wait()
        processes.append(await start(tmp_path, broker))
        publisher.is_over = True
        await publishing
        await until_delivered(tmp_path, publisher.count)
    finally:
        publishing.cancel()
        for process in processes:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await asyncio.to_thread(broker.close)
    # MQTT keeps the order of messages of one QoS.
    for rest in (0, 1):
        firsts = list(dict.fromkeys(n for n in delivered(tmp_path) if n % 2 == rest))
        assert firsts == sorted(firsts)


async def until_delivered(folder: Path, count: int) -> None:
    """Until all that were published are there."""
    missing = set(range(count))
    for _ in range(400):
        missing -= set(await asyncio.to_thread(delivered, folder))
        if not missing:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"of {count} there are missing {sorted(missing)[:20]}")
