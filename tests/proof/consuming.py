"""Takes records of Kafka and appends them to a file: for `test_kafka_kill`.

A channel with a journal does it, or a stream application, which also keeps the largest
number of each key in a cache, or one with windows of seventy numbers. With a number as
last argument an application kills itself there.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from pichannels.channels.kafka import KafkaChannel
from pichannels.dataflow import Cache, Failure, handle, stream
from pichannels.dataflow.topic import Record, Topic
from pichannels.dataflow.windows import Tumbling, Window, window
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from pichannels.values import TICKS_PER_SECOND

POISON = 50
SLOW = 97


class Append(BaseNode):
    """One line for each message, which a kill leaves there."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def process(self, msg: Message) -> Message:
        number = int(msg.payload)
        if number % POISON == 0:
            raise ValueError("poison")
        if number % SLOW == 0:
            await asyncio.sleep(0.05)
        os.write(self._file, msg.payload + b"\n")
        return msg


async def by_channel(folder: Path, servers: str, topic: str) -> None:
    journal = Journal(folder / "journal.db")
    await journal.open()
    channel = KafkaChannel(
        "killed",
        servers=servers,
        topics=topic,
        group=topic,
        member="the only one",
        session_timeout=1,
        reconnect=RetryPolicy(attempts=0, initial=0.05, maximum=0.2),
    )
    channel.add(Append(folder / "delivered"))
    channel.attach(journal=journal)
    await channel.start()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    await channel.stop()
    await journal.close()


async def by_application(folder: Path, servers: str, topic: str, end: int = -1) -> None:
    delivered, dead = (
        os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for name in ("delivered", "dead")
    )
    settings = {
        "bootstrap_servers": servers,
        "group_id": topic,
        "group_instance_id": "the only one",
        "session_timeout_ms": 1000,
        "heartbeat_interval_ms": 300,
        "auto_offset_reset": "earliest",
    }

    def set_aside(failure: Failure) -> None:
        os.write(dead, f"{failure.value.value}\n".encode())

    cache = await asyncio.to_thread(Cache, str(folder / "cache"))

    @handle(Topic(topic, settings), sink=[cache], on_error=set_aside)
    async def append(msg: Record) -> AsyncIterator[tuple[str, int]]:
        number = int(msg.value)
        if number == end:
            # The one before is settled, and will be committed soon.
            os.kill(os.getpid(), signal.SIGKILL)
        if number % POISON == 0:
            raise ValueError("poison")
        if number % SLOW == 0:
            await asyncio.sleep(0.05)
        os.write(delivered, f"{number}\n".encode())
        # What comes again does not turn back what is known.
        if number > (cache[msg.key] or -1):
            yield msg.key, number

    await stream()


async def by_windows(folder: Path, servers: str, topic: str, end: int = -1) -> None:
    told = os.open(folder / "delivered", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    settings = {
        "bootstrap_servers": servers,
        "group_id": topic,
        "group_instance_id": "the only one",
        "session_timeout_ms": 1000,
        "heartbeat_interval_ms": 300,
        "auto_offset_reset": "earliest",
    }

    async def killing(records: AsyncIterator[Record]) -> AsyncIterator[Record]:
        async for record in records:
            if int(record.value) == end:
                os.kill(os.getpid(), signal.SIGKILL)
            yield record

    def number(record: Record) -> float:
        return float(record.value)

    seventies = window(
        Tumbling(70),
        ["sum"],
        key="key",
        time=number,
        value=number,
        state=await asyncio.to_thread(Cache, str(folder / "cache")),
    )

    @handle(Topic(topic, settings), pipe=[killing, seventies])
    def tell(found: Window) -> None:
        start, total = found.start // TICKS_PER_SECOND, int(found.values["sum"])
        os.write(told, f"{found.key} {start} {total}\n".encode())

    await stream()


if __name__ == "__main__":
    _, kind, folder, servers, topic, *ends = sys.argv
    if kind == "channel":
        asyncio.run(by_channel(Path(folder), servers, topic))
    elif kind == "windows":
        asyncio.run(by_windows(Path(folder), servers, topic, *map(int, ends)))
    else:
        asyncio.run(by_application(Path(folder), servers, topic, *map(int, ends)))
