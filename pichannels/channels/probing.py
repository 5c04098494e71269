"""Connected but silent: asks for the end values of tags that are too quiet.

What PI has newer than what came tells that we are blind: that is a hole, which is
read from the archive. Otherwise nothing is missing, and the source itself is quiet.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from itertools import islice
from typing import Final, NamedTuple
from zlib import crc32

from pichannels import clock
from pichannels.channels.covering import Covering
from pichannels.channels.hearing import Hearing, Mark
from pichannels.channels.subscription import Subscription
from pichannels.channels.tags import Stream
from pichannels.coverage.expected import Verdict, expected_interval
from pichannels.errors import PichannelsError
from pichannels.manifest import ManifestEntry
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.exceptions import HTTPStatusError
from pichannels.piwebasync.facts import fetch_facts
from pichannels.piwebasync.history import ends, recorded
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.resolve import Point
from pichannels.piwebasync.server import PIServer
from pichannels.values import NO_DATA, Sample, format_ticks

__all__ = ["Probing"]

logger: Final = logging.getLogger("pichannels.channels.pi")

_MOST: Final = 1000
"""Tags that are asked for in one look."""
_NOTE_EVERY: Final = 1.0
"""Seconds between two times that what came is noted."""
_PAGE: Final = 2000
"""Tags that are looked at before other tasks get their turn."""
_ATTRIBUTES: Final = ("scan", "excmax", "excdev")
_ATTRIBUTES_OF: Final = 200
"""Points whose attributes are asked for in one look: one batch."""
_FLAT_CHECKS: Final = 20
_PROBES_OF_FLAT: Final = 4
_MANY: Final = 0.1
"""The part of a PI channel's tags that is blind when it is opened again."""
_REOPEN_AFTER: Final = 600.0
"""Seconds before the same PI channel is opened again for that."""
_REFUSED: Final = frozenset({403, 404, 409})
"""What PI answers of tags that it does not give."""


class _Asked(NamedTuple):
    """Where end values are asked for."""

    client: HTTPClient
    controller: Controller


class Probing:
    """Looks after the tags of a channel that are too quiet, as long as it runs.

    Args:
        covering: whose tags; it has a `hearing`.
        channels: the PI channels that are open, and what the ledger calls them; it is
            looked at each time.
        refused: called with the WebIDs of tags whose end values PI refuses.
    """

    def __init__(
        self,
        covering: Covering,
        channels: Mapping[Subscription, str],
        refused: Callable[[Iterable[str]], None] = lambda _: None,
    ) -> None:
        assert covering.hearing is not None
        self._covering = covering
        self._hearing: Hearing = covering.hearing
        self._channels = channels
        self._tell_refused = refused
        self._task: asyncio.Task[None] | None = None
        self._first = self._round = 0
        self._known: set[int] = set()
        self._reopened: dict[Subscription, float] = {}
        self.probes = 0
        """How many end values were asked for."""

    def start(self, server: PIServer, limiter: Limiter) -> None:
        """Begin to ask this server, by the limiter that its clients share."""
        if self._task is None:
            name = f"{self._covering.channel}: probing"
            self._task = asyncio.create_task(self._run(server, limiter), name=name)

    async def stop(self) -> None:
        """Ask no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self, server: PIServer, limiter: Limiter) -> None:
        every = self._covering.options.probe
        async with server.client(limiter, "history") as client:
            asked = _Asked(client, server.controller())
            next_look = clock.monotonic() + every
            while True:
                await asyncio.sleep(min(every, _NOTE_EVERY))
                try:
                    await self._note()
                    if clock.monotonic() >= next_look:
                        next_look = clock.monotonic() + every
                        await self._look(asked)
                except PichannelsError as exc:
                    logger.warning("%s: not probed: %s", self._covering.channel, exc)
                except Exception:
                    # The next look comes all the same.
                    logger.exception("%s: probing failed", self._covering.channel)

    # What came

    async def _note(self) -> None:
        """Note what was accepted since the last time."""
        live, read = self._hearing.take()
        for entries, is_live in ((read, False), (live, True)):
            waiting = iter(entries.values())
            while some := list(islice(waiting, _PAGE)):
                self._note_some(some, is_live)
                await asyncio.sleep(0)

    def _note_some(self, entries: Iterable[ManifestEntry], is_live: bool) -> None:
        covering, hearing = self._covering, self._hearing
        now = covering.server.now()
        for entry in entries:
            tag = covering.number(entry.key)
            if tag is None:
                continue
            gone = hearing.note(tag, entry, now, is_live=is_live)
            if gone is not None:
                self._tell("tag.recovered", tag, was=gone.verdict.value)

    # Who is too quiet

    async def _look(self, asked: _Asked) -> None:
        await self._learn_attributes(asked)
        tags = await self._overdue()
        tags += self._due_for_flat(_MOST - len(tags), tags)
        if not tags:
            return
        self.probes += len(tags)
        found = await self._probe(asked, tags)
        flat = [tag for tag, verdict in found.items() if verdict is Verdict.FLAT]
        await self._check_flat(asked, flat)
        if Verdict.BLIND in found.values():
            await self._reopen()

    async def _overdue(self) -> list[int]:
        """Tags that are too quiet, as many as are asked for at once.

        It begins where it ended the last time, so that each gets its turn.
        """
        streams, expectations = self._covering.streams, self._hearing.expectations
        count, now = len(expectations), self._covering.server.now()
        pages = [(n, min(n + _PAGE, count)) for n in range(0, count, _PAGE)]
        first = self._first if self._first < len(pages) else 0
        found: list[int] = []
        for number, page in enumerate(pages[first:] + pages[:first], first):
            quiet = expectations.overdue(now, *page)
            wanted = (t for t in quiet if t in streams and _is_probed(streams[t]))
            found += islice(wanted, _MOST - len(found))
            if len(found) == _MOST:
                self._first = number % len(pages)
                break
            await asyncio.sleep(0)
        return found

    def _due_for_flat(self, most: int, others: Iterable[int]) -> list[int]:
        """Tags whose turn it is to be looked at for values that stay the same."""
        options, streams = self._covering.options, self._covering.streams
        if options.flat <= 0 or not streams:
            return []
        turns = max(options.flat / _PROBES_OF_FLAT / options.probe, 1.0)
        count = min(most, round(len(streams) / turns + 0.5), len(streams))
        tags = list(streams)
        start, self._round = self._round % len(tags), self._round + count
        chosen = (tags + tags)[start : start + count]
        already = set(others)
        return [t for t in chosen if t not in already and _is_probed(streams[t])]

    # Asking

    async def _probe(self, asked: _Asked, tags: Iterable[int]) -> dict[int, Verdict]:
        """Ask for the end values of tags, and act on what they tell."""
        streams = self._covering.streams
        waiting = {streams[tag].web_id: tag for tag in tags}
        at = self._covering.server.now()
        found: dict[int, Verdict] = {}
        reading = ends(*asked, list(waiting), priority="history")
        refused = reading.failures
        try:
            async with aclosing(reading.pages()) as pages:
                async for page in pages:
                    # What came before this answer is noted before it counts.
                    await self._note()
                    for sample in page:
                        tag = waiting.pop(sample.tag.web_id, None)
                        if tag is not None:
                            found[tag] = self._judge(tag, sample, at)
        except HTTPStatusError as exc:
            if exc.status_code not in _REFUSED:
                raise
            refused = dict.fromkeys(waiting, str(exc))
        self._refused(
            {tag: refused[key] for key, tag in waiting.items() if key in refused}
        )
        for tag in waiting.values():
            self._hearing.expectations.put_off(tag, at)
        return found

    def _refused(self, tags: Mapping[int, str]) -> None:
        """PI tells nothing of silent tags: nobody knows that their sources are quiet.

        Args:
            tags: and why.
        """
        streams = self._covering.streams
        for tag, why in tags.items():
            listening = self._listening(tag, NO_DATA)
            if listening is not None:
                since = max(self._hearing.expectations.newest(tag), listening)
                self._is_blind(tag, since, why)
        if tags:
            self._tell_refused([streams[tag].web_id for tag in tags if tag in streams])

    def _judge(self, tag: int, sample: Sample, at: int) -> Verdict:
        expectations, newest = self._hearing.expectations, sample.ticks
        listening = self._listening(tag, expectations.due(tag, newest, at))
        known = expectations.newest(tag)
        seen = max(known, listening or 0)
        value = crc32(repr(sample.value).encode())
        is_overdue = expectations.is_overdue(tag, at)
        verdict = expectations.probed(tag, newest, value, at, listening)
        if newest > known:
            # Its source is not: what it has given is on its way, or has to be read.
            self._hearing.quiet.pop(tag, None)
        elif is_overdue and verdict is Verdict.QUIET:
            self._hearing.quiet[tag] = Mark(verdict, newest)
        if verdict is Verdict.BLIND:
            why = f"PI has newer values than {format_ticks(seen)}"
            self._is_blind(tag, seen, why)
            return verdict
        self._covering.ledger.confirmed(tag, newest, at)
        mark = self._hearing.marks.get(tag)
        if verdict is Verdict.STALE:
            if mark is None:
                self._mark(tag, Mark(verdict, newest))
        elif mark is not None and mark.verdict is not Verdict.BLIND:
            if mark.verdict is not verdict:
                del self._hearing.marks[tag]
                self._tell("tag.recovered", tag, was=mark.verdict.value)
        return verdict

    def _listening(self, tag: int, newest: int) -> int | None:
        """Since when a PI channel gives the tag, if all up to `newest` has come."""
        margin = self._covering.ledger.margins.settle
        return min(
            (
                segment.start
                for segment in self._covering.ledger.subscriptions_of(tag)
                if segment.cut is None and segment.watermark - margin > newest
            ),
            default=None,
        )

    # What it tells

    def _is_blind(self, tag: int, since: int, why: str) -> None:
        covering = self._covering
        stream = covering.streams[tag]
        subs = [
            n for each, n in self._channels.items() if stream.web_id in each.web_ids
        ]
        covering.blind(subs, tag, since)
        self._mark(tag, Mark(Verdict.BLIND, since))
        logger.warning("%s: %s is silent: %s", covering.channel, stream.path, why)

    def _mark(self, tag: int, mark: Mark) -> None:
        self._hearing.marks[tag] = mark
        is_blind = mark.verdict is Verdict.BLIND
        name = "coverage.blind" if is_blind else f"tag.{mark.verdict.value}"
        self._tell(name, tag, since=format_ticks(mark.since))

    def _tell(self, name: str, tag: int, **facts: str) -> None:
        stream = self._covering.streams.get(tag)
        if stream is not None:
            self._covering.fire(name, tag=stream.path, **facts)

    async def _check_flat(self, asked: _Asked, tags: list[int]) -> None:
        """Mark tags whose archive has one value only since the first probe of it.

        Values between two probes may have been others.
        """
        marks, expectations = self._hearing.marks, self._hearing.expectations
        for tag in [tag for tag in tags if tag not in marks][:_FLAT_CHECKS]:
            since, now = expectations.same_since(tag), self._covering.server.now()
            stream = self._covering.streams.get(tag)
            if stream is None:
                continue
            values: set[str] = set()
            reading = recorded(*asked, [stream.web_id], since, priority="history")
            async with aclosing(reading.pages()) as pages:
                async for page in pages:
                    values.update(repr(sample.value) for sample in page)
                    if len(values) > 1:
                        break
            if len(values) > 1:
                expectations.varied(tag, now)
            else:
                self._mark(tag, Mark(Verdict.FLAT, since))

    async def _reopen(self) -> None:
        """Open PI channels again of which many tags are blind."""
        streams, now = self._covering.streams, clock.monotonic()
        blind = {
            streams[tag].web_id
            for tag, mark in self._hearing.marks.items()
            if mark.verdict is Verdict.BLIND and tag in streams
        }
        last = {s: at for s, at in self._reopened.items() if s in self._channels}
        self._reopened = last
        for each in list(self._channels):
            count = len(blind & each.web_ids)
            lately = each in last and now < last[each] + _REOPEN_AFTER
            if lately or not each.web_ids or count < _MANY * len(each.web_ids):
                continue
            last[each] = now
            name = self._covering.channel
            logger.warning("%s: a PI channel is opened again: blind", name)
            await each.reopen()

    # What is expected

    async def _learn_attributes(self, asked: _Asked) -> None:
        """Ask for the scan and exception attributes of points that are not known."""
        expectations = self._hearing.expectations
        chosen: dict[int, Stream] = {}
        for tag, stream in self._covering.streams.items():
            if len(chosen) == _ATTRIBUTES_OF:
                break
            if tag in self._known or not isinstance(stream, Point):
                continue
            if expectations.is_known(tag):
                self._known.add(tag)
            else:
                chosen[tag] = stream
        if not chosen:
            return
        self._known.update(chosen)
        tags = {stream.tag(""): tag for tag, stream in chosen.items()}
        found = await fetch_facts(*asked, tags, point_attributes=_ATTRIBUTES)
        for key, facts in found.facts.items():
            seconds = expected_interval(*(_number(facts.get(n)) for n in _ATTRIBUTES))
            expectations.give(tags[key], seconds)


def _is_probed(stream: Stream) -> bool:
    """Whether the time of the end value is that of the newest event.

    It is not for values of the future, and attributes that are worked out when they
    are asked for.
    """
    if isinstance(stream, Point):
        return not stream.future
    return (stream.data_reference_plug_in or "").lower() == "pi point"


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
