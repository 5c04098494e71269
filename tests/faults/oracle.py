"""What has to be true after each scenario, whatever went wrong in it.

Each `check_...` method is one promise and tells in words where it was broken.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from tests.faults.simulated import Archived
from tests.faults.sink import Delivered

__all__ = ["Came", "Evidence", "Kept", "Oracle", "Span"]

SOON: Final = 60.0
"""Seconds after an outage, beside a tenth of it, in which all holes are closed."""
FUTURE: Final = "FORECAST"
"""How names of tags of the future end."""
_SHOWN: Final = 5
_EVER: Final = 2**63
_BOOKKEEPING: Final = 16 * 2**20

Events = dict[str, list[str]]
"""Tag -> event ids, in order."""


class Kept(NamedTuple):
    """One accepted message.

    Attributes:
        seq: its number in the journal.
        lane: where it was accepted.
        events: tag and event id of each sample, in order.
    """

    seq: int
    lane: str
    events: Sequence[tuple[str, str]]


class Span(NamedTuple):
    """What the archive holds of a tag in ranges that are said to be delivered."""

    tag: str
    archived: Sequence[Archived]


class Evidence(msgspec.Struct, kw_only=True):
    """What is known at the end of a scenario.

    Attributes:
        accepted: all messages, by number.
        lost: numbers of those that were called durable, and are not in the journal.
        aside: event id -> tag and ticks of what is a dead letter.
        delivered: what the sink has acknowledged, in order.
        covered: what the archive holds of all the time that is to be delivered.
        claimed: what it holds of the time that the ledger says was delivered.
        uncovered: tags of which the ledger has holes at the end.
        outages: when something failed, with the margins of the ledger, ticks; in
            order, and apart from each other.
        outage: for how many seconds in all.
        whole_after: how many seconds later the ledger had no holes.
        problems: what `pichannels store verify` says.
        restarts: how often the process ended without having settled all.
        unanswered: samples that the sink took without saying so.
        window: messages that may be unsettled in memory.
        peak, disk: bytes that the instance took at most.
        memory: bytes that it may take.
        budget: bytes that its messages may take.
    """

    accepted: list[Kept]
    lost: list[int]
    aside: dict[str, tuple[str, int]]
    delivered: list[Delivered]
    covered: list[Span]
    claimed: list[Span]
    uncovered: list[str]
    outages: list[tuple[int, int]]
    outage: float
    whole_after: float
    problems: list[str]
    restarts: int
    unanswered: int
    window: int
    peak: int
    disk: int
    memory: int
    budget: int


class Came:
    """What the sink has of each tag: times and values."""

    def __init__(self) -> None:
        self._of: dict[str, set[tuple[int, str]]] = defaultdict(set)
        self._count = 0

    def add(self, delivered: Sequence[Delivered]) -> None:
        """All that it has by now; what was added before is not looked at again."""
        for each in islice(delivered, self._count, None):
            self._of[each.tag].add((each.ticks, _comparable(each.value)))
        self._count = len(delivered)

    def missing(self, spans: Iterable[Span]) -> list[tuple[str, Archived]]:
        """Archived events of these ranges that have not come."""
        return [
            (span.tag, event)
            for span in spans
            for event in span.archived
            if (event.ticks, _comparable(event.value)) not in self._of[span.tag]
        ]


class Oracle:
    """Looks at the evidence."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._came = Came()
        self._came.add(evidence.delivered)

    def verdict(self) -> list[str]:
        """All that is wrong; nothing when the promises were kept."""
        return [
            *self.check_journal(),
            *self.check_acceptance(),
            *self.check_delivery(),
            *self.check_invention(),
            *self.check_order(),
            *self.check_duplicates(),
            *self.check_overlaps(),
            *self.check_archive(),
            *self.check_claims(),
            *self.check_repair(),
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

    def read_again(self) -> list[str]:
        """Event ids that were read from the archive though they had been accepted."""
        evidence, seen = self._evidence, set[str]()
        counts = Counter(i for m in evidence.accepted for _, i in m.events)
        for message in evidence.accepted:
            if message.lane == "repair":
                seen.update(i for _, i in message.events if counts[i] > 1)
        return sorted(seen)

    def check_overlaps(self) -> Iterable[str]:
        """What was read though it had come is near an outage (D).

        Of tags of the future all is read again: anything may have changed.
        """
        outages = self._evidence.outages
        at = {
            each.event_id: each.ticks
            for each in self._evidence.delivered
            if not each.tag.endswith(FUTURE)
        }
        odd = []
        for event_id in self.read_again():
            ticks = at.get(event_id)
            if ticks is None:
                continue
            # They do not overlap, so only the last that begins before it may have it.
            place = bisect_right(outages, (ticks, _EVER)) - 1
            if place < 0 or ticks >= outages[place][1]:
                odd.append(event_id)
        return _told("events were read again far from any outage", odd)

    def check_archive(self) -> Iterable[str]:
        """What the archive holds of the covered time has reached the sink (L)."""
        evidence = self._evidence
        aside = set(evidence.aside.values())
        missing = [
            _named(tag, event)
            for tag, event in self._came.missing(evidence.covered)
            if (tag, event.ticks) not in aside
        ]
        return _told("archived events of the covered time are missing", missing)

    def check_claims(self) -> Iterable[str]:
        """What the ledger says was delivered was (S)."""
        missing = self._came.missing(self._evidence.claimed)
        found = [_named(*each) for each in missing]
        return _told("archived events are claimed and have not come", found)

    def check_repair(self) -> Iterable[str]:
        """All holes are closed, and soon (R)."""
        evidence = self._evidence
        yield from _told("tags have holes", evidence.uncovered)
        if evidence.whole_after > (bound := SOON + evidence.outage / 10):
            yield (
                f"holes were there for {evidence.whole_after:.0f} s, where they may be"
                f" for {bound:.0f} s after outages of {evidence.outage:.0f} s"
            )

    def check_room(self) -> Iterable[str]:
        """Memory and disk stay within their bounds (M)."""
        evidence = self._evidence
        if evidence.peak > evidence.memory:
            yield f"{evidence.peak / 2**20:.0f} MiB of memory"
        if evidence.disk > 2 * evidence.budget + _BOOKKEEPING:
            yield (
                f"{evidence.disk / 2**20:.0f} MiB on disk with a budget of"
                f" {evidence.budget / 2**20:.0f} MiB"
            )


def _named(tag: str, event: Archived) -> str:
    return f"{tag} at {event.ticks} ({_comparable(event.value)})"


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
