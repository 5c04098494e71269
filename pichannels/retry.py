"""When to try again, as plain values and rules; nothing here waits."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import msgspec

from pichannels.errors import RetryLater, TryAgain

__all__ = ["NO_RETRY", "RetryPolicy"]

Random = Callable[[], float]


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how soon a failed step is tried again.

    Attributes:
        attempts: tries in all; 0 means without end.
        initial: seconds before the second try.
        factor: how much longer each further wait is.
        maximum: seconds that no wait exceeds.
        jitter: the part of a wait that is random, 0 to 1 ("full" jitter is 1).
        errors: the exceptions that are worth another try; `RetryLater` and the
            other `TryAgain` errors always are.
    """

    attempts: int = 5
    initial: float = 0.5
    factor: float = 2.0
    maximum: float = 60.0
    jitter: float = 0.5
    errors: tuple[type[BaseException], ...] = (Exception,)

    def delay(
        self, attempt: int, error: BaseException, rng: Random = random.random
    ) -> float | None:
        """Seconds to wait after the failed try number `attempt` (from 1).

        None means that it was the last: give up.
        """
        if not isinstance(error, (TryAgain, *self.errors)):
            return None
        if self.attempts and attempt >= self.attempts:
            return None
        if isinstance(error, RetryLater) and error.delay is not None:
            return error.delay
        try:
            wait = min(self.initial * self.factor ** (attempt - 1), self.maximum)
        except OverflowError:
            wait = self.maximum
        return wait * (1 - self.jitter * rng())

    def delays(self, rng: Random = random.random) -> Iterator[float]:
        """The waits of one connection that is lost again and again."""
        attempt = 0
        while True:
            attempt += 1
            wait = self.delay(attempt, TryAgain(), rng)
            if wait is None:
                return
            yield wait


NO_RETRY = RetryPolicy(attempts=1)
"""One try; `RetryLater` included."""
