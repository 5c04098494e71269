"""Signups for stream updates: what came for a stream since a marker."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Final

from pichannels.simulator.events import Event
from pichannels.simulator.query import Refused
from pichannels.simulator.simtime import SECOND
from pichannels.simulator.sockets import Hub, Subject
from pichannels.simulator.tags import Tag

__all__ = ["EXPIRY", "Signup", "Signups"]

EXPIRY: Final = 900
"""Seconds after which a signup that nobody asks for is forgotten."""

_UPDATED: Final = "The signup was updated and any cached data could be invalid."
_GONE: Final = "The signup was removed because it is no longer valid."


class Signup:
    """What came for one stream and was not asked for yet."""

    def __init__(self, subject: Subject, now: int, most: int) -> None:
        self.subject = subject
        self.id = uuid.uuid4().hex
        self.asked = now
        self.is_broken = False
        self.path = subject.path
        """Under which it is known, also when the stream has another one since."""
        self.notice = ""
        """What the next poll is told in place of events; then the signup is gone."""
        self._most = most
        self._first = 0
        self._events: deque[Event] = deque()

    @property
    def tags(self) -> list[Tag]:
        """The tag behind the stream."""
        assert self.subject.source is not None
        return [self.subject.source]

    @property
    def marker(self) -> str:
        """The place after the newest event."""
        return f"{self.id}_{self._first + len(self._events)}"

    def add(self, tag: Tag, event: Event) -> None:
        """Keep an event; more than `overflow` of them break the signup."""
        if len(self._events) >= self._most:
            self.is_broken = True
            return
        self._events.append(event)

    def since(self, number: int) -> list[Event]:
        """The events after a place; those before it are let go.

        Raises:
            Refused: 409, there is no such place, or no longer.
        """
        if not self._first <= number <= self._first + len(self._events):
            raise Refused(409, f"The marker '{self.id}_{number}' is not valid.")
        for _ in range(number - self._first):
            self._events.popleft()
        self._first = number
        return list(islice(self._events, None))


class Signups:
    """All signups of the server, by stream and by the first part of their marker."""

    def __init__(self, hub: Hub, most: int) -> None:
        self._hub = hub
        self._most = most
        self._by_id: dict[str, Signup] = {}
        self._by_path: dict[str, Signup] = {}

    def __iter__(self) -> Iterator[Signup]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def register(self, subject: Subject, now: int) -> tuple[Signup, bool]:
        """The signup of a stream, and whether there was one already.

        Raises:
            Refused: 409, the stream never changes by itself.
        """
        if subject.source is None:
            raise Refused(409, "The attribute does not support updates.")
        known = self._by_path.get(subject.path)
        if known is not None:
            known.asked = now
            return known, True
        made = Signup(subject, now, self._most)
        self._by_id[made.id] = self._by_path[subject.path] = made
        self._hub.subscribe(made, now)
        return made, False

    def find(self, marker: str, now: int) -> tuple[Signup, int]:
        """The signup and the place that a marker means.

        Raises:
            Refused: 404, there is no such signup, or no longer; 409, this is no
                marker.
        """
        name, _, number = marker.partition("_")
        if not number.isdecimal():
            raise Refused(409, f"The marker '{marker}' is not valid.")
        signup = self._by_id.get(name)
        if signup is None:
            raise Refused(404, "The cache instance was not found.")
        if signup.notice:
            self._forget(signup)
            raise Refused(404, signup.notice)
        if signup.is_broken:
            self._forget(signup)
            raise Refused(404, "The signup was removed after an error; register again.")
        signup.asked = now
        return signup, int(number)

    def changed(self, path: str, *, is_gone: bool = False) -> None:
        """The metadata of an attribute have changed, or it is gone.

        Of points nothing is told.
        """
        signup = self._by_path.get(path)
        if signup is not None and "|" in path:
            signup.notice = _GONE if is_gone else _UPDATED

    def expire(self, now: int) -> None:
        """Forget those that nobody has asked for."""
        oldest = now - EXPIRY * SECOND
        for signup in [one for one in self if one.asked < oldest]:
            self._forget(signup)

    def forget(self, path: str | None = None) -> None:
        """Forget all, or the one of a stream or of the tag behind it."""
        for signup in list(self):
            paths = signup.subject.path, signup.tags[0].path
            if path is None or path in paths:
                self._forget(signup)

    def _forget(self, signup: Signup) -> None:
        del self._by_id[signup.id]
        del self._by_path[signup.path]
        self._hub.unsubscribe(signup)
