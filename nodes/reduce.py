"""Fewer samples: changes only, so many in a second, one in so many.

A deadband or a swinging door (`nodes.compress`) keeps a bound; of these only `Change`
loses nothing but repetitions.
"""

from __future__ import annotations

from typing import Any, Final

from nodes._options import at_least, one_of
from nodes._per_tag import PerTag, Turn
from pichannels import clock
from pichannels.errors import SettingsError
from pichannels.message import Message
from pichannels.values import OPEN_END, TICKS_PER_SECOND, Sample, Tag

__all__ = ["Change", "RateLimit", "Sampling"]

_BEFORE: Final = -(2**63)


class _Last:
    """The sample that passed last of one tag, and the newest that did not."""

    __slots__ = ("newest", "passed", "repeated")

    def __init__(self, sample: Sample) -> None:
        self.send(sample)

    def send(self, sample: Sample) -> None:
        """Go on from a sample that passes."""
        self.passed = sample
        self.newest = sample.ticks
        self.repeated: Sample | None = None


class Change(PerTag):
    """Only samples whose value or quality differs from the one before, for each tag.

    It works for values of every kind. A reader who holds each value until the next
    one sees exactly what came. A sample that is older than one before it passes.

    Args:
        max_time: seconds after which a sample passes although nothing has changed.
        options: those of every node.

    Raises:
        Dropped: no sample is left.
    """

    why = "nothing has changed"

    def __init__(self, *, max_time: float | None = None, **options: Any) -> None:
        super().__init__(**options)
        at_least("max_time", max_time, 0)
        seconds = OPEN_END if max_time is None else max_time * TICKS_PER_SECOND
        self._longest = min(int(seconds), OPEN_END)

    def select(
        self, samples: list[Sample], states: dict[Any, _Last], turn: Turn
    ) -> None:
        longest, out = self._longest, turn.out
        for sample in samples:
            state = states.get(sample.tag)
            if state is None:
                states[sample.tag] = _Last(sample)
            elif sample.ticks < state.newest:
                if state.repeated is not None:
                    # First the newest, so that a reader sees that this one is late.
                    out.append(state.repeated)
                    state.send(state.repeated)
            elif (
                _is_same(sample, state.passed)
                and sample.ticks - state.passed.ticks < longest
            ):
                state.newest = sample.ticks
                state.repeated = sample
                continue
            else:
                state.send(sample)
            out.append(sample)


def _is_same(sample: Sample, before: Sample) -> bool:
    return bool(
        type(sample.value) is type(before.value)
        and sample.value == before.value
        and sample.good is before.good
        and sample.questionable is before.questionable
        and sample.substituted is before.substituted
        and sample.annotated is before.annotated
    )


class RateLimit(PerTag):
    """At most so many samples in a second; more are left out, whatever they are.

    Counted is when they come, not which time they have. Each lane has a count of its
    own, so that a replay takes nothing from live values.

    Args:
        per_second: how many, on average.
        per: `tag` for each tag, `all` for all tags together.
        burst: how many may come at once after a pause; by default what comes in a
            second, and at least one.
        options: those of every node.

    Raises:
        Dropped: no sample is left.
        SettingsError: a number is not above 0, or the burst is less than 1.
    """

    why = "more than the rate allows"

    def __init__(
        self,
        per_second: float,
        per: str = "tag",
        *,
        burst: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        at_least("per_second", per_second, 0)
        if not per_second:
            raise SettingsError(
                "not a usable number", key="per_second", found=0, allowed="above 0"
            )
        at_least("burst", burst, 1)
        self._rate = per_second
        self._burst = max(per_second, 1.0) if burst is None else burst
        self._by_tag = one_of("per", per, ("tag", "all")) == "tag"
        self._lanes: dict[str, dict[Any, list[float]]] = {}

    async def start(self) -> None:
        await super().start()
        self._lanes.clear()

    def forget(self, tag: Tag) -> None:
        """A message that failed has come all the same."""
        return

    def _apart(self, samples: list[Sample], msg: Message) -> list[Sample]:
        states = self._lanes.setdefault(str(msg.meta["lane"]), {})
        turn = Turn(msg, None)
        self.select(samples, states, turn)
        return turn.out

    def select(
        self, samples: list[Sample], states: dict[Any, list[float]], turn: Turn
    ) -> None:
        now, rate, burst = clock.monotonic(), self._rate, self._burst
        by_tag = self._by_tag
        for sample in samples:
            key = sample.tag if by_tag else None
            state = states.get(key)
            if state is None:
                state = states[key] = [burst, now]
            elif state[1] != now:
                state[0] = min(burst, state[0] + (now - state[1]) * rate)
                state[1] = now
            if state[0] >= 1:
                state[0] -= 1
                turn.out.append(sample)


class Sampling(PerTag):
    """One sample of so many, or one in each interval, for each tag.

    Args:
        every: the first passes, and then each so many-th one.
        interval: seconds; of each interval the first sample passes. Intervals are
            those of the samples' own time and begin at 1970 UTC: 3600 gives the
            first one of each hour. What belongs to an interval that is over is left
            out.
        options: those of every node.

    Raises:
        Dropped: no sample is left.
        SettingsError: neither or both were given, or a number is not usable.
    """

    why = "not the one of its group"

    def __init__(
        self,
        every: int | None = None,
        *,
        interval: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if (every is None) is (interval is None):
            raise SettingsError(
                "one of two", key="every", found=every, allowed="every or interval"
            )
        at_least("every", every, 1)
        at_least("interval", interval, 1 / TICKS_PER_SECOND)
        self._every = every
        self._interval = int((interval or 1) * TICKS_PER_SECOND)

    def select(self, samples: list[Sample], states: dict[Any, int], turn: Turn) -> None:
        if self._every is not None:
            self._count(samples, states, turn.out, self._every)
            return
        interval, out = self._interval, turn.out
        for sample in samples:
            number = sample.ticks // interval
            if number > states.get(sample.tag, _BEFORE):
                states[sample.tag] = number
                out.append(sample)

    def _count(
        self,
        samples: list[Sample],
        states: dict[Any, int],
        out: list[Sample],
        every: int,
    ) -> None:
        for sample in samples:
            count = states.get(sample.tag, 0)
            if not count:
                out.append(sample)
            states[sample.tag] = (count + 1) % every
