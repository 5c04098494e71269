"""What has to be true after each scenario, whatever went wrong in it.

Each `check_...` method is one promise and tells in words where it was broken.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from tests.faults.simulated import Archived
from tests.faults.sink import Delivered

__all__ = ["Evidence", "Kept", "Oracle", "Span"]

MEMORY: Final = 400 * 2**20
"""Bytes that an instance with 1,000 tags may have."""
_SHOWN: Final = 5
_BOOKKEEPING: Final = 16 * 2**20

Events = dict[str, list[str]]
"""Tag -> event ids, in order."""


class Kept(NamedTuple):
    """One accepted message.

    Attributes:
        seq: its number in the journal.
        events: tag and event id of each sample, in order.
    """

    seq: int
    events: Sequence[tuple[str, str]]


class Span(NamedTuple):
    """What the archive holds of a tag in a range that is said to be delivered."""

    tag: str
    archived: Sequence[Archived]


class Evidence(msgspec.Struct, kw_only=True):
    """What is known at the end of a scenario.

    Attributes:
        accepted: all messages, by number.
        lost: numbers of those that were called durable, and are not in the journal.
        aside: event id -> tag and ticks of what is a dead letter.
        delivered: what the sink has acknowledged, in order.
        spans: ranges in which nothing may be missing.
        problems: what `pichannels store verify` says.
        restarts: how often the process ended without having settled all.
        unanswered: samples that the sink took without saying so.
        window: messages that may be unsettled in memory.
        peak, disk: bytes that the instance took at most.
        budget: bytes that its messages may take.
    """

    accepted: list[Kept]
    lost: list[int]
    aside: dict[str, tuple[str, int]]
    delivered: list[Delivered]
    spans: list[Span]
    problems: list[str]
    restarts: int
    unanswered: int
    window: int
    peak: int
    disk: int
    budget: int


class Oracle:
    """Looks at the evidence."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    def verdict(self) -> list[str]:
        """All that is wrong; nothing when the promises were kept."""
        return [
            *self.check_journal(),
            *self.check_acceptance(),
            *self.check_delivery(),
            *self.check_invention(),
            *self.check_order(),
            *self.check_duplicates(),
            *self.check_archive(),
            *self.check_room(),
        ]

    def check_journal(self) -> Iterable[str]:
        """The journal is sound."""
        return [f"journal: {problem}" for problem in self._evidence.problems]

    def check_acceptance(self) -> Iterable[str]:
        """What was called durable is in the journal, unchanged."""
        lost = [str(seq) for seq in self._evidence.lost]
        return _told("messages called durable are not in the journal", lost)

    def check_delivery(self) -> Iterable[str]:
        """What was accepted has reached the sink, or is a dead letter."""
        come = {each.event_id for each in self._evidence.delivered}
        lost = [
            event_id
            for message in self._evidence.accepted
            for _, event_id in message.events
            if event_id not in come and event_id not in self._evidence.aside
        ]
        return _told("accepted events did not reach the sink", lost)

    def check_invention(self) -> Iterable[str]:
        """Nothing has reached the sink that was not accepted."""
        known = {i for message in self._evidence.accepted for _, i in message.events}
        odd = [d.event_id for d in self._evidence.delivered if d.event_id not in known]
        return _told("delivered events were never accepted", odd)

    def check_order(self) -> Iterable[str]:
        """For each tag: in order, and after an interruption in order again (O).

        Then everything comes again from some earlier event on, with none left out.
        """
        expected = self._expected()
        found: dict[str, list[Delivered]] = defaultdict(list)
        for each in self._evidence.delivered:
            found[each.tag].append(each)
        wrong = [
            problem
            for tag, deliveries in found.items()
            if (problem := self._first_wrong(expected.get(tag, []), deliveries))
        ]
        return _told("tags came out of order", wrong)

    def _first_wrong(
        self, expected: Sequence[str], deliveries: Sequence[Delivered]
    ) -> str | None:
        """Where the deliveries of a tag do not follow what was accepted.

        An event may be accepted several times, as each connection begins with
        current values; so all places are followed at which the sink may be.
        """
        places: dict[str, list[int]] = defaultdict(list)
        for place, event_id in enumerate(expected):
            places[event_id].append(place)
        next_ones, run, furthest = self._behind(expected, 0), None, 0
        for each in deliveries:
            again = each.run != run
            found = [
                place
                for place in places.get(each.event_id, [])
                if place in next_ones or (again and place < furthest)
            ]
            if not found:
                return f"{each.tag} at {each.event_id}"
            next_ones = {n for p in found for n in self._behind(expected, p + 1)}
            furthest, run = max(furthest, *next_ones), each.run
        return None

    def _behind(self, expected: Sequence[str], place: int) -> set[int]:
        """The places that may come next: dead letters are left out, or not."""
        found = {place}
        while place < len(expected) and expected[place] in self._evidence.aside:
            place += 1
            found.add(place)
        return found

    def _expected(self) -> Events:
        expected: Events = defaultdict(list)
        for message in self._evidence.accepted:
            for tag, event_id in message.events:
                expected[tag].append(event_id)
        return expected

    def check_duplicates(self) -> Iterable[str]:
        """What came more often than it was accepted is bounded by the window (D)."""
        evidence = self._evidence
        sizes = [len(message.events) for message in evidence.accepted]
        bound = evidence.unanswered + evidence.restarts * _most_within(
            sizes, evidence.window
        )
        if (twice := self.duplicates()) > bound:
            return [f"{twice} duplicates where at most {bound} may be"]
        return []

    def duplicates(self) -> int:
        """Deliveries beyond one for each acceptance."""
        come = Counter(each.event_id for each in self._evidence.delivered)
        accepted = Counter(i for m in self._evidence.accepted for _, i in m.events)
        return sum(max(count - accepted[i], 0) for i, count in come.items())

    def check_archive(self) -> Iterable[str]:
        """What the archive holds of a covered range has reached the sink (L)."""
        missing = self.missing(self._evidence.spans)
        return _told("archived events of a covered range are missing", missing)

    def missing(self, spans: Iterable[Span]) -> list[str]:
        """Archived events of these ranges that have not reached the sink."""
        come: dict[str, set[tuple[int, str]]] = defaultdict(set)
        for each in self._evidence.delivered:
            come[each.tag].add((each.ticks, _comparable(each.value)))
        aside = set(self._evidence.aside.values())
        return [
            f"{span.tag} at {event.ticks} ({_comparable(event.value)})"
            for span in spans
            for event in span.archived
            if (event.ticks, _comparable(event.value)) not in come[span.tag]
            and (span.tag, event.ticks) not in aside
        ]

    def check_room(self) -> Iterable[str]:
        """Memory and disk stay within their bounds (M)."""
        evidence = self._evidence
        if evidence.peak > MEMORY:
            yield f"{evidence.peak / 2**20:.0f} MiB of memory"
        if evidence.disk > 2 * evidence.budget + _BOOKKEEPING:
            yield (
                f"{evidence.disk / 2**20:.0f} MiB on disk with a budget of"
                f" {evidence.budget / 2**20:.0f} MiB"
            )


def _told(what: str, found: list[str]) -> list[str]:
    if not found:
        return []
    more = ", ..." if len(found) > _SHOWN else ""
    return [f"{len(found)} {what}: {', '.join(found[:_SHOWN])}{more}"]


def _most_within(sizes: Sequence[int], window: int) -> int:
    """The most samples in so many messages that follow each other."""
    total = most = 0
    for place, size in enumerate(sizes):
        total += size - (sizes[place - window] if place >= window else 0)
        most = max(most, total)
    return most


def _comparable(value: Any) -> str:
    """A value in the words of both the archive and the sink."""
    if isinstance(value, dict):
        return str(value.get("Name") or value.get("name"))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(float(value))
    return str(value)
