"""Several base URLs of one logical server: which of them is used, and since when.

Nothing here asks anything. `Members` is told who answered and who failed, and says
whom to ask next; `WebIds` knows what an object is called at each member.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import msgspec

from pichannels import clock
from pichannels.errors import UsageError, nearest
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.webids import upper

__all__ = ["Listener", "Members", "Switched", "WebIds"]

logger = logging.getLogger("pichannels.piwebasync")

_FIRST_REST: Final = 5.0
_LONGEST_REST: Final = 300.0
_MOST_WEB_IDS: Final = 1_000_000


class Switched(msgspec.Struct, frozen=True):
    """From now on another member is used; what came between is not known."""

    before: str
    after: str
    reason: str
    at: int
    """When, ticks."""


Listener: TypeAlias = Callable[[Switched], None]


class _State(msgspec.Struct):
    """What is known of a member; times are of the monotonic clock, seconds."""

    rests_until: float = 0.0
    failures: int = 0
    reason: str = ""
    answered: float = 0.0


class Members:
    """Which one of several servers is used; all clients of them share one `Members`.

    The member in use stays so until it fails. One that failed rests for 5 seconds,
    twice as long after each further failure, 5 minutes at most; meanwhile it is asked
    only where nobody else has an answer, and after that as soon as the one in use
    fails. `use` goes back by hand.

    Args:
        urls: base URLs in the order in which they are preferred.
        first_rest: seconds for which a member is left alone after its first failure.
        longest_rest: seconds for which it is left alone at most.

    Raises:
        UsageError: there is no URL, one twice, or one that is none.
    """

    def __init__(
        self,
        urls: Iterable[str],
        *,
        first_rest: float = _FIRST_REST,
        longest_rest: float = _LONGEST_REST,
    ) -> None:
        self.urls = tuple(map(_base, urls))
        if not self.urls or len(set(self.urls)) < len(self.urls):
            raise UsageError(f"members have an URL each, not {list(self.urls)}")
        self.web_ids = WebIds()
        self.switches = 0
        """How often another one was taken into use."""
        self._current = self.urls[0]
        self._first_rest = first_rest
        self._longest_rest = longest_rest
        self._states = {url: _State() for url in self.urls}
        self._listeners: list[Listener] = []

    @property
    def current(self) -> str:
        """The base URL that is used now."""
        return self._current

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Have each switch told, from within the call that caused it.

        Returns:
            What ends it.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def order(self) -> list[str]:
        """Whom to ask, one after the other: the one in use, then the others.

        Those that rest come last, the one first whose rest is over first.
        """
        now = clock.monotonic()

        def place(url: str) -> tuple[float, bool]:
            return max(self._states[url].rests_until - now, 0.0), url != self._current

        return sorted(self.urls, key=place)

    def _awake_others(self) -> list[str]:
        now = clock.monotonic()
        others = (url for url in self.urls if url != self._current)
        return [url for url in others if self._states[url].rests_until <= now]

    def answered(self, url: str) -> None:
        """This member has answered; it is used from now on if the one in use fails."""
        state = self._state(url)
        state.answered = clock.monotonic()
        state.failures, state.rests_until = 0, 0.0
        used = self._states[self._current]
        if _base(url) != self._current and used.failures:
            self._switch(_base(url), used.reason)

    def failed(self, url: str, reason: str) -> None:
        """This member could not answer; another is used once it has answered."""
        state = self._state(url)
        now = clock.monotonic()
        if state.rests_until > now:
            # What was under way when it was first noticed tells nothing new.
            return
        rest = self._first_rest * 2.0 ** min(state.failures, 32)
        state.failures += 1
        state.rests_until = now + min(rest, self._longest_rest)
        state.reason = reason

    def leave(self, url: str, reason: str) -> str:
        """This member has failed: use another at once, if there is one awake.

        For who keeps a connection, and has to know where to open the next one.

        Returns:
            The base URL to go to, which is the same one where no other is awake.
        """
        self.failed(url, reason)
        others = self._awake_others()
        if _base(url) == self._current and others:
            self._switch(others[0], reason)
        return self._current

    def use(self, url: str, reason: str = "chosen") -> None:
        """Take this member into use, whatever is known of it.

        Raises:
            UsageError: there is no such member.
        """
        state = self._state(url)
        state.failures, state.rests_until = 0, 0.0
        if _base(url) != self._current:
            self._switch(_base(url), reason)

    def answered_since(self, url: str, moment: float) -> bool:
        """Whether this member answered anything after `moment` (monotonic seconds)."""
        return self._state(url).answered > moment

    def base_of(self, url: str) -> str | None:
        """The member that this URL belongs to, or None."""
        for base in self.urls:
            if url == base or url.startswith((f"{base}/", f"{base}?")):
                return base
        return None

    def statistics(self) -> dict[str, dict[str, object]]:
        """What is known of each member, by its URL."""
        now = clock.monotonic()
        return {
            url: {
                "in_use": url == self._current,
                "failures": state.failures,
                "rests": max(0.0, state.rests_until - now),
                "reason": state.reason if state.failures else "",
            }
            for url, state in self._states.items()
        }

    def _state(self, url: str) -> _State:
        try:
            return self._states[_base(url)]
        except KeyError:
            hint = nearest(url, self.urls)
            raise UsageError(f"{url} is no member of {self.urls[0]}{hint}") from None

    def _switch(self, url: str, reason: str) -> None:
        before, self._current = self._current, url
        self.switches += 1
        logger.warning(
            "%s is used instead of %s: %s", _host(url), _host(before), reason
        )
        event = Switched(before, url, reason, clock.now())
        for listener in list(self._listeners):
            try:
                listener(event)
            except Exception:
                # The request that found the failure is not theirs.
                logger.exception("a listener to switches has failed")


class WebIds:
    """What each object is called at each member: tables of path and WebID."""

    def __init__(self) -> None:
        self._of_path: dict[str, dict[str, str]] = {}
        self._paths: dict[str, dict[str, str]] = {}

    def __len__(self) -> int:
        return len(self._paths)

    def learn(self, url: str, path: str, web_id: str) -> None:
        """Note that the object at `path` has this WebID at the member `url`."""
        if len(self._paths) >= _MOST_WEB_IDS:
            self._of_path.clear()
            self._paths.clear()
        key = upper(path)
        self._of_path.setdefault(key, {})[url] = web_id
        self._paths.setdefault(web_id, {})[url] = key

    def learn_all(self, url: str, web_ids: Mapping[str, str]) -> None:
        """`learn` of many: path to WebID."""
        for path, web_id in web_ids.items():
            self.learn(url, path, web_id)

    def path(self, web_id: str) -> str | None:
        """The path of the object with this WebID at any member, in upper case.

        None where that is not known, and where it means several objects, as WebIDs
        that are numbers within a server may.
        """
        paths = set(self._paths.get(web_id, {}).values())
        return paths.pop() if len(paths) == 1 else None

    def at(self, url: str, path: str) -> str | None:
        """The WebID at a member of the object at `path`; None where not known."""
        return self._of_path.get(upper(path), {}).get(url)

    def missing(self, url: str, paths: Sequence[str]) -> list[str]:
        """The paths of which no WebID at this member is known."""
        return [path for path in paths if self.at(url, path) is None]


@lru_cache(maxsize=256)
def _base(url: str) -> str:
    """A base URL as requests have it."""
    return Controller.from_url(url).base_url


def _host(url: str) -> str:
    return urlsplit(url).netloc or url
