"""What the pages and the API may take of the machine; over it they answer 429."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pichannels import clock
from pichannels.errors import TryAgain

__all__ = ["Budget", "OverBudget"]

_SAVED: Final = 4.0
"""Seconds of searching that can be saved up, for each that one search may take."""


class OverBudget(TryAgain):
    """There is no budget for this just now.

    Attributes:
        seconds: when there may be some again.
    """

    def __init__(self, what: str, seconds: float) -> None:
        self.seconds = max(1, math.ceil(seconds))
        super().__init__(f"too many {what} just now; try again in {self.seconds} s")


class Budget:
    """Counts requests at once, searches at once, and the time of searches.

    Args:
        requests: at once.
        searches: at once.
        search_seconds: that one may take.
        share: seconds of searching in each second.
    """

    def __init__(
        self, requests: int, searches: int, search_seconds: float, share: float
    ) -> None:
        self._requests = requests
        self._searches = searches
        self.search_seconds = search_seconds
        self._share = share
        self._most = search_seconds * _SAVED
        self._saved = self._most
        self._since = clock.monotonic()
        self.requests = 0
        self.searches = 0
        self.refused = 0

    @contextmanager
    def request(self) -> Iterator[None]:
        """One request, for as long as the block takes.

        Raises:
            OverBudget: there are too many.
        """
        if self.requests >= self._requests:
            self.refused += 1
            raise OverBudget("requests", 1)
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1

    @contextmanager
    def search(self) -> Iterator[float]:
        """One search, for as long as the block takes; gives the seconds it may.

        Raises:
            OverBudget: too many run, or they took too long together.
        """
        self._save()
        if self.searches >= self._searches:
            self.refused += 1
            raise OverBudget("searches", 1)
        if self._saved <= 0:
            self.refused += 1
            raise OverBudget("searches", -self._saved / self._share + 1)
        self.searches += 1
        start = clock.monotonic()
        try:
            yield self.search_seconds
        finally:
            self.searches -= 1
            self._saved -= clock.monotonic() - start

    def _save(self) -> None:
        now = clock.monotonic()
        self._saved = min(self._most, self._saved + (now - self._since) * self._share)
        self._since = now
