"""How many requests a server gets, as plain rules; nothing here waits.

`Throttle` says which of those that wait may go, and when: live requests before
history, of which a tenth is kept for history. What the server answers makes it
slower (by multiplication) or faster (by addition, and by doubling where it is far
below what the server bore before). Times are seconds of the monotonic clock and are
given, never asked for.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from math import exp, inf, isfinite
from typing import Final, Literal, TypeAlias

import msgspec

from pichannels.errors import UsageError
from pichannels.values import TICKS_PER_SECOND, ticks_from_datetime

__all__ = ["Limits", "Priority", "Throttle", "retry_after_seconds"]

Priority: TypeAlias = Literal["live", "history"]
"""What a request is for: what happens now, or repair and reading of the past."""

# A request that goes a little late (s) does not delay those behind it; the spacing is
# wider than that, so that no second ever sees more than `rate` requests.
_SLACK: Final = 0.01
_WIDER: Final = 1.011
_TOO_MANY: Final = 429
# Weights of the newest answer in the averages that tell a slow server.
_RECENT: Final = 0.3
_USUAL: Final = 0.02
# Answers within so many seconds are never slow, whatever is usual.
_QUICK: Final = 0.25
_ENOUGH_ANSWERS: Final = 10
# Seconds that a batch may hold up what comes behind it, and parts that it has anyway.
_MOMENT: Final = 0.25
_SMALL_BATCH: Final = 10
_LARGE_BATCH: Final = 100_000
# History with a budget of its own never takes more than this part from live requests.
_MOST_OF_LIVE: Final = 0.5
# Seconds over which it is measured how much history asks.
_WINDOW: Final = 10.0


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one server may be asked for.

    Attributes:
        rate: requests in any one second, at most.
        concurrency: requests under way at once, at most.
        history_share: the part of the requests that history gets while live
            requests wait, too.
        history_rate: requests in a second that history gets at most, in the mean; None
            for all that live ones leave. As much is kept for it while live requests
            wait, but never more than half of `rate`.
        fall: what remains of the pace after an answer that asks for less.
        rise: the part of the full pace that comes back in a second of good answers;
            up to half of the pace from which it fell it doubles, where that is more.
        slowest: the part of the full pace that is always left.
        settle: seconds in which the pace falls once at most; what was sent before
            the fall says nothing new.
        latency_factor: how many times the usual latency counts as a sign of
            overload; 0 for never.
        longest_pause: seconds that a `Retry-After` may hold up all requests.
        batch_weight: how much each request inside a PI batch counts, as PI itself
            counts them; 0 lets a batch count as one request.
    """

    rate: float = 200.0
    concurrency: int = 8
    history_share: float = 0.1
    history_rate: float | None = None
    fall: float = 0.5
    rise: float = 0.05
    slowest: float = 0.02
    settle: float = 1.0
    latency_factor: float = 4.0
    longest_pause: float = 300.0
    batch_weight: float = 1.0

    def __post_init__(self) -> None:
        for name in ("history_share", "fall", "slowest"):
            if not 0 < getattr(self, name) < 1:
                raise UsageError(f"{name} lies between 0 and 1, not {self!r}")
        if not 0 < self.rate < inf or self.concurrency < 1 or self.rise <= 0:
            raise UsageError(f"rate, concurrency and rise are above 0, not {self!r}")
        if not 0 <= self.batch_weight <= 1:
            raise UsageError(f"batch_weight is 0 to 1, not {self.batch_weight!r}")
        if self.history_rate is not None and not 0 < self.history_rate <= self.rate:
            raise UsageError(
                f"history_rate is above 0 and at most the rate, {self.rate:g},"
                f" not {self.history_rate!r}"
            )

    def weight(self, parts: int) -> float:
        """How many requests a PI batch of so many parts counts as; 1 for none."""
        return max(1.0, parts * self.batch_weight)


class _Latency:
    """The latency of one class: what is usual, and what it is of late."""

    def __init__(self) -> None:
        self._answers = 0
        self._usual = 0.0
        self._recent = 0.0

    def note(self, seconds: float) -> None:
        self._answers += 1
        if self._answers <= _ENOUGH_ANSWERS:
            self._usual += (seconds - self._usual) / self._answers
            self._recent = self._usual
            return
        self._usual += (seconds - self._usual) * _USUAL
        self._recent += (seconds - self._recent) * _RECENT

    def has_risen(self, factor: float) -> bool:
        """Whether it is so many times the usual."""
        return factor > 0 and self._recent > max(_QUICK, factor * self._usual)


class _Used:
    """How many requests went out in a second of late."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._at = -inf

    def note(self, now: float, weight: float) -> None:
        self._sum = self._left(now) + weight
        self._at = now

    def rate(self, now: float) -> float:
        return self._left(now) / _WINDOW

    def _left(self, now: float) -> float:
        return self._sum * exp((self._at - now) / _WINDOW)


class Throttle:
    """The state of one server: its pace, and what is under way."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.pace = 1.0
        """The part of the full rate and concurrency that is allowed just now."""
        self.history_paused = False
        self.running: dict[Priority, int] = {"live": 0, "history": 0}
        self.counts = {"live": 0, "history": 0, "slowed": 0, "too_many": 0}
        self._used = _Used()
        self._next = -inf
        self._next_history = -inf
        self._paused_until = -inf
        self._changed = -inf
        self._fallen = -inf
        # Up to here the pace doubles; what lies above has to be tried with care.
        self._near = 0.0
        self._is_falling = False
        self._owed = 0.0
        self._latency: dict[Priority, _Latency] = {
            "live": _Latency(),
            "history": _Latency(),
        }

    @property
    def rate(self) -> float:
        """Requests in a second, just now."""
        return self.limits.rate * self.pace

    @property
    def concurrency(self) -> int:
        """Requests under way at once, just now."""
        return max(1, int(self.limits.concurrency * self.pace))

    def next(self, now: float, live: int, history: int) -> Priority | None:
        """Who goes now, of so many that wait; None while nobody may."""
        if now < max(self._next, self._paused_until):
            return None
        if sum(self.running.values()) >= self.concurrency:
            return None
        history = history if self._history_has_room(now) else 0
        if history and (not live or self._owed >= 1.0 or self._is_budget_small):
            return "history"
        return "live" if live else None

    @property
    def _is_budget_small(self) -> bool:
        """Whether history may go whenever its budget lets it."""
        own = self.limits.history_rate
        return own is not None and own <= self.limits.rate * _MOST_OF_LIVE

    def _history_has_room(self, now: float) -> bool:
        """Whether history may go; the last place under way is for live requests."""
        if self.history_paused or now < self._next_history:
            return False
        return self.running["history"] < max(1, self.concurrency - 1)

    def give_history(self, rate: float | None) -> None:
        """Let history have so many requests in a second; None: what is left.

        Raises:
            UsageError: it is not above 0, or above the rate of the server.
        """
        self.limits = msgspec.structs.replace(self.limits, history_rate=rate)
        self._next_history = -inf

    def history_used(self, now: float) -> float:
        """Requests in a second that history had of late."""
        return self._used.rate(now)

    def wait(self, now: float) -> float:
        """Seconds until time alone lets somebody go."""
        return max(self._next - now, self._paused_until - now, 0.0)

    def history_wait(self, now: float) -> float:
        """Seconds until time alone lets history go."""
        return max(self._next_history - now, self.wait(now))

    @property
    def largest_batch(self) -> int:
        """Parts of a batch, so that those behind it wait for a moment only."""
        each = self.limits.batch_weight
        most = _MOMENT * self.rate / each if each else inf
        return int(min(max(most, _SMALL_BATCH), _LARGE_BATCH))

    def started(
        self,
        now: float,
        priority: Priority,
        history_waits: bool,
        weight: float = 1.0,
    ) -> None:
        """A request goes out, which counts as so many."""
        spacing = _WIDER / self.rate * weight
        self._next = max(self._next, now - _SLACK) + spacing
        self.running[priority] += 1
        self.counts[priority] += 1
        if priority == "history":
            self._note_history(now, weight)
            self._owed = max(1.0 - weight, self._owed - weight)
        elif history_waits and not self.history_paused:
            # After so many live ones that one of all is the share of history.
            share = self._history_share
            self._owed = min(1.0, self._owed + share / (1 - share) * weight + 1e-9)

    @property
    def _history_share(self) -> float:
        limits = self.limits
        return limits.history_share if limits.history_rate is None else _MOST_OF_LIVE

    def _note_history(self, now: float, weight: float) -> None:
        self._used.note(now, weight)
        rate = self.limits.history_rate
        if rate is not None:
            # It waits for a turn of the server, too, and is not late for that.
            late = max(_SLACK, _WIDER / self.limits.rate)
            spacing = _WIDER / rate * weight
            self._next_history = max(self._next_history, now - late) + spacing

    def given_back(self, priority: Priority) -> None:
        """A request is over of which nothing can be learned."""
        self.running[priority] -= 1

    def answered(
        self,
        now: float,
        priority: Priority,
        seconds: float,
        status: int | None,
        retry_after: float | None = None,
    ) -> None:
        """A request is over.

        Args:
            now: when.
            priority: as it was started with.
            seconds: how long it took.
            status: the answer's; None where there was none.
            retry_after: seconds for which the server wants to be left alone.
        """
        self.running[priority] -= 1
        latency = self._latency[priority]
        if retry_after is not None and retry_after > 0:
            pause = min(retry_after, self.limits.longest_pause)
            self._paused_until = max(self._paused_until, now + pause)
        self.counts["too_many"] += status == _TOO_MANY
        if status is None or status == _TOO_MANY or status >= 500:
            self._slow_down(now, now - seconds, self.limits.fall)
            return
        latency.note(seconds)
        if latency.has_risen(self.limits.latency_factor):
            # Slowness is a weaker sign than a refusal.
            self._slow_down(now, now - seconds, (1 + self.limits.fall) / 2)
        else:
            self._speed_up(now)

    def _slow_down(self, now: float, sent: float, factor: float) -> None:
        if sent < self._fallen or now < self._fallen + self.limits.settle:
            return
        self._fallen = self._changed = now
        if not self._is_falling:
            # Of an outage the first fall alone tells what the server could bear.
            self._near = max(self._near, self.pace) / 2
            self._is_falling = True
        self.pace = max(self.limits.slowest, self.pace * factor)
        self.counts["slowed"] += 1

    def _speed_up(self, now: float) -> None:
        passed = min(now - self._changed, 1.0)
        self._changed = now
        self._is_falling = False
        doubled = min(self._near, self.pace * 2**passed)
        risen = self.pace + self.limits.rise * passed
        self.pace = min(1.0, max(doubled, risen))


def retry_after_seconds(text: str | None, now: int) -> float | None:
    """What a `Retry-After` header says, in seconds from `now` (ticks).

    It is a number of seconds or a date; None for anything else.
    """
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        return _seconds_to_date(text, now)
    return seconds if isfinite(seconds) and seconds >= 0 else None


def _seconds_to_date(text: str, now: int) -> float | None:
    try:
        ticks = ticks_from_datetime(parsedate_to_datetime(text))
    except ValueError:
        return None
    return max(0.0, (ticks - now) / TICKS_PER_SECOND)
