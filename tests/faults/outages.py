"""When something failed: what a scenario did, and where PI was silent by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from pichannels.values import TICKS_PER_SECOND
from tests.servers.proxy import Websocket

__all__ = ["Outages", "apart", "silences"]

_LATE: Final = 4.0
"""Seconds that passing something on, or noticing it, may take."""
_HEARTBEATS: Final = 1.75
"""So many of silence end a connection."""
_NEARLY: Final = 0.9
"""Of that; the instance and the proxy do not look at the same moment."""


class Outages:
    """Of one run.

    Args:
        margins: of the ledger, seconds of the plant.
        speed: its seconds in a real one.
        heartbeat: real seconds between two.
        time: the plant's time at a moment of the monotonic clock, ticks.
    """

    def __init__(
        self,
        margins: dict[str, float],
        speed: float,
        heartbeat: float,
        time: Callable[[float], int],
    ) -> None:
        self._before = margins["settle"] + margins["overlap"] + _LATE * speed
        self._after = margins["settle"] + margins["ahead"] + _LATE * speed
        self._silence = _HEARTBEATS * _NEARLY * heartbeat
        self._time = time
        self._known: list[tuple[float, float]] = []
        self._since: float | None = None
        self._doubted: list[tuple[int, int]] = []

    def begin(self) -> None:
        """Something fails from now on."""
        if self._since is None:
            self._since = time.monotonic()

    def end(self) -> None:
        """It is over."""
        if self._since is not None:
            self._known.append((self._since, time.monotonic()))
            self._since = None

    @property
    def seconds(self) -> float:
        """For how long something failed so far, but for the first start."""
        return sum(end - start for start, end in self._known[1:])

    def doubt(self, start: int, end: int) -> None:
        """This time of the plant may be read again, ticks."""
        self._doubted.append((start, end))

    def doubtful(self, websockets: Sequence[Websocket]) -> list[tuple[int, int]]:
        """All that, with the margins of the ledger; in order, and apart, ticks.

        Args:
            websockets: all that there were. A server that a busy machine lets wait is
                as silent as one that is broken, and nobody has asked for it.
        """
        found = [*self._known, *silences(websockets, self._silence)]
        return apart([*map(self._around, found), *self._doubted])

    def _around(self, outage: tuple[float, float]) -> tuple[int, int]:
        since, healed = outage
        return (
            self._time(since) - int(self._before * TICKS_PER_SECOND),
            self._time(healed) + int(self._after * TICKS_PER_SECOND),
        )


def silences(
    websockets: Sequence[Websocket], least: float
) -> Iterator[tuple[float, float]]:
    """From the last that each was heard of, to when as many were open again.

    Args:
        websockets: all that there were.
        least: seconds of silence before the client ended it.
    """
    for each in websockets:
        if each.ended is not None and each.ended - each.heard >= least:
            yield each.heard, _made_up_for(websockets, each)


def _made_up_for(websockets: Sequence[Websocket], lost: Websocket) -> float:
    """When as many were open again as with this one."""
    assert lost.ended is not None
    wanted = _open_at(websockets, lost.heard)
    for moment in sorted(each.opened for each in websockets):
        if moment > lost.ended and _open_at(websockets, moment) >= wanted:
            return moment
    return time.monotonic()


def _open_at(websockets: Iterable[Websocket], moment: float) -> int:
    return sum(
        each.opened <= moment and (each.ended is None or moment < each.ended)
        for each in websockets
    )


def apart(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same, in order, and those that touch as one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
