"""Whether so much came of a PI channel at once that PI may have thrown some away; pure.

PI keeps a limited number of events for each consumer (50,000) and silently leaves out
what comes while so many wait. Once the consumer reads again, all that waited comes
without a pause. So a PI channel that gives very much without a pause is suspected,
until it gives less again.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["Burst", "Change"]

Change: TypeAlias = Literal["begun", "over"]


class Burst:
    """How much comes of one PI channel without a pause.

    Args:
        most: events from which on it is suspected; 0 for never.
        pause: how long nothing comes where nothing waits at the server, ticks.

    Attributes:
        is_suspect: whether some of what came may be missing.
        count: events since the last pause.
        before: when the last of what came before it did, our own time, ticks; None
            where it began with the connection.
    """

    def __init__(self, most: int, pause: int) -> None:
        self._most = most
        self._pause = pause
        self.begin()

    def begin(self) -> None:
        """A connection is open."""
        self.is_suspect = False
        self.count = 0
        self.before: int | None = None
        self._last: int | None = None
        self._taken: int | None = None

    def came(self, at: int | None, events: int, now: int) -> Change | None:
        """Something came and was handed over; what follows from that.

        Args:
            at: when the first of it came, our own time, ticks.
            events: how many there were in it.
            now: our own time, ticks.
        """
        taken, self._taken = self._taken, now
        has_paused = at is not None and taken is not None and at - taken >= self._pause
        if has_paused:
            self.count, self.before = 0, self._last
        self.count += events
        self._last = at
        is_much = 0 < self._most <= self.count
        if is_much and not self.is_suspect:
            self.is_suspect = True
            return "begun"
        if has_paused and self.is_suspect and not is_much:
            self.is_suspect = False
            return "over"
        return None
