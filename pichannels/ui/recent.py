"""The last events of an instance, numbered, so that a reader can go on where it was."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, NamedTuple

from pichannels import clock
from pichannels.events import Event

__all__ = ["Numbered", "RecentEvents"]

_KEPT: Final = 1000
_LOST: Final = "events.lost"


class Numbered(NamedTuple):
    """An event, and what a reader says to go on behind it."""

    id: str
    event: Event


class RecentEvents:
    """Keeps the last events for all who read them.

    Each reader has only its place, so one that is too slow costs nothing, and loses
    the oldest.

    Args:
        most: how many are kept.
    """

    def __init__(self, most: int = _KEPT) -> None:
        self._kept: deque[Event] = deque(maxlen=most)
        self._last = 0
        # Numbers begin anew with the process, and places of another one mean nothing.
        self._run = f"{clock.now():x}"
        self._news = asyncio.Event()

    def put(self, event: Event) -> None:
        """Keep one more."""
        self._kept.append(event)
        self._last += 1
        self._news.set()
        self._news = asyncio.Event()

    @property
    def place(self) -> str:
        """Where a reader begins that wants what happens from now on."""
        return self._id(self._last)

    def _id(self, number: int) -> str:
        return f"{self._run}.{number}"

    def behind(self, place: str) -> list[Numbered]:
        """What has happened since; first how many were lost, where some were.

        Args:
            place: the id of the last one that was read. After one of a process that has
                ended nobody knows how many were lost (`count` is None).
        """
        number, first = self._number(place), self._last - len(self._kept)
        found: list[Numbered] = []
        if number is None or number < first:
            count = None if number is None else first - number
            lost = Event(_LOST, clock.now(), {"count": count})
            found.append(Numbered(self._id(first), lost))
        start = max(0, (number or 0) - first)
        for at in range(start, len(self._kept)):
            found.append(Numbered(self._id(first + at + 1), self._kept[at]))
        return found

    def _number(self, place: str) -> int | None:
        """The number in a place; None where it is of another process."""
        run, _, text = place.partition(".")
        if run != self._run or not (text.isascii() and text.isdecimal()):
            return None
        return int(text) if len(text) < 19 and int(text) <= self._last else None

    async def wait(self, place: str, seconds: float) -> None:
        """Until something has happened since, or the time is over."""
        news = self._news
        if self.place != place:
            return
        try:
            async with asyncio.timeout(seconds):
                await news.wait()
        except TimeoutError:
            return
