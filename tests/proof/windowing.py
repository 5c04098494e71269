"""Runs what is in a journal through windows to a slow sink: for `test_window_kill`."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path
from typing import Any

from msgstore.memory import MemoryMessageStoreFactory
from nodes import split, window
from pichannels.channels import BaseChannel
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode, Pending
from pichannels.values import TICKS_PER_SECOND, Sample, Tag

AGGREGATES = ("count", "sum", "first", "last", "p50", "time_average")
LATENESS = 5
SIZE = 10
MESSAGES = 400
TAGS = [Tag(f"TI{number}") for number in range(5)]


def messages(seed: int) -> list[Message]:
    """Values of some tags in disorder, in batches."""
    rng = random.Random(seed)
    return [
        Message(
            payload=[
                Sample(
                    rng.choice(TAGS),
                    10**16 + int((number + rng.gauss(0, 4)) * TICKS_PER_SECOND),
                    rng.uniform(-100, 100),
                    good=rng.random() > 0.1,
                )
                for _ in range(6)
            ]
        )
        for number in range(MESSAGES)
    ]


class Slow(BaseNode):
    """Goes on with the next message long before this one is written."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def process(self, msg: Message) -> Pending:
        return Pending(msg, self.write(list(msg.payload)))

    async def write(self, rows: list[dict[str, Any]]) -> None:
        await asyncio.sleep(random.uniform(0, 0.1))
        os.write(self.file, "".join(f"{row!r}\n" for row in rows).encode())


class Step(BaseNode):
    """Takes a moment, so that there are moments to be killed in."""

    async def process(self, msg: Message) -> Message:
        await asyncio.sleep(0.001)
        return msg


def windows(**options: Any) -> window.Tumbling:
    return window.Tumbling(
        SIZE, AGGREGATES, lateness=LATENESS, output="rows", idle=None, **options
    )


async def main(folder: Path) -> None:
    journal = Journal(folder / "journal.db")
    await journal.open()
    # The journal is told of a settlement when the store has been.
    history = MemoryMessageStoreFactory()
    channel = BaseChannel("plant", message_store_factory=history)
    channel.add(
        split.Split(by="tag"), windows(max_hold=0.03), Step(), Slow(folder / "out")
    )
    channel.attach(journal=journal)
    await channel.start()
    await channel.drain()
    await channel.stop()
    await journal.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
