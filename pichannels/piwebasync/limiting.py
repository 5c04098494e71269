"""The limiter of one server, which all clients of it share; the limiters of all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from pichannels import clock
from pichannels.errors import Backpressure, UsageError, nearest
from pichannels.limiter import Limits, Priority, Throttle, retry_after_seconds
from pichannels.tallies import Recent

__all__ = ["Limiter", "Limiters", "Turn", "limiter_for"]

_Waiting = deque[tuple[asyncio.Future[None], float]]
"""What lets each of them go, and as how many requests it counts."""


class Turn:
    """One request that may go out now; tell it what the server answered."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.retry_after: float | None = None

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Note the answer; a turn without one counts as a failure of the server."""
        self.status = status
        after = headers.get("Retry-After")
        self.retry_after = retry_after_seconds(after, clock.now())


class Limiter:
    """Holds requests back until the server may be asked.

    One for each server: give it to all clients of it (`HTTPClient(limiter=...)`).
    All of them run in one event loop.

    Args:
        limits: what the server may be asked for.
        max_waiting: requests that wait, at most.
    """

    def __init__(self, limits: Limits | None = None, max_waiting: int = 10_000) -> None:
        self._throttle = Throttle(limits or Limits())
        self._max_waiting: Final = max_waiting
        self._waiting: dict[Priority, _Waiting] = {"live": deque(), "history": deque()}
        self._timer: asyncio.TimerHandle | None = None
        self._latency = Recent()

    def pause_history(self) -> None:
        """Hold back all requests for history, until `resume_history`."""
        self._throttle.history_paused = True

    def resume_history(self) -> None:
        """Let requests for history go again."""
        self._throttle.history_paused = False
        self._dispatch()

    def give_history(self, rate: float | None) -> None:
        """Let history have so many requests in a second; None: what live ones leave.

        Raises:
            UsageError: it is not above 0, or above the rate of the server.
        """
        self._throttle.give_history(rate)
        self._dispatch()

    def statistics(self) -> dict[str, Any]:
        """What is allowed just now, under way, waiting, and counts since the start."""
        throttle, waiting, now = self._throttle, self._waiting, clock.monotonic()
        return {
            "full_rate": throttle.limits.rate,
            "rate": throttle.rate,
            "concurrency": throttle.concurrency,
            "pause": throttle.wait(now),
            "history_paused": throttle.history_paused,
            "history_rate": throttle.limits.history_rate,
            "history_used": throttle.history_used(now),
            "running_live": throttle.running["live"],
            "running_history": throttle.running["history"],
            "waiting_live": len(waiting["live"]),
            "waiting_history": len(waiting["history"]),
            "latency": self._latency.times(),
            **throttle.counts,
        }

    @property
    def largest_batch(self) -> int:
        """Parts that a PI batch should have at most, just now."""
        return self._throttle.largest_batch

    @asynccontextmanager
    async def turn(
        self, priority: Priority = "live", parts: int = 0
    ) -> AsyncIterator[Turn]:
        """Wait until a request may go out; it is over when the block is left.

        Args:
            priority: what it is for.
            parts: of a PI batch, how many requests are in it.

        Raises:
            Backpressure: too many requests wait already.
        """
        await self._admitted(priority, self._throttle.limits.weight(parts))
        began = clock.monotonic()
        turn = Turn()
        try:
            yield turn
        except asyncio.CancelledError:
            self._throttle.given_back(priority)
            raise
        except BaseException:
            self._over(priority, began, turn)
            raise
        else:
            self._over(priority, began, turn)
        finally:
            self._dispatch()

    def _over(self, priority: Priority, began: float, turn: Turn) -> None:
        now = clock.monotonic()
        took = now - began
        if turn.status is not None:
            self._latency.note(took, now)
        self._throttle.answered(now, priority, took, turn.status, turn.retry_after)

    async def _admitted(self, priority: Priority, weight: float) -> None:
        waiting = self._waiting[priority]
        if len(waiting) >= self._max_waiting:
            raise Backpressure(f"the limiter with {len(waiting)} waiting requests", 0.0)
        admission: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append((admission, weight))
        self._dispatch()
        try:
            await admission
        except asyncio.CancelledError:
            if admission.done() and not admission.cancelled():
                self._throttle.given_back(priority)
            elif (admission, weight) in waiting:
                waiting.remove((admission, weight))
            self._dispatch()
            raise

    def _dispatch(self) -> None:
        """Let go who may, and come back when time lets another."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting = self._waiting
        now = clock.monotonic()
        while chosen := self._throttle.next(now, *self._lengths()):
            admission, weight = waiting[chosen].popleft()
            admission.set_result(None)
            self._throttle.started(now, chosen, bool(waiting["history"]), weight)
        waits = [self._throttle.wait(now)] if any(waiting.values()) else []
        waits += [self._throttle.history_wait(now)] if waiting["history"] else []
        wait = min((each for each in waits if each > 0), default=0.0)
        if wait > 0:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(wait, self._dispatch)

    def _lengths(self) -> tuple[int, int]:
        """How many wait; those in front have not been cancelled."""
        for waiting in self._waiting.values():
            while waiting and waiting[0][0].done():
                waiting.popleft()
        return len(self._waiting["live"]), len(self._waiting["history"])


class Limiters:
    """The limiters of an instance: one for each server, shared by all that asks it.

    Args:
        limits: what a server may be asked for.
        special: what those may be asked for that differ, by host or `host:port`.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        special: Mapping[str, Limits] | None = None,
    ) -> None:
        self._limits = limits or Limits()
        self._special = {name.lower(): own for name, own in (special or {}).items()}
        self._limiters: dict[str, Limiter] = {}

    def of(self, url: str, *others: str) -> Limiter:
        """The limiter of the server at this URL.

        Args:
            others: further addresses of the same logical server.
        """
        places = [_place(each) for each in (url, *others)]
        known = [self._limiters[place] for place in places if place in self._limiters]
        limiter = known[0] if known else Limiter(self._limits_of(places[0]))
        for place in places:
            self._limiters.setdefault(place, limiter)
        return limiter

    def _limits_of(self, place: str) -> Limits:
        host = place.rpartition(":")[0] or place
        return self._special.get(place) or self._special.get(host) or self._limits

    def known(self, name: str = "") -> Limiter:
        """The limiter of a server that was asked already.

        Args:
            name: an address of it, host and port; "" for the only one there is.

        Raises:
            UsageError: there is none, or several and no name.
        """
        names = list(self.statistics())
        if not name and len(names) == 1:
            name = names[0]
        if name.lower() not in self._limiters:
            hint = nearest(name, self._limiters) if name else f"; one of {names}"
            raise UsageError(f"no PI server {name!r} is asked{hint}")
        return self._limiters[name.lower()]

    def name_of(self, limiter: Limiter) -> str:
        """The first address that the server of this limiter is known by."""
        return next(place for place, one in self._limiters.items() if one is limiter)

    def statistics(self) -> dict[str, dict[str, Any]]:
        """What each limiter says, by the first address that its server is known by."""
        found = dict.fromkeys(self._limiters.values())
        return {self.name_of(each): each.statistics() for each in found}


def limiter_for(channel: Any, url: str, *others: str) -> Limiter:
    """The limiter of the server at this URL, for what is in a channel.

    It is that of the instance, or, in a channel that runs alone, that of the channel
    itself or of one above it; without any it is a new one.
    """
    while channel is not None:
        limiters = getattr(channel, "limiters", None)
        if isinstance(limiters, Limiters):
            return limiters.of(url, *others)
        channel = getattr(channel, "parent", None)
    return Limiters().of(url, *others)


def _place(url: str) -> str:
    """Host and port, by which a server is known."""
    parts = urlsplit(url)
    host = parts.hostname or url
    port = parts.port or {"http": 80, "ws": 80}.get(parts.scheme, 443)
    return f"{host}:{port}"
