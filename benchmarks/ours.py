"""The same job with a `PIWebChannel`, in a process of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Literal

import aiohttp

from benchmarks.load import FILTER, TAGS, connected, flood, streams_of
from benchmarks.measure import Measured, Stopwatch
from benchmarks.worker import work
from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import decode, enrich, filter, publish
from pichannels.channels.pi import CoverageOptions, PIWebChannel
from pichannels.engine import tune_collector
from pichannels.events import Event
from pichannels.journal import Journal
from pichannels.message import Message

__all__ = ["Counter", "run"]

Kept = Literal["ledger", "messages", "nothing"]

# All tags in one PI channel, as in the pipeline that is written by hand.
_URL_LENGTH = 100_000
# What comes at once is stamped with the present, and has to count from the start; and
# a flood is no sign of a loss.
_COVERAGE = CoverageOptions(ahead=0.0, burst=0)


class Counter:
    """The one subscriber."""

    def __init__(self) -> None:
        self.count = 0
        self._wanted: int | None = None
        self._done = asyncio.Event()
        self._trouble = ""

    def take(self, samples: list[Any]) -> None:
        self.count += len(samples)
        if self.count == self._wanted:
            self._done.set()

    def hear(self, event: Event) -> None:
        """A message that failed never comes, nor what a lost connection held."""
        if event.name in ("message.failed", "pi.lost"):
            self._trouble = f"{event.name}: {event.facts}"
            self._done.set()

    async def wait(self, wanted: int) -> None:
        """Until it has got so many.

        Raises:
            ValueError: it never will.
        """
        self._wanted = wanted
        self.take([])
        await self._done.wait()
        if self.count != wanted:
            raise ValueError(f"{self.count} of {wanted} values came. {self._trouble}")


class Unkept(PIWebChannel):
    """A channel that processes what comes and keeps nothing of it."""

    async def accept(
        self, msg: Message, *, lane: str = "live", manifest: bytes | None = None
    ) -> None:
        msg.meta["lane"] = lane
        await self.handle(msg)


def make_channel(
    url: str, names: list[str], counter: Counter, kept: Kept
) -> PIWebChannel:
    facts = {name: {"site": "North", "area": name.partition(".")[0]} for name in names}
    kind = Unkept if kept == "nothing" else PIWebChannel
    channel = kind(
        "bench",
        url=url,
        tags=[FILTER],
        initial_values=False,
        url_length=_URL_LENGTH,
        coverage=kept == "ledger" and _COVERAGE,
        message_store_factory=(
            None if kept == "nothing" else SQLiteMessageStoreFactory()
        ),
    )
    channel.add(
        decode.PI(),
        filter.Quality(),
        enrich.Table(facts),
        publish.Call(counter.take, what="payload"),
    )
    return channel


async def run(
    url: str,
    folder: str,
    tags: int = TAGS,
    kept: Kept = "ledger",
    **shape: int,
) -> Measured:
    """Receive a flood of this shape from the simulator at `url`.

    The plant has so many `tags`. What is `kept` is messages and the coverage
    `ledger`, `messages` alone, or `nothing`.
    """
    tune_collector()
    counter = Counter()
    journal = Journal(Path(folder, "journal.db"))
    await journal.open()
    async with aiohttp.ClientSession() as session:
        names = list((await streams_of(session, url, tags)).values())
        assert len(names) == tags
        channel = make_channel(url, names, counter, kept)
        channel.attach(journal=None if kept == "nothing" else journal)
        channel.events.subscribe(counter.hear)
        await channel.start()
        await connected(session, url)
        values = await flood(session, url, **shape)
        with Stopwatch() as watch:
            await counter.wait(values)
            await channel.drain()
            await journal.flush()
    await channel.stop()
    await journal.close()
    return watch.measured(values)


if __name__ == "__main__":
    work(run)
