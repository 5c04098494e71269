"""The ledger of one channel: facts come in, what is delivered follows from them.

It claims too little rather than too much: a range is delivered only when everything
that PI's archive holds in it has been settled.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Literal, TypeAlias

from pichannels.coverage.dead import DEAD, DeadLetters
from pichannels.coverage.flight import Flight
from pichannels.coverage.holding import Holding, edge
from pichannels.coverage.intervals import IntervalSet
from pichannels.coverage.labels import Label
from pichannels.coverage.margins import Margins
from pichannels.coverage.segments import Segment
from pichannels.coverage.tags import Past, TagState, TagTable
from pichannels.errors import UsageError
from pichannels.manifest import ManifestEntry
from pichannels.values import NO_DATA, OPEN_END

__all__ = ["Lane", "Ledger", "Margins"]

Lane: TypeAlias = Literal["live", "late", "correction", "delete"]


class Ledger:
    """What happened to the tags of a channel.

    Facts have to come in the order in which they happened on each PI channel. Times
    are the server's, in ticks. A message counts from when it is durable.

    Args:
        margins: how careful it is.

    Attributes:
        tags: the tags, by number.
        flight: the messages that are not settled.
        segments: the subscriptions that are open, or not yet over for all tags.
        rows: those of each tag; equal ones are shared.
        dead: messages that were given up.
        is_urgent: whether something was learned that has to be saved at once, since
            without it too much would be claimed after a crash.
        version: grows with each change of holes.
    """

    def __init__(self, margins: Margins | None = None) -> None:
        self.margins = margins or Margins()
        self.tags = TagTable()
        self.flight = Flight()
        self.segments: dict[int, Segment] = {}
        self.dead = DeadLetters()
        self.changed_segments: set[int] = set()
        self.is_urgent = False
        self.version = 0
        self._open: dict[str, Segment] = {}
        self.rows: list[tuple[Segment, ...]] = []
        self._next_segment = 0

    # Tags

    def add_tag(self, key: str, origin: int, *, is_future: bool = False) -> int:
        """The number of a tag; a new one is to be covered from `origin` on.

        Args:
            key: as in manifests.
            origin: ticks.
            is_future: whether it has timestamps of the future; it stays so.
        """
        tag = self.tags.add(key, origin, is_future)
        if tag == len(self.rows):
            self.rows.append(())
            self.version += 1
        return tag

    def add_tags(self, keys: Iterable[str], origin: int) -> None:
        """`add_tag` for many, which are to be covered from the same time on."""
        new = self.tags.add_all(keys, origin)
        self.rows += [()] * len(new)
        self.version += bool(new)

    def set_state(self, tags: Collection[int], state: TagState, at: int) -> None:
        """Tell what can be expected of tags from `at` on.

        Static ones are excluded wholly, removed ones from then on; the holes of tags
        without access or WebID are called so. A tag of the future stays one.
        """

        def rule(past: Past) -> Past:
            for label in past.excluded:
                if label.reason in (TagState.STATIC, TagState.REMOVED):
                    start = label.start if label.reason == TagState.STATIC else at
                    past = past.with_again(max(start, label.start), label.end)
            if state in (TagState.STATIC, TagState.REMOVED):
                start = past.origin if state is TagState.STATIC else at
                return past.without(Label(start, OPEN_END, state.value, at))
            if not state.is_readable:
                return past.explained(Label(at, OPEN_END, state.value, at))
            return past

        self.tags.change(tags, rule)
        for tag in tags:
            self.tags.set_state(tag, state)
        self.version += 1

    def segments_of(self, tag: int) -> tuple[Segment, ...]:
        """What subscriptions give or have given of a tag, where that is not over."""
        return () if self.tags.is_future(tag) else self.rows[tag]

    def subscriptions_of(self, tag: int) -> tuple[Segment, ...]:
        """The same, of tags of the future as well."""
        return self.rows[tag]

    # PI channels

    @property
    def open_segments(self) -> Collection[Segment]:
        """The subscriptions that are open."""
        return self._open.values()

    def subscribed(self, sub: str, tags: Iterable[int], server_time: int) -> None:
        """A PI channel is open; what it gives is connected to nothing before.

        Raises:
            UsageError: it is open already; tell of its loss first.
        """
        if sub in self._open:
            raise UsageError(f"PI channel {sub!r} is open; tell of its loss first")
        segment = Segment(
            self._new_id(), server_time + self.margins.ahead, tags, self.margins.settle
        )
        segment.watermark = server_time
        self.attach(segment)
        self._open[sub] = segment
        self.version += 1

    def _new_id(self) -> int:
        self._next_segment += 1
        return self._next_segment - 1

    def attach(self, segment: Segment) -> None:
        """Count a segment to its tags."""
        self._next_segment = max(self._next_segment, segment.id + 1)
        self.segments[segment.id] = segment
        self.changed_segments.add(segment.id)
        self._replace(segment.tags, None, segment)

    def _replace(
        self, tags: Iterable[int], old: Segment | None, new: Segment | None
    ) -> None:
        """Tags have one segment instead of another; equal rows are shared."""
        of = self.rows
        made: dict[tuple[Segment, ...], tuple[Segment, ...]] = {}
        for tag in tags:
            row = of[tag]
            if row not in made:
                left = tuple(each for each in row if each is not old)
                made[row] = left if new is None else (*left, new)
            of[tag] = made[row]

    def heartbeat(self, sub: str, server_time: int) -> None:
        """The PI channel is alive and had given all that it had.

        Args:
            sub: the PI channel; one that is not open changes nothing.
            server_time: when the heartbeat was received, however long it waited.
        """
        segment = self._open.get(sub)
        if segment is not None:
            segment.heard(server_time)

    def arrived(
        self,
        sub: str,
        message: int,
        entries: Iterable[ManifestEntry],
        server_time: int,
    ) -> None:
        """A message of a PI channel was accepted.

        Args:
            sub: the PI channel.
            message: its number in the journal, where it is durable.
            entries: its manifest.
            server_time: when the last of it was received, however long it waited:
                what came later is not in it.
        """
        self.hold(message, entries)
        self.heartbeat(sub, server_time)

    def hold(
        self,
        message: int,
        entries: Iterable[ManifestEntry],
        numbers: Mapping[str, int] | None = None,
    ) -> None:
        """Hold tags back until a message is settled.

        Args:
            message: its number in the journal.
            entries: its manifest.
            numbers: of the tags, where its keys are not those of the ledger.
        """
        if message in self.flight.messages:
            return
        is_exact = self.flight.entries < self.margins.exact
        holding = Holding(self.flight, self.rows, is_exact)
        number = self.tags.get if numbers is None else numbers.get
        holding.take(entries, number, self.tags.futures)
        self.flight.add(message, holding.holds, holding.reaches)
        for segment, at in holding.coarse.items():
            segment.hold_all(message, at)

    def edge(self, segment: Segment, tag: int) -> int:
        """Up to when a segment is delivered for a tag."""
        return edge(self.flight, segment, tag, segment.reach)

    def lost(
        self,
        sub: str,
        reason: str,
        at: int,
        *,
        since: int | None = None,
        tags: Collection[int] | None = None,
    ) -> None:
        """A PI channel is lost: what it gave is cut back to what is certain.

        Args:
            sub: the PI channel; one that is not open changes nothing.
            reason: `network`, `silence`, `backpressure`, `marker`, `decode`, ...
            at: when it was noticed.
            since: when, by the server's time, something may have been lost first, if
                that is before the last thing heard.
            tags: those that it is lost for; the others go on. None means all.
        """
        segment = self._open.get(sub)
        if segment is None:
            return
        leaving = frozenset(segment.tags)
        if tags is not None:
            leaving &= frozenset(tags)
            if not leaving:
                return
        heard = segment.watermark if since is None else min(since, segment.watermark)
        certain = heard - self.margins.settle - self.margins.overlap
        self.is_urgent |= since is not None
        self._end(sub, segment, leaving, certain, reason, at)

    def unsubscribed(self, sub: str, reason: str, at: int) -> None:
        """A PI channel was closed in order; nothing of what it gave is in doubt."""
        segment = self._open.get(sub)
        if segment is not None:
            tags = frozenset(segment.tags)
            self._end(sub, segment, tags, segment.received, reason, at)

    def _end(
        self,
        sub: str,
        segment: Segment,
        leaving: frozenset[int],
        certain: int,
        reason: str,
        at: int,
    ) -> None:
        if len(leaving) < len(segment.tags):
            segment = self._split(segment, leaving)
        else:
            del self._open[sub]
        self.end(segment, certain, reason, at)

    def end(
        self, segment: Segment, certain: int, reason: str | None = None, at: int = 0
    ) -> None:
        """A segment gives nothing more; it is over when its messages are settled.

        Args:
            segment: which one.
            certain: up to when nothing of what it gave is in doubt.
            reason: of the hole that begins there, unless that is known already.
            at: when that was noticed.
        """
        segment.cut = cut = max(segment.start, certain)
        self.changed_segments.add(segment.id)
        if reason is not None:
            label = Label(cut, OPEN_END, reason, at)
            self.tags.change(segment.tags, lambda past: past.explained(label))
        self._cut_future(segment, certain, reason, at)
        self._close(segment)
        self.version += 1

    def _split(self, segment: Segment, leaving: frozenset[int]) -> Segment:
        self.changed_segments.add(segment.id)
        child = segment.split(self._new_id(), leaving)
        self.flight.adopt(segment, child)
        self.segments[child.id] = child
        self._replace(child.tags, segment, child)
        return child

    def _cut_future(
        self, segment: Segment, cut: int, reason: str | None, at: int
    ) -> None:
        """Of a tag of the future anything after the cut may have changed."""
        alone = [
            tag
            for tag in filter(self.tags.is_future, segment.tags)
            if not any(x.cut is None and x.start <= cut for x in self.rows[tag])
        ]
        self.tags.change(alone, lambda past: past.cut_off(cut))
        if reason is not None:
            label = Label(cut, OPEN_END, reason, at)
            self.tags.change(alone, lambda past: past.explained(label))
        self.is_urgent |= bool(alone)

    def _close(self, segment: Segment) -> None:
        if segment.cut is None or segment.unsettled:
            return
        start, cut = segment.start, segment.cut
        tags = [tag for tag in segment.tags if not self.tags.is_future(tag)]
        self.tags.change(tags, lambda past: past.given(start, cut))
        self._replace(segment.tags, segment, None)
        del self.segments[segment.id]
        self.changed_segments.add(segment.id)

    # Messages

    def settled(self, message: int) -> None:
        """Every sink has the message, or it was dropped on purpose."""
        for segment in self.flight.remove(message):
            self._close(segment)

    def failed(self, message: int, entries: Iterable[ManifestEntry], at: int) -> None:
        """A message was given up, or samples of it were set aside.

        Args:
            message: its number; it counts as settled.
            entries: what was not delivered.
            at: when.
        """
        found = [(self.tags.get(each.key), each.first, each.last) for each in entries]
        ranges = [(tag, a, b + 1) for tag, a, b in found if tag is not None]
        self.dead.add(message, ranges, at)
        self.is_urgent = True
        self.settled(message)

    def redriven(self, message: int) -> None:
        """A message that was given up is delivered after all."""
        self.dead.remove(message)

    def discarded(self, message: int) -> None:
        """A message that was given up will never be delivered."""
        letter = self.dead.remove(message)
        for tag, start, end in () if letter is None else letter.ranges:
            assert letter is not None
            self.exclude([tag], start, end, DEAD, letter.at)

    # The archive

    def joined(
        self, tags: Iterable[int], start: int, end: int, asked: int | None = None
    ) -> None:
        """All that the archive has in a range was delivered.

        Args:
            tags: of which it is true.
            start, end: the range.
            asked: when the archive was asked. Of a tag of the future, what is after
                it counts only if the tag has been subscribed to since.
        """
        tags = list(tags)
        normal = [tag for tag in tags if not self.tags.is_future(tag)]
        self.tags.change(normal, lambda past: past.joined(start, end))
        for tag in set(tags).difference(normal):
            certain = self._certain_future(tag, end, asked)
            self.tags.change([tag], partial(Past.joined, start=start, end=certain))
        self.version += 1

    def _certain_future(self, tag: int, end: int, asked: int | None) -> int:
        if asked is None:
            return end
        since = [x.start for x in self.rows[tag] if x.cut is None]
        if since and min(since) <= asked:
            return end
        return min(end, asked - self.margins.settle)

    def reopen(
        self, tags: Collection[int], start: int, end: int, reason: str, at: int
    ) -> None:
        """What was taken for delivered is a hole: found by comparing, or on request.

        What PI channels give or have given of it does not count, either.
        """
        label = Label(start, end, reason, at)
        self.tags.change(tags, lambda p: p.reopened(start, end).explained(label))
        self.is_urgent = True
        self.version += 1

    def exclude(
        self, tags: Collection[int], start: int, end: int, reason: str, at: int
    ) -> None:
        """Nothing of a range is to be delivered, or can be (`lost at source`)."""
        label = Label(start, end, reason, at)
        self.tags.change(tags, lambda past: past.without(label))
        self.version += 1

    def include(self, tags: Collection[int], start: int, end: int) -> None:
        """A range is to be delivered after all."""
        self.tags.change(tags, lambda past: past.with_again(start, end))
        self.version += 1

    def backfill(self, tags: Collection[int], start: int, at: int) -> None:
        """Cover tags from `start` on, where they are covered from later on now."""

        def rule(past: Past) -> Past:
            label = Label(start, past.origin, "backfill", at)
            return past.since(min(start, past.origin)).explained(label)

        self.tags.change(tags, rule)
        self.version += 1

    def confirmed(self, tag: int, newest: int, at: int) -> None:
        """An end-value probe: at `at` no event of the tag was newer than `newest`.

        So nothing is missing between the two, and holes there are none.
        """
        end = at - self.margins.settle
        if newest <= NO_DATA or newest + 1 >= end or self.tags.is_future(tag):
            return
        known = self.claimed(tag).union(self.received(tag, end))
        for a, b in known.gaps(newest + 1, end):
            self.tags.change([tag], partial(Past.joined, start=a, end=b))
            self.version += 1

    # What follows

    def claimed(self, tag: int, *, is_held: bool = True) -> IntervalSet:
        """What is delivered of a tag, but for what is excluded.

        Args:
            tag: its number.
            is_held: False for what would be without the holds of this very tag.
        """
        past = self.tags.pasts[tag]
        given = IntervalSet(
            [
                (each.start, self.edge(each, tag) if is_held else each.reach)
                for each in self.segments_of(tag)
            ]
        )
        return given.difference(past.denied).union(past.delivered)

    def received(self, tag: int, now: int) -> IntervalSet:
        """What PI channels have given of a tag, or may still give up to now."""
        spans = [
            (each.start, now if each.cut is None else each.cut)
            for each in self.segments_of(tag)
        ]
        return IntervalSet(spans).difference(self.tags.pasts[tag].denied)

    def lane(
        self,
        tag: int,
        at: int,
        *,
        is_substituted: bool = False,
        is_deleted: bool = False,
    ) -> Lane:
        """The lane of an event of a PI channel."""
        if is_deleted:
            return "delete"
        if self.tags.is_future(tag) or not self.is_delivered(tag, at):
            return "live"
        return "correction" if is_substituted else "late"

    def delivered_until(self, tag: int) -> int:
        """Nothing of a tag is delivered from then on; the same for equal tags."""
        return max(
            self.tags.pasts[tag].delivered.last or 0,
            max((each.reach for each in self.rows[tag]), default=0),
        )

    def is_delivered(self, tag: int, at: int) -> bool:
        """Whether an instant is in what is delivered."""
        past = self.tags.pasts[tag]
        return past.delivered.contains(at) or (
            any(x.start <= at < self.edge(x, tag) for x in self.segments_of(tag))
            and not past.denied.contains(at)
        )
