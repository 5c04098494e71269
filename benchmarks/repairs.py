"""One program that takes an hour of history of many tags, in a process of its own."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.load import FILTER, streams_of
from benchmarks.measure import Measured, Stopwatch
from benchmarks.worker import work
from nodes import decode, publish
from pichannels import clock
from pichannels.channels.pi import CoverageOptions, PIWebChannel
from pichannels.coverage.ledger import Ledger
from pichannels.coverage.views import totals
from pichannels.engine import tune_collector
from pichannels.journal import Journal
from pichannels.piwebasync.history import recorded
from pichannels.piwebasync.server import PIServer
from pichannels.values import TICKS_PER_SECOND

__all__ = ["WAYS", "run"]

_HOUR: Final = 3600
_NEWEST: Final = 15 * TICKS_PER_SECOND
"""What is younger is not waited for: it is not settled at the server yet."""
_LOOK_AGAIN: Final = 0.05


async def read(url: str, folder: str, tags: int) -> Measured:
    """Read it and keep nothing."""
    async with aiohttp.ClientSession() as session:
        web_ids = list(await streams_of(session, url, tags))
    server, end = PIServer(url=url), clock.now()
    count = 0
    async with server.client() as client:
        reading = recorded(
            client,
            server.controller(),
            web_ids,
            end - _HOUR * TICKS_PER_SECOND,
            end,
        )
        with Stopwatch() as watch:
            async for page in reading.pages():
                count += len(page)
    return watch.measured(count)


async def repair(url: str, folder: str, tags: int) -> Measured:
    """Have it as a hole of a channel, which is closed when all of it is settled."""
    options = CoverageOptions(backfill=_HOUR)
    sink: deque[object] = deque(maxlen=1)
    channel = PIWebChannel(
        "bench", url=url, tags=[FILTER], initial_values=False, coverage=options
    )
    channel.add(decode.PI(), publish.Call(sink.append, what="payload"))
    journal = Journal(Path(folder, "journal.db"))
    await journal.open()
    channel.attach(journal=journal)
    until = clock.now() - _NEWEST
    await channel.start()
    covering, repairing = channel.covering, channel.repairing
    assert covering is not None
    assert repairing is not None
    # Only the ledger knows, and it has to be asked.
    while not covering.is_open:  # noqa: ASYNC110
        await asyncio.sleep(0)
    with Stopwatch() as watch:
        while not _is_closed(covering.ledger, until, tags):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_AGAIN)
    await channel.stop()
    await journal.close()
    return watch.measured(repairing.samples)


def _is_closed(ledger: Ledger, until: int, tags: int) -> bool:
    found = totals(ledger, until)
    return found.tags == tags and not found.holes and not found.in_flight


WAYS: Final[dict[str, Callable[[str, str, int], Awaitable[Measured]]]] = {
    "read": read,
    "repair": repair,
}
"""Programs by what is called."""


async def run(url: str, folder: str, way: str, tags: int) -> Measured:
    """Take an hour of so many tags of the simulator at `url`."""
    tune_collector()
    return await WAYS[way](url, folder, tags)


if __name__ == "__main__":
    work(run)
