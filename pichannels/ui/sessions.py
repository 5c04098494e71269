"""Sessions of people who have logged in, and how often somebody may try to."""

from __future__ import annotations

import hmac
import math
import secrets
from collections import OrderedDict
from typing import Final

import msgspec

from pichannels import clock
from pichannels.errors import TryAgain

__all__ = ["Session", "Sessions", "Throttle", "Throttled"]

_MOST: Final = 10_000
_FREE: Final = 5
_LONGEST: Final = 900.0
_FORGET: Final = 3600.0


class Session(msgspec.Struct, frozen=True):
    """One that has logged in.

    Attributes:
        id: what the cookie holds.
        user: its name; "" for the token that is made at the start.
        csrf: what a request that changes something has to show beside the cookie.
        ends: by the monotonic clock.
    """

    id: str
    user: str
    csrf: str
    ends: float

    def is_shown(self, csrf: str) -> bool:
        """Whether this is what has to be shown."""
        return hmac.compare_digest(self.csrf.encode(), csrf.encode("utf-8", "replace"))


class Sessions:
    """The sessions of this process; they end with it.

    Args:
        seconds: how long one lasts.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._open: OrderedDict[str, Session] = OrderedDict()

    @property
    def seconds(self) -> float:
        """How long one lasts."""
        return self._seconds

    def open(self, user: str) -> Session:
        """A new session of a user; the oldest one ends where there are too many."""
        while len(self._open) >= _MOST:
            self._open.popitem(last=False)
        made = Session(
            secrets.token_urlsafe(32),
            user,
            secrets.token_urlsafe(32),
            clock.monotonic() + self._seconds,
        )
        self._open[made.id] = made
        return made

    def get(self, id: str) -> Session | None:
        """The session with this number, while it lasts."""
        found = self._open.get(id)
        if found is not None and found.ends <= clock.monotonic():
            del self._open[id]
            return None
        return found

    def close(self, id: str) -> None:
        """End a session."""
        self._open.pop(id, None)

    def close_all_of(self, user: str) -> None:
        """End all sessions of a user."""
        for id in [one.id for one in self._open.values() if one.user == user]:
            del self._open[id]


class Throttled(TryAgain):
    """There were too many wrong attempts to log in.

    Attributes:
        seconds: how long to wait.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = max(1, math.ceil(seconds))
        super().__init__(f"too many wrong attempts; wait {self.seconds} s")


class _Wrong(msgspec.Struct):
    """How often somebody was wrong, and until when nothing is taken."""

    count: int = 0
    until: float = 0.0
    last: float = 0.0


class Throttle:
    """Who was wrong often waits, for twice as long each time.

    Names and addresses are counted each for itself: one address that tries many
    names waits, and so does a name that is tried from many addresses.
    """

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, _Wrong] = OrderedDict()

    def check(self, *keys: str) -> None:
        """Refuse while one of these has to wait.

        Raises:
            Throttled: it has.
        """
        now = clock.monotonic()
        left = max((self._wrong[k].until for k in keys if k in self._wrong), default=0)
        if left > now:
            raise Throttled(left - now)

    def fail(self, *keys: str) -> None:
        """Each of these was wrong once more."""
        now = clock.monotonic()
        for key in keys:
            one = self._wrong.pop(key, _Wrong())
            if now - one.last > _FORGET:
                one = _Wrong()
            one.count, one.last = one.count + 1, now
            if one.count >= _FREE:
                one.until = now + min(2.0 ** (one.count - _FREE), _LONGEST)
            self._wrong[key] = one
        while len(self._wrong) > _MOST:
            self._wrong.popitem(last=False)

    def succeed(self, *keys: str) -> None:
        """Each of these was right."""
        for key in keys:
            self._wrong.pop(key, None)
