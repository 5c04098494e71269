"""Accepts samples and publishes them to a database: a program for `test_sql_kill`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from nodes import publish
from pichannels.channels import BaseChannel
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.values import Sample, Tag

TAGS = 7
SAMPLES = 40


def sink(target: str) -> BaseNode:
    place, _, table = target.partition("#")
    kind = publish.PostgreSQL if place.startswith("postgresql:") else publish.SQLite
    return kind(place, table, create=False, columns=COLUMNS, batch=400)


COLUMNS = ["event_id", "tag", "ticks"]


def message(number: int) -> Message:
    """The samples of one message; `ticks` say in which order they were accepted."""
    tag = Tag(f"T{number % TAGS}")
    first = number * SAMPLES
    samples = [Sample(tag, 10**16 + first + n, float(n)) for n in range(SAMPLES)]
    return Message(payload=samples)


async def main(folder: Path, target: str, first: int, last: int) -> None:
    journal = Journal(folder / "journal.db")
    await journal.open()
    channel = BaseChannel("sql")
    channel.add(sink(target))
    channel.attach(journal=journal)
    await channel.start()
    report = os.open(folder / "report", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in range(first, last):
        await channel.accept(message(number))
        os.write(report, f"{number}\n".encode())
    while journal.count_unsettled("sql"):  # noqa: ASYNC110 - it is a counter
        await asyncio.sleep(0.01)
    await channel.stop()
    await journal.close()


if __name__ == "__main__":
    _, folder, target, first, last = sys.argv
    asyncio.run(main(Path(folder), target, int(first), int(last)))
