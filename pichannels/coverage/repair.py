"""What to read from the archive next, so that holes close.

The newest hole comes first, unless ranks say otherwise; inside a hole time goes
forward, so that what is read of a tag comes in order. Tags with the same hole are read
together. A range joins what is delivered when the archive has given all of it and every
message of it is settled.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from pichannels.coverage.intervals import EMPTY, Interval, IntervalSet
from pichannels.coverage.ledger import Ledger
from pichannels.coverage.tags import TagState
from pichannels.coverage.views import coverage, groups
from pichannels.errors import TryAgain
from pichannels.retry import RetryPolicy
from pichannels.values import OPEN_END, TICKS_PER_SECOND

__all__ = ["LOST_AT_SOURCE", "Failure", "Plan", "Planner", "Ranked", "Read"]

LOST_AT_SOURCE: Final = "lost at source"

Failure: TypeAlias = Literal[
    "again", "refused", "too many", "no access", "unresolved", "gone"
]
"""Why a read failed: the server cannot answer now; it refuses the request, maybe for
one of the tags; the answer would be too large; the tags are not for us, or not known;
the archive does not have that time any more."""

_HOUR: Final = 3600 * TICKS_PER_SECOND
_STATES: Final[dict[Failure, TagState]] = {
    "no access": TagState.NO_ACCESS,
    "unresolved": TagState.UNRESOLVED,
}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How holes are read; times in ticks.

    Attributes:
        tags: in one read, at most.
        reads: under way or not settled, at most.
        items: values that a read should have, roughly; how long a time it is for
            follows from what earlier ones had.
        span: how long the first read of a hole is, at most.
        longest: how long any is, at most.
        overlap: how much is read before and after what is missing.
        patience: how long a hole that reaches the present grows before it is read.
        rescan: how often holes are looked for while there are any.
        retry: when a tag whose read failed is tried again; never given up.
    """

    tags: int = 500
    reads: int = 16
    items: int = 50_000
    span: int = _HOUR
    longest: int = 31 * 24 * _HOUR
    overlap: int = TICKS_PER_SECOND
    patience: int = 60 * TICKS_PER_SECOND
    rescan: int = 2 * TICKS_PER_SECOND
    retry: RetryPolicy = RetryPolicy(attempts=0, initial=5.0, maximum=600.0)


class Ranked(NamedTuple):
    """What is to be read before or after all else.

    Attributes:
        rank: above 0 before, below 0 after.
        tags: of which tags, by number.
        spans: which ranges, ticks.
    """

    rank: int
    tags: frozenset[int]
    spans: IntervalSet


class Read(msgspec.Struct, frozen=True):
    """One range of the archive that is to be read now.

    Attributes:
        id: its number.
        tags: of which tags, by number.
        start, end: what is missing, ticks; the end is not in it.
        first, last: from when to when to read; both are in it.
        until: where the hole ends.
        asked: when it was planned, by the server's time.
    """

    id: int
    tags: tuple[int, ...]
    start: int
    end: int
    first: int
    last: int
    until: int
    asked: int


class _Open(msgspec.Struct):
    """A read that is under way, or whose messages are not settled."""

    read: Read
    tags: set[int]
    messages: set[int]
    is_answered: bool = False


class _Work(NamedTuple):
    """A hole that tags have in common; the newest one of a rank sorts first."""

    after: int
    """The rank, negative."""
    before: int
    """The end, negative."""
    parts: int
    start: int
    number: int
    tags: tuple[int, ...]


class Planner:
    """Plans the reads of one ledger.

    Args:
        ledger: whose holes.
        plan: how.
        rng: for the jitter of waits; 0 to 1.
    """

    def __init__(
        self,
        ledger: Ledger,
        plan: Plan | None = None,
        rng: Callable[[], float] = random.random,
    ) -> None:
        self._ledger = ledger
        self._plan = plan or Plan()
        self._rng = rng
        self._open: dict[int, _Open] = {}
        self._read_of: dict[int, int] = {}
        self._reads_of: dict[int, tuple[int, ...]] = {}
        self._busy: set[int] = set()
        self._attempts: dict[int, int] = {}
        self._parts: dict[int, int] = {}
        self._not_before: dict[int, int] = {}
        self._spans: dict[int, int] = {}
        self._work: list[_Work] = []
        self._ranked: Sequence[Ranked] = ()
        self._numbers = 0
        self._scanned: int | None = None
        self._idle: int | None = None
        self.scans = 0
        """How often all tags were looked at."""

    def __len__(self) -> int:
        """How many reads are under way or not settled."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """How many tags wait after a failure."""
        return len(self._not_before)

    # What next

    def next(self, now: int) -> Read | None:
        """The next read, or None if there is nothing to read or enough under way.

        Args:
            now: the server's time, ticks.
        """
        if len(self._open) >= self._plan.reads:
            return None
        if self._is_due(now):
            self._scan(now)
        while self._work:
            read = self._planned(heappop(self._work), now)
            if read is not None:
                return read
        return None

    def rank(self, ranked: Iterable[Ranked]) -> None:
        """Read these before or after all else from now on, and no others."""
        self._ranked = sorted(ranked, key=lambda one: one.rank, reverse=True)
        self.look_again()

    def look_again(self) -> None:
        """What is to be read has changed; forget what was planned before."""
        self._scanned = None
        self._work = []

    def _is_due(self, now: int) -> bool:
        """Whether to look for holes; where there were none, only now and then."""
        if self._scanned is None:
            return True
        is_idle = self._idle == self._ledger.version
        every = self._plan.patience if is_idle else self._plan.rescan
        return not 0 <= now - self._scanned < every

    def _scan(self, now: int) -> None:
        """Look for the newest hole of each tag."""
        self._scanned = now
        self.scans += 1
        self._not_before = {t: at for t, at in self._not_before.items() if at > now}
        self._idle = self._ledger.version
        self._work = self._found(None, now)
        heapify(self._work)

    def _found(self, among: Iterable[int] | None, now: int) -> list[_Work]:
        """The newest hole of each tag, those that are the same together."""
        found: dict[tuple[int, Interval, int], list[int]] = {}
        for tags in groups(self._ledger, among):
            missing = self._missing(tags[0], now)
            known: dict[object, tuple[int, Interval] | None] = {}
            for tag in tags if missing else ():
                if tag in self._busy or tag in self._not_before:
                    continue
                reads = self._reads_of.get(tag, ())
                ranked = [one for one in self._ranked if tag in one.tags]
                key = (reads, tuple(map(id, ranked)))
                if key not in known:
                    known[key] = self._first(missing, reads, ranked)
                if (first := known[key]) is not None:
                    same = (*first, self._parts.get(tag, 0))
                    found.setdefault(same, []).append(tag)
        return [
            _Work(-rank, -end, parts, start, self._number(), tuple(tags))
            for (rank, (start, end), parts), tags in found.items()
        ]

    def _first(
        self, missing: IntervalSet, reads: Iterable[int], ranked: Sequence[Ranked]
    ) -> tuple[int, Interval] | None:
        """The last of what is missing and not read already, of the highest rank."""
        for number in reads:
            read = self._open[number].read
            missing = missing.remove(read.start, read.end)
        for rank, some in _by_rank(missing, ranked):
            if some:
                return rank, list(some)[-1]
        return None

    def _missing(self, tag: int, now: int) -> IntervalSet:
        """What can be read of the holes of a tag."""
        ledger = self._ledger
        if not ledger.tags.state(tag).is_readable:
            return EMPTY
        end = now - ledger.margins.settle
        if ledger.tags.is_future(tag) and any(
            each.cut is None and each.start <= now
            for each in ledger.subscriptions_of(tag)
        ):
            end = OPEN_END
        holes = IntervalSet(
            [x[:2] for x in coverage(ledger, tag, now, is_held=False).holes]
        )
        if holes:
            self._idle = None
        return _bridged(
            (
                (start, min(to, end))
                for start, to in holes
                if to <= end or end - start >= self._plan.patience
            ),
            2 * self._plan.overlap,
        )

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _planned(self, work: _Work, now: int) -> Read | None:
        # Of tags that were refused together, fewer and fewer are read together, until
        # the one that is the cause is alone.
        most = max(1, self._plan.tags >> work.parts)
        tags: list[int] = []
        for place, tag in enumerate(work.tags):
            if len(tags) == most:
                rest = work._replace(number=self._number(), tags=work.tags[place:])
                heappush(self._work, rest)
                break
            if self._is_free(tag):
                tags.append(tag)
        return self._begun(tags, work.start, -work.before, now) if tags else None

    def _is_free(self, tag: int) -> bool:
        if tag in self._busy or tag in self._not_before:
            return False
        return self._ledger.tags.state(tag).is_readable

    def _begun(self, tags: Iterable[int], start: int, until: int, now: int) -> Read:
        tags = tuple(tags)
        span = min(self._spans.get(tag, self._plan.span) for tag in tags)
        end = min(until, start + span)
        if until == OPEN_END:
            # Beyond the present there is no telling how much; it is read at once,
            # with the little that has passed since what was before was planned.
            present = now - self._ledger.margins.settle
            is_last = present - start < self._plan.patience
            end = OPEN_END if is_last else min(end, present)
        overlap = self._plan.overlap
        last = min(end - 1 + overlap, OPEN_END)
        number = self._number()
        read = Read(number, tags, start, end, start - overlap, last, until, now)
        self._open[number] = _Open(read, set(tags), set())
        self._busy.update(tags)
        for tag in tags:
            self._reads_of[tag] = (*self._reads_of.get(tag, ()), number)
        return read

    # What came of it

    def took(self, read: int, message: int) -> None:
        """A message with values of the read was accepted."""
        found = self._open.get(read)
        if found is not None:
            found.messages.add(message)
            self._read_of[message] = read

    def answered(self, read: int, count: int, now: int) -> None:
        """The archive has given all that it has in the range.

        Args:
            read: which one; all of its messages were told of by `took`.
            count: how many values there were.
            now: the server's time, ticks.
        """
        found = self._open.get(read)
        if found is None or found.is_answered:
            return
        found.is_answered = True
        self._busy -= found.tags
        self._learn(found, count)
        tags = sorted(found.tags)
        self._finish(found)
        # What follows in these tags needs no look at all the others.
        for work in self._found(tags, now):
            heappush(self._work, work)

    def _learn(self, found: _Open, count: int) -> None:
        """Read more at once where there was little, less where there was much."""
        read, plan = found.read, self._plan
        span = max(read.end - read.start, 1)
        if count > plan.items:
            span //= 2
        elif count * 4 <= plan.items:
            span = min(span * 2, plan.longest)
        for tag in found.tags:
            self._attempts.pop(tag, None)
            self._parts.pop(tag, None)
            if read.end < read.until:
                self._spans[tag] = max(span, 1)
            else:
                self._spans.pop(tag, None)

    def settled(self, message: int) -> bool:
        """A message is settled, or was given up; whether it was one of a read."""
        number = self._read_of.pop(message, None)
        found = None if number is None else self._open.get(number)
        if found is not None:
            found.messages.discard(message)
            self._finish(found)
        return number is not None

    def _finish(self, found: _Open) -> None:
        """A read is over when it was answered and all of its messages are settled."""
        if not found.is_answered or found.messages:
            return
        read = found.read
        self._ledger.joined(sorted(found.tags), read.start, read.end, read.asked)
        self._release(found, found.tags)

    def failed(
        self, read: int, kind: Failure, now: int, tags: Collection[int] = ()
    ) -> None:
        """The archive did not give all, or nothing, of the range.

        Args:
            read: which one.
            kind: why.
            now: the server's time, ticks.
            tags: those that failed, where the read goes on for others; none means
                all of them.
        """
        found = self._open.get(read)
        if found is None or found.is_answered:
            return
        failed = found.tags.intersection(tags) if tags else set(found.tags)
        start, end = found.read.start, found.read.end
        self._busy -= failed
        self._release(found, failed)
        if kind == "gone":
            self._ledger.exclude(sorted(failed), start, end, LOST_AT_SOURCE, now)
        elif kind in _STATES:
            self._ledger.set_state(sorted(failed), _STATES[kind], now)
        elif kind == "too many":
            self._shrink(failed, end - start)
        else:
            self._wait(failed, now, kind == "refused")

    def given_back(self, read: int) -> None:
        """Nobody reads the range any more; it may be planned again at once."""
        found = self._open.get(read)
        if found is None or found.is_answered:
            return
        self._busy -= found.tags
        self._release(found, set(found.tags))
        self._scanned = None

    def _shrink(self, tags: Iterable[int], span: int) -> None:
        """Read less at once: a shorter time, and fewer tags when that is very short."""
        for tag in tags:
            self._spans[tag] = max(span // 2, 1)
            if span <= TICKS_PER_SECOND:
                self._parts[tag] = self._parts.get(tag, 0) + 1
        self._scanned = None

    def _wait(self, tags: Iterable[int], now: int, is_divided: bool) -> None:
        for tag in tags:
            self._parts[tag] = self._parts.get(tag, 0) + is_divided
            attempt = self._attempts[tag] = self._attempts.get(tag, 0) + 1
            delay = self._plan.retry.delay(attempt, TryAgain(), self._rng) or 0.0
            self._not_before[tag] = now + int(delay * TICKS_PER_SECOND)

    def _release(self, found: _Open, tags: Collection[int]) -> None:
        """The range is nobody's for these tags."""
        number = found.read.id
        for tag in tags:
            left = tuple(each for each in self._reads_of.pop(tag) if each != number)
            if left:
                self._reads_of[tag] = left
        found.tags = found.tags.difference(tags)
        if not found.tags:
            del self._open[number]
            for message in found.messages:
                self._read_of.pop(message, None)


def _by_rank(
    missing: IntervalSet, ranked: Sequence[Ranked]
) -> Iterator[tuple[int, IntervalSet]]:
    """What is missing of each rank, the highest first."""
    others = missing
    for one in ranked:
        others = others.difference(one.spans)
    for one in ranked:
        if one.rank > 0:
            yield one.rank, missing.intersection(one.spans)
    yield 0, others
    for one in ranked:
        if one.rank <= 0:
            yield one.rank, missing.intersection(one.spans)


def _bridged(holes: Iterable[Interval], gap: int) -> IntervalSet:
    """Holes, those together between which there is so little that all of it is read.

    Dead letters are such gaps: without this each tag that has some would have holes
    of its own, and be read alone.
    """
    found: list[Interval] = []
    for start, end in holes:
        if found and start - found[-1][1] <= gap:
            start = found.pop()[0]
        found.append((start, end))
    return IntervalSet(found)
