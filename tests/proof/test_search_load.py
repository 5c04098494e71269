"""Searches at the limit of the API leave the data path at its rate.

The instance and its pages get one processor between them, which the data path alone
would keep busy: what the pages take there, the data path does not get. Other work on
the machine takes from both alike, so that the part which is left holds beside it. Rates
on the wall do not: they are the business of the benchmark `console`. With
`PROOFS=full`, as in continuous integration, it is a minute, and a million messages.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from benchmarks.history import CHANNEL, fill
from tests.strength import either
from tests.ui.plants import Plant, running

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="processes cannot be kept together"
)

STORED = either(1_000_000, 5_000)
SECONDS = either(60.0, 3.0)
ASKING = 4
LEAST = 0.9
TRIES = 3

SETTINGS = """\
import asyncio

from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.message import Message
from pichannels.node import BaseNode


class Sink(BaseNode):
    is_sink = True

    def process(self, msg):
        # Enough of it that the disk is not what is waited for.
        msg.meta["sum"] = sum(range(5_000))
        return msg


class Fast(BaseChannel):
    async def start_source(self):
        self.feeding = [asyncio.create_task(self.feed()) for _ in range(200)]

    async def feed(self):
        while True:
            await self.accept(Message(payload="a message on its way"))

    async def stop_source(self):
        for task in self.feeding:
            task.cancel()


PROJECT_NAME = "plant"
MESSAGE_STORE = SQLiteMessageStoreFactory()
JOURNAL = {"durability": "normal"}
UI = {"port": OWN}
CHANNELS = [Fast("fast").add(Sink())]
"""


def threads_of(pid: int) -> list[Path]:
    """Where the system tells of each thread of a process."""
    return list(Path(f"/proc/{pid}/task").iterdir())


def used(pid: int) -> float:
    """Seconds of processors that the threads of a process have had."""
    told = [each / "schedstat" for each in threads_of(pid)]
    return sum(int(each.read_text().split()[0]) for each in told) / 1e9


def allow(pids: Collection[int], processors: Collection[int]) -> None:
    """Let all threads of these processes run there only."""
    for pid in pids:
        for thread in threads_of(pid):
            os.sched_setaffinity(int(thread.name), processors)


@contextmanager
def together(*pids: int) -> Iterator[None]:
    """Leave one processor to all of these processes meanwhile."""
    all_of_them = os.sched_getaffinity(0)
    allow(pids, {min(all_of_them)})
    yield
    allow(pids, all_of_them)


@contextmanager
def searched(plant: Plant, answers: Counter[int]) -> Iterator[None]:
    """Several clients that search meanwhile, and pause only when they are refused.

    Begins when all have had an answer, however long a busy machine takes for it.
    """
    ended = threading.Event()
    begun = threading.Barrier(ASKING + 1)
    query = {"channel": CHANNEL, "text": "nowhere"}
    # A connection that is kept might be closed just as the next request comes.
    headers = {**plant.client().headers, "Connection": "close"}

    def ask() -> None:
        with httpx.Client(headers=headers, timeout=None) as client:
            url = f"{plant.url}/api/v1/instances/plant/messages"
            answers[client.get(url, params=query).status_code] += 1
            begun.wait()
            while not ended.is_set():
                answer = client.get(url, params=query)
                answers[answer.status_code] += 1
                ended.wait(float(answer.headers.get("Retry-After", 0)))

    asking = [threading.Thread(target=ask, daemon=True) for _ in range(ASKING)]
    for each in asking:
        each.start()
    begun.wait()
    yield
    ended.set()
    for each in asking:
        each.join()


def left_to(instance: int, pages: int) -> float:
    """The part of what both get that the instance gets."""
    before = used(instance), used(pages)
    time.sleep(SECONDS)
    own, other = used(instance) - before[0], used(pages) - before[1]
    return own / (own + other)


@pytest.mark.timeout(400)
def test_searches_at_the_limit_leave_the_data_path_at_its_rate(
    tmp_path: Path,
) -> None:
    (tmp_path / ".pichannels").mkdir()
    fill(tmp_path / ".pichannels" / "journal.sqlite", STORED)
    answers: Counter[int] = Counter()
    left: list[float] = []
    with running(tmp_path, SETTINGS, gives_way=True) as plant:
        assert plant.process is not None
        both = plant.process.pid, int(plant.client().get("/load").json()["pid"])
        with searched(plant, answers), together(*both):
            while len(left) < TRIES and max(left, default=0.0) < LEAST:
                left.append(left_to(*both))
    assert answers[200] and answers[429], answers
    assert left[-1] >= LEAST, left
