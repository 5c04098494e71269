"""Sessions of people who have logged in, and how often somebody may try to."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import math
import secrets
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import msgspec

from pichannels import clock
from pichannels.errors import TryAgain
from pichannels.ui.session_store import KeptSession, SessionStore
from pichannels.values import TICKS_PER_SECOND

__all__ = ["Session", "Sessions", "Throttle", "Throttled", "network_of"]

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
        password: a hash of what was kept of the password; another one ends it.
    """

    id: str
    user: str
    csrf: str
    ends: float
    password: str = ""

    def is_shown(self, csrf: str) -> bool:
        """Whether this is what has to be shown."""
        return hmac.compare_digest(self.csrf.encode(), csrf.encode("utf-8", "replace"))


class _Known(NamedTuple):
    """What is known of a session beside its number."""

    user: str
    password: str
    ends: float


class Sessions:
    """The sessions of all users.

    They last over restarts where they are kept in a file; those that were opened with
    the token of the start end with it.

    Args:
        seconds: how long one lasts.
        store: where they are kept; those that are there are taken up.
    """

    def __init__(self, seconds: float, store: SessionStore | None = None) -> None:
        self._seconds = seconds
        self._store = store
        self._open: OrderedDict[str, _Known] = OrderedDict()
        # One after the other, as they were made.
        self._writing = ThreadPoolExecutor(1, "pichannels-ui-sessions")
        now, wall = clock.monotonic(), clock.now()
        for kept in store.load() if store else ():
            left = min(seconds, (kept.ends - wall) / TICKS_PER_SECOND)
            self._open[kept.hash] = _Known(kept.user, kept.password, now + left)

    @property
    def seconds(self) -> float:
        """How long one lasts."""
        return self._seconds

    def open(self, user: str, password: str = "") -> Session:
        """A new session of a user; the oldest one ends where there are too many.

        Args:
            password: a hash of what is kept of the password.
        """
        while len(self._open) >= _MOST:
            self._forget([next(iter(self._open))])
        id, ends = secrets.token_urlsafe(32), clock.monotonic() + self._seconds
        self._open[_hash(id)] = _Known(user, password, ends)
        if self._store and user:
            until = clock.now() + round(self._seconds * TICKS_PER_SECOND)
            kept = KeptSession(_hash(id), user, password, until)
            self._writing.submit(self._store.save, kept)
        return Session(id, user, _csrf(id), ends, password)

    def get(self, id: str) -> Session | None:
        """The session with this number, while it lasts."""
        found = self._open.get(_hash(id))
        if found is None:
            return None
        if found.ends <= clock.monotonic():
            self._forget([_hash(id)])
            return None
        return Session(id, found.user, _csrf(id), found.ends, found.password)

    def close(self, id: str) -> None:
        """End a session."""
        self._forget([_hash(id)])

    def close_all_of(self, user: str) -> None:
        """End all sessions of a user."""
        self._forget([each for each, one in self._open.items() if one.user == user])

    def _forget(self, hashes: list[str]) -> None:
        known = [each for each in hashes if self._open.pop(each, None) is not None]
        if self._store and known:
            self._writing.submit(self._store.delete, known)

    def end(self) -> None:
        """Wait until all is kept; for a thread."""
        self._writing.shutdown()
        if self._store:
            self._store.close()


def _hash(id: str) -> str:
    """What is known of the number of a session: who reads it cannot show it."""
    return hashlib.sha256(id.encode("utf-8", "replace")).hexdigest()


def _csrf(id: str) -> str:
    return hmac.new(id.encode("utf-8", "replace"), b"csrf", "sha256").hexdigest()


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


def network_of(address: str) -> str:
    """What counts as one address: of IPv6 all of a network, as each client has one."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return address
    mapped = found.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(found), 64), strict=False))
