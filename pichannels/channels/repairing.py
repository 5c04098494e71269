"""Closes the holes of a channel's ledger: reads what is missing from the archive.

What is read is accepted in the lane `repair`, or `backfill` where a job asked for it.
It runs through the same chain; a range counts as delivered when all of it is settled.
Reads go out behind live requests.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple

from pichannels import clock
from pichannels.channels.backfilling import Backfilling
from pichannels.channels.covering import Covering
from pichannels.coverage.repair import Failure, Read
from pichannels.errors import ChannelStopped, DecodeError, JournalError, PichannelsError
from pichannels.manifest import encode_manifest, sample_entries
from pichannels.message import Message
from pichannels.piwebasync.connection import ticks_of_date
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.exceptions import HTTPStatusError
from pichannels.piwebasync.history import recorded
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.reading import Reading
from pichannels.piwebasync.server import PIServer
from pichannels.values import OPEN_END, TICKS_PER_SECOND, Sample, parse_ticks

__all__ = ["Repairing"]

logger: Final = logging.getLogger("pichannels.channels.pi")

SAMPLES: Final = "application/vnd.pichannels.samples"
_AT_ONCE: Final = 4
_SAMPLES: Final = 5000
"""Samples in one message, at most."""
_WAIT: Final = 1.0
"""Seconds before holes are looked for again."""
_TIME_EVERY: Final = 30.0
"""Seconds between two looks at the server's clock."""
_FAR: Final = 366 * 24 * 3600 * TICKS_PER_SECOND
"""How far into the future values of tags of the future are read."""

Accept = Callable[..., Awaitable[None]]


class _Archive(NamedTuple):
    """Where values are read from."""

    client: HTTPClient
    controller: Controller


class Repairing:
    """Reads holes from the archive, several at a time, as long as it runs.

    Args:
        covering: whose holes.
        name: of the logical server, a part of each event id.
        accept: takes a message, with `lane` and `manifest`.
        backfilling: the jobs, which some of what is read is for.
    """

    def __init__(
        self, covering: Covering, name: str, accept: Accept, backfilling: Backfilling
    ) -> None:
        self._covering = covering
        self._backfilling = backfilling
        self._name = name
        self._accept = accept
        self._handing_over = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._more = asyncio.Event()
        self._next_time = clock.monotonic()
        self.samples = 0
        """How many samples were read and accepted."""
        self.failures = 0
        """How many reads failed."""

    def start(self, server: PIServer, limiter: Limiter) -> None:
        """Begin to read from this server, by the limiter that its clients share."""
        if self._task is None:
            name = f"{self._covering.channel}: repair"
            self._task = asyncio.create_task(self._run(server, limiter), name=name)

    async def stop(self) -> None:
        """Read no more; what is not read stays a hole."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self, server: PIServer, limiter: Limiter) -> None:
        controller = server.controller()
        is_stopped = False
        while not is_stopped:
            try:
                async with (
                    server.client(limiter, "history") as client,
                    asyncio.TaskGroup() as group,
                ):
                    await self._read_holes(_Archive(client, controller), group)
            except* ChannelStopped:
                is_stopped = True
            except* Exception as failed:
                for exc in failed.exceptions:
                    name = self._covering.channel
                    logger.error("%s: repair has failed", name, exc_info=exc)
            await asyncio.sleep(_WAIT)

    async def _read_holes(self, archive: _Archive, group: asyncio.TaskGroup) -> None:
        running: set[asyncio.Task[None]] = set()
        while True:
            self._more.clear()
            covering = self._covering
            read = None
            await self._ask_the_time(archive)
            # By a clock of ours that is ahead, what is to come would count as read.
            if covering.server.is_known and len(running) < _AT_ONCE:
                read = covering.planner.next(covering.server.now())
            if read is None:
                await self._rest()
                continue
            name = f"{covering.channel}: repair {read.id}"
            task = group.create_task(self._close_hole(archive, read), name=name)
            running.add(task)
            task.add_done_callback(running.discard)

    async def _ask_the_time(self, archive: _Archive) -> None:
        """Learn the server's time: before anything is read, and now and then."""
        if clock.monotonic() < self._next_time:
            return
        covering = self._covering
        every = _TIME_EVERY if covering.server.is_known else _WAIT
        self._next_time = clock.monotonic() + every
        try:
            response = await archive.client.get(archive.controller.home.get())
        except PichannelsError as exc:
            logger.info("%s: the server tells no time: %s", covering.channel, exc)
            return
        date = ticks_of_date(response.headers.get("Date", ""))
        if date is None and not covering.server.is_known:
            # A server that has no clock has ours.
            date = clock.now()
        covering.learn(date)

    async def _rest(self) -> None:
        """Until something was read, or some time."""
        try:
            async with asyncio.timeout(_WAIT):
                await self._more.wait()
        except TimeoutError:
            pass

    async def _close_hole(self, archive: _Archive, read: Read) -> None:
        try:
            await self._read(archive, read)
        except (ChannelStopped, asyncio.CancelledError):
            self._covering.planner.given_back(read.id)
            raise
        except PichannelsError as exc:
            self.failures += 1
            logger.warning("%s: not repaired: %s", self._covering.channel, exc)
            self._failed(read, _kind_of(exc))
        finally:
            self._more.set()

    async def _read(self, archive: _Archive, read: Read) -> None:
        streams = {
            self._covering.streams[tag].web_id: tag
            for tag in read.tags
            if tag in self._covering.streams
        }
        missing = set(read.tags).difference(streams.values())
        if missing:
            self._failed(read, "unresolved", missing)
        if not streams:
            return
        tags = {w: self._covering.tag(t, self._name) for w, t in streams.items()}
        last = read.last if read.last != OPEN_END else clock.now() + _FAR
        reading = recorded(
            archive.client,
            archive.controller,
            list(streams),
            read.first,
            last,
            tags=tags,
            priority="history",
        )
        async with aclosing(reading.pages()) as pages:
            async for page in pages:
                await self._hand_over(read, page)
        self._note(read, reading, streams)
        now = self._covering.server.now()
        self._covering.planner.answered(read.id, reading.count, now)

    async def _hand_over(self, read: Read, page: Sequence[Sample]) -> None:
        lane = self._backfilling.lane_of(read)
        for some in _parts(page):
            msg = Message(SAMPLES, some, {"server": self._name})
            manifest = encode_manifest(sample_entries(some))
            async with self._handing_over:
                self._covering.reading = read.id
                try:
                    await self._accepted(msg, lane, manifest)
                finally:
                    self._covering.reading = None
            self.samples += len(some)
            self._backfilling.took(read, len(some))

    async def _accepted(self, msg: Message, lane: str, manifest: bytes) -> None:
        while True:
            try:
                return await self._accept(msg, lane=lane, manifest=manifest)
            except JournalError as exc:
                name = self._covering.channel
                logger.error("%s: the journal takes nothing: %s", name, exc)
            await asyncio.sleep(_WAIT)

    def _note(self, read: Read, reading: Reading, streams: dict[str, int]) -> None:
        """Tell the planner and the ledger what PI did not give."""
        failed = [streams[w] for w in reading.failures if w in streams]
        if failed:
            first = next(iter(reading.failures.values()))
            logger.warning(
                "%s: %d tags not repaired: %s",
                self._covering.channel,
                len(failed),
                first,
            )
            self._failed(read, "refused", failed)
        now = self._covering.server.now()
        for bad in reading.bad_events:
            tag = streams.get(bad.tag.web_id)
            if tag is not None:
                start, end = _instant(bad.event.timestamp, read)
                reason = f"not understood: {bad.cause}"
                self._covering.ledger.exclude([tag], start, end, reason, now)

    def _failed(self, read: Read, kind: Failure, tags: Iterable[int] = ()) -> None:
        now = self._covering.server.now()
        self._covering.planner.failed(read.id, kind, now, tuple(tags))


def _kind_of(error: PichannelsError) -> Failure:
    if isinstance(error, DecodeError):
        return "refused"
    status = error.status_code if isinstance(error, HTTPStatusError) else 0
    if status == 413:
        return "too many"
    return "refused" if status in (400, 404, 409) else "again"


def _instant(timestamp: str, read: Read) -> tuple[int, int]:
    """The range of one event; of one without a time all that was read."""
    try:
        at = parse_ticks(timestamp)
    except DecodeError:
        return read.start, read.end
    return at, at + 1


def _parts(page: Sequence[Sample]) -> Iterator[list[Sample]]:
    for start in range(0, len(page), _SAMPLES):
        yield list(page[start : start + _SAMPLES])
