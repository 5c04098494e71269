"""One poll of an instance for all pages that look at it, and what happens in it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from pichannels import clock
from pichannels.errors import PichannelsError
from pichannels.events import Event
from pichannels.ui.links import Link, Links
from pichannels.ui.pages.letters import LetterCount, Letters

__all__ = ["Incident", "Point", "Watch", "Watches", "note_point"]

logger: Final = logging.getLogger("pichannels.ui")

_WATCHED: Final = 2.0
_ALONE: Final = 10.0
_POINTS: Final = 150
_INCIDENTS: Final = 500
_LETTERS: Final = 10.0
"""Seconds for which dead letters are not counted again, at most."""
_SHARE: Final = 20
"""As many times as it took to count them that is good."""
_AT_WORK: Final = frozenset({"waiting", "processing"})

_COUNTS: Final = ("received", "processed", "failed", "dropped", "rejected", "bytes")


class Point(NamedTuple):
    """Counts of one thing at one moment.

    Attributes:
        at: by the monotonic clock.
        counts: since the instance started.
    """

    at: float
    counts: Mapping[str, float]


class Incident(NamedTuple):
    """Something that happened and that people want to know of.

    Attributes:
        ticks: when.
        name: of the event, such as `pi.lost`.
        facts: what is told of it; may hold errors, which not all may see.
        times: how often it came in a row.
    """

    ticks: int
    name: str
    facts: Mapping[str, Any]
    times: int = 1


class Watch:
    """Polls one instance: often while somebody looks, seldom otherwise.

    Args:
        link: the instance.

    Attributes:
        link: the instance.
        status: what it told last (see `StatusReport`); None when it does not answer.
        error: why not.
        letters: how many dead letters there are; None where nobody can tell.
        incidents: what happened, the newest last.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.status: dict[str, Any] | None = None
        self.error = "it was not asked yet"
        self.letters: Letters | None = None
        self.incidents: deque[Incident] = deque(maxlen=_INCIDENTS)
        self._points: dict[str, deque[Point]] = {}
        self._seen: list[Callable[[], None]] = []
        self._wanted = asyncio.Event()
        self._polled = asyncio.Event()
        self._letters_until = -_LETTERS
        self._counting = LetterCount(link)
        self._running: asyncio.Task[None] | None = None
        self._forget: Callable[[], None] | None = None

    def open(self) -> None:
        """Begin."""
        self._forget = self.link.events.subscribe(self._note)
        name = f"watch of {self.link.name}"
        self._running = asyncio.create_task(self._run(), name=name)

    async def close(self) -> None:
        """End."""
        if self._forget is not None:
            self._forget()
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    def subscribe(self, seen: Callable[[], None]) -> Callable[[], None]:
        """Call this after each poll; the result ends it."""
        self._seen.append(seen)
        self._wanted.set()

        def forget() -> None:
            if seen in self._seen:
                self._seen.remove(seen)

        return forget

    async def first(self) -> None:
        """Wait until the instance was asked once, a moment at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WATCHED):
                await self._polled.wait()

    def ask_soon(self) -> None:
        """Something was changed: do not wait for the next poll."""
        self._letters_until = -_LETTERS
        self._wanted.set()

    # What was counted

    def points(self, key: str) -> list[Point]:
        """The last counts of a channel, sink or server, the oldest first.

        Args:
            key: `channel NAME`, `sink NAME`, `server NAME`, or `instance`.
        """
        return list(self._points.get(key, ()))

    def rate(self, key: str, count: str, polls: int = 5) -> float | None:
        """How fast a count grows, each second, over the last polls."""
        points = self.points(key)[-polls - 1 :]
        if len(points) < 2 or count not in points[-1].counts:
            return None
        taken = points[-1].at - points[0].at
        grown = points[-1].counts[count] - points[0].counts.get(count, 0.0)
        return max(0.0, grown) / taken if taken > 0 else None

    def rates(self, key: str, count: str) -> list[float]:
        """How fast a count grew from poll to poll, each second."""
        points = self.points(key)
        pairs = zip(points, points[1:], strict=False)
        return [_rate(one, other, count) for one, other in pairs]

    # How

    async def _run(self) -> None:
        while True:
            self._wanted.clear()
            await self._poll()
            self._polled.set()
            for seen in list(self._seen):
                with contextlib.suppress(Exception):
                    seen()
            wait = _WATCHED if self._seen else _ALONE
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wanted.wait()

    async def _poll(self) -> None:
        try:
            status = await self.link.status()
        except PichannelsError as exc:
            self.status, self.error, self.letters = None, str(exc), None
            return
        await self._count_letters()
        if self.status is None or self.status["started"] != status["started"]:
            self._points.clear()
        self.status, self.error = status, ""
        now = clock.monotonic()
        for key, counts in _counted(status):
            points = self._points.setdefault(key, deque(maxlen=_POINTS))
            note_point(points, Point(now, counts))

    async def _count_letters(self) -> None:
        begun = clock.monotonic()
        if begun >= self._letters_until:
            self.letters = await self._counting.count()
            now = clock.monotonic()
            self._letters_until = now + min(_LETTERS, (now - begun) * _SHARE)

    def _note(self, event: Event) -> None:
        if _is_quiet(event):
            return
        facts = {k: v for k, v in event.facts.items() if k != "time"}
        last = self.incidents[-1] if self.incidents else None
        if last is not None and last.name == event.name and _is_same(last.facts, facts):
            self.incidents[-1] = Incident(
                event.ticks, event.name, facts, last.times + 1
            )
        else:
            self.incidents.append(Incident(event.ticks, event.name, facts))
        if event.name == "channel.state":
            self._wanted.set()


class Watches:
    """The watches of all instances.

    Args:
        links: the instances.
    """

    def __init__(self, links: Links) -> None:
        self._watches = {link.name: Watch(link) for link in links.all()}

    def open(self) -> None:
        """Begin."""
        for watch in self._watches.values():
            watch.open()

    async def close(self) -> None:
        """End."""
        for watch in self._watches.values():
            await watch.close()

    def names(self) -> list[str]:
        """Of the instances."""
        return list(self._watches)

    def get(self, name: str) -> Watch:
        """The one of this instance; of the first where there is none of this name."""
        return self._watches.get(name) or next(iter(self._watches.values()))


def note_point(points: deque[Point], point: Point) -> None:
    """Add a point; it takes the place of the last one that came just before.

    In so short a time hardly anything comes, which would look like a rate of 0.
    """
    if len(points) > 1:
        is_soon = point.at - points[-1].at < _WATCHED / 2
        if is_soon and point.at - points[-2].at < _WATCHED * 2:
            points.pop()
    points.append(point)


def _rate(one: Point, other: Point, count: str) -> float:
    taken = other.at - one.at
    grown = other.counts.get(count, 0.0) - one.counts.get(count, 0.0)
    return max(0.0, grown) / taken if taken > 0 else 0.0


def _is_quiet(event: Event) -> bool:
    """Whether this is daily work, which happens with each message."""
    if event.name.endswith(".progress"):
        return True
    states = {event.facts.get("old"), event.facts.get("new")}
    return event.name == "channel.state" and states <= _AT_WORK


def _is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.get("channel") == other.get("channel") and one.get("new") == other.get(
        "new"
    )


def _counted(status: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, float]]]:
    """The counts of a status, each with its key."""
    written: dict[str, float] = {}
    for sink in status["sinks"]:
        own = {**sink["statistics"], "processed": sink["processed"]}
        yield f"sink {sink['name']}", own
        top = sink["name"].partition(".")[0]
        taken = float(sink["statistics"].get("written", sink["processed"]))
        written[top] = written.get(top, 0.0) + taken
    for channel in status["channels"]:
        counts = {name: float(channel[name]) for name in _COUNTS}
        source = channel["source"]
        counts["in"] = float(source.get("events", channel["received"]))
        counts["out"] = written.get(channel["name"], float(channel["processed"]))
        yield f"channel {channel['name']}", counts
    for server in status["pi_servers"]:
        yield f"server {server['name']}", {"sent": float(sum(server["sent"].values()))}
    yield "instance", {"cpu": float(status["cpu"])}
