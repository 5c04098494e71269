"""The time of a server, as far as we know it without asking each time."""

from __future__ import annotations

from pichannels import clock
from pichannels.values import TICKS_PER_SECOND

__all__ = ["ServerTime"]


class ServerTime:
    """Goes on with our monotonic clock from what the server said last.

    It is never ahead of the server's own time: what the server tells is cut to whole
    seconds, and a second is taken off. Jumps of our own clock do not matter.
    """

    def __init__(self) -> None:
        self._said: int | None = None
        self._at = 0.0

    @property
    def is_known(self) -> bool:
        """Whether the server has told its time."""
        return self._said is not None

    def learn(self, date: int | None) -> None:
        """The server says in an answer that came just now what time it is, ticks."""
        if date is not None:
            self._said = date - TICKS_PER_SECOND
            self._at = clock.monotonic()

    def now(self) -> int:
        """The server's time, ticks; our own less a second while it is not known."""
        if self._said is None:
            return clock.now() - TICKS_PER_SECOND
        passed = clock.monotonic() - self._at
        return self._said + int(passed * TICKS_PER_SECOND)

    def latest(self) -> int:
        """A time that the server's own is not past yet, ticks."""
        return self.now() + 2 * TICKS_PER_SECOND

    def of(self, at: int) -> int:
        """The server's time at an instant of our own clock a moment ago, ticks."""
        return self.now() - max(0, clock.now() - at)
