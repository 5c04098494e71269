"""What a ledger says of a tag, and of all of them together.

At `now` each instant between a tag's origin and now is delivered, in flight, excluded
or in a hole; each is in one of them only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import msgspec

from pichannels.coverage.intervals import EMPTY, IntervalSet
from pichannels.coverage.labels import Label, Labels, explained, marked, ranges
from pichannels.coverage.ledger import Ledger
from pichannels.coverage.tags import TagState
from pichannels.values import OPEN_END

__all__ = [
    "Coverage",
    "Reason",
    "Totals",
    "coverage",
    "groups",
    "held_back",
    "holes",
    "totals",
]


class Coverage(msgspec.Struct, frozen=True):
    """What became of each instant of a tag.

    Attributes:
        state: what can be expected of the tag.
        delivered: everything in it has been settled.
        in_flight: received, or being received, and not settled.
        excluded: not to be delivered, with the reasons.
        holes: known not to be delivered, with the reasons and since when.
    """

    state: TagState
    delivered: IntervalSet
    in_flight: IntervalSet
    excluded: tuple[Label, ...]
    holes: tuple[Label, ...]


class Reason(msgspec.Struct):
    """Holes, or exclusions, that have one reason.

    Attributes:
        tags: how many have any.
        ticks: how long they are together.
        since: when the oldest was noticed, ticks.
    """

    tags: int = 0
    ticks: int = 0
    since: int = OPEN_END

    def add(self, labels: Iterable[Label], count: int) -> None:
        """So many tags have these."""
        self.tags += count
        for label in labels:
            self.ticks += (label.end - label.start) * count
            self.since = min(self.since, label.since)


class Totals(msgspec.Struct):
    """All tags of a channel together; times in ticks, summed over the tags.

    Attributes:
        tags: how many.
        states: how many of them are in each state.
        delivered, in_flight: how long.
        holes, excluded: by reason.
        messages: how many are in flight.
        worked_out: for how many different tags it was worked out.
    """

    tags: int
    states: dict[TagState, int]
    delivered: int = 0
    in_flight: int = 0
    holes: dict[str, Reason] = {}
    excluded: dict[str, Reason] = {}
    messages: int = 0
    worked_out: int = 0


def coverage(
    ledger: Ledger,
    tag: int,
    now: int,
    end: int | None = None,
    *,
    is_held: bool = True,
) -> Coverage:
    """What became of each instant of a tag from its origin on.

    Args:
        ledger: what happened.
        tag: its number.
        now: the server's time, ticks.
        end: where to stop instead of now; by default a tag of the future is told of
            to the end of time.
        is_held: False for what would be without the holds of this very tag, which
            change nothing in its holes.
    """
    past, state = ledger.tags.pasts[tag], ledger.tags.state(tag)
    if end is None:
        end = OPEN_END if ledger.tags.is_future(tag) else now
    start = past.origin
    claimed = ledger.claimed(tag, is_held=is_held).within(start, end)
    received = ledger.received(tag, now).within(start, end)
    labels = _excluded(ledger, tag)
    excluded = ranges(labels).within(start, end) if labels else EMPTY
    missing = claimed.union(received).union(excluded).gaps(start, end)
    return Coverage(
        state,
        claimed.difference(excluded),
        received.difference(claimed).difference(excluded),
        tuple(explained(excluded, labels, start)),
        tuple(explained(missing, past.reasons, start)),
    )


def holes(ledger: Ledger, tag: int, now: int) -> tuple[Label, ...]:
    """The holes of a tag, the oldest first."""
    return coverage(ledger, tag, now).holes


def _excluded(ledger: Ledger, tag: int) -> Labels:
    labels = ledger.tags.pasts[tag].excluded
    for label in ledger.dead.labels(tag):
        labels = marked(labels, label)
    return labels


def groups(ledger: Ledger, tags: Iterable[int] | None = None) -> Iterator[list[int]]:
    """Tags (or all) together that are the same but for what is held back of each."""
    table, dead = ledger.tags, ledger.dead.tags
    numbers = list(range(len(table)) if tags is None else tags)
    # Pasts and rows of segments are shared, so their ids tell.
    keys = zip(
        map(id, map(table.pasts.__getitem__, numbers)),
        map(id, map(ledger.rows.__getitem__, numbers)),
        map(table.codes.__getitem__, numbers),
        strict=True,
    )
    found: dict[tuple[int, int, int], list[int]] = {}
    last = (0, 0, 0)
    same: list[int] = []
    for tag, key in zip(numbers, keys, strict=True):
        if key != last:
            last, same = key, found.setdefault(key, [])
        same.append(tag)
    for same in found.values():
        if dead or table.futures:
            yield from _apart(same, dead, table.futures)
        else:
            yield same


def _apart(
    tags: list[int], dead: Collection[int], futures: Collection[int]
) -> Iterator[list[int]]:
    """Tags of dead letters each alone, those of the future apart from the others."""
    yield from ([tag] for tag in tags if tag in dead)
    rest = [tag for tag in tags if tag not in dead]
    for same in (
        [tag for tag in rest if tag in futures],
        [tag for tag in rest if tag not in futures],
    ):
        if same:
            yield same


def totals(ledger: Ledger, now: int) -> Totals:
    """All tags of a channel, up to now."""
    result = Totals(len(ledger.tags), {}, messages=len(ledger.flight.messages))
    for tags in groups(ledger):
        one = coverage(ledger, tags[0], now, now, is_held=False)
        _add(result, one, len(tags))
    held = sum(held_back(ledger, tag, 0, now) for tag in ledger.flight.tags)
    result.delivered -= held
    result.in_flight += held
    return result


def held_back(ledger: Ledger, tag: int, start: int, end: int) -> int:
    """How much of a range would be delivered of a tag but for its own holds.

    Args:
        ledger: what happened.
        tag: its number.
        start, end: the range, ticks.
    """
    past, ends, known = ledger.tags.pasts[tag], [], 0
    for segment in ledger.segments_of(tag):
        edge = ledger.edge(segment, tag)
        if edge < segment.reach:
            ends.append((edge, segment.reach))
        else:
            known = max(known, segment.reach)
    if not ends:
        return 0
    is_plain = not (past.denied or past.excluded or ledger.dead.concern(tag))
    if is_plain and len(ends) == 1:
        ((edge, reach),) = ends
        # Where nothing else was delivered after that, there is no more to it.
        if max(known, past.origin, past.delivered.last or edge) <= edge:
            return max(min(reach, end) - max(edge, start), 0)
    free = ledger.claimed(tag, is_held=False).difference(ledger.claimed(tag))
    excluded = ranges(_excluded(ledger, tag))
    return free.difference(excluded).within(max(past.origin, start), end).total


def _add(result: Totals, one: Coverage, count: int) -> None:
    result.worked_out += 1
    result.states[one.state] = result.states.get(one.state, 0) + count
    result.delivered += one.delivered.total * count
    result.in_flight += one.in_flight.total * count
    for labels, reasons in (
        (one.holes, result.holes),
        (one.excluded, result.excluded),
    ):
        for reason in {label.reason for label in labels}:
            same = [label for label in labels if label.reason == reason]
            reasons.setdefault(reason, Reason()).add(same, count)
