"""The ledger against an oracle, over random orders of what happens to a channel.

The oracle knows each event: when PI got it, and whether a sink has it. Times are small
numbers, so that all that can touch does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from pichannels.coverage.claims import Claims, restore
from pichannels.coverage.intervals import EMPTY, IntervalSet
from pichannels.coverage.ledger import Ledger, Margins
from pichannels.coverage.repair import Plan, Planner
from pichannels.coverage.views import Coverage, coverage, totals
from pichannels.manifest import ManifestEntry

DISORDER, LAG, AHEAD = 2, 1, 1
SETTLE, OVERLAP = 4, 2
ORIGIN = 100
FORECAST = "F"
"""A tag of the future."""
TAGS = ["A", "B", "C", FORECAST]
SUBS = ["x", "y"]

tag_names = st.sampled_from(TAGS)
sub_names = st.sampled_from(SUBS)
some_tags = st.lists(tag_names, min_size=1, unique=True)
seeds = st.integers(0, 2**32)


@dataclass(eq=False)
class Event:
    """One event of a tag in PI's archive."""

    tag: str
    at: int
    is_late: bool
    is_delivered: bool = False


@dataclass
class Sent:
    """A message that is durable in the journal."""

    events: list[Event]
    is_live: bool
    state: str = "unsettled"


@dataclass
class Connection:
    """The server's side of a PI channel."""

    tags: list[str]
    waiting: list[tuple[int, Event]] = field(default_factory=list)
    is_dead: bool = False


@dataclass
class Reading:
    """A range of the archive that was read and is not settled."""

    tags: list[str]
    start: int
    end: int
    messages: list[int]


def manifest(events: Iterable[Event]) -> list[ManifestEntry]:
    times: dict[str, list[int]] = {}
    for event in events:
        times.setdefault(event.tag, []).append(event.at)
    return [ManifestEntry(k, min(v), max(v), len(v)) for k, v in times.items()]


class LedgerMachine(RuleBasedStateMachine):
    """Events, PI channels, settlements, losses, crashes and reads of the archive."""

    def __init__(self) -> None:
        super().__init__()
        self.now = ORIGIN
        self.archive: list[Event] = []
        self.connections: dict[str, Connection] = {}
        self.messages: dict[int, Sent] = {}
        self.readings: list[Reading] = []
        self.saved: dict[str, bytes] = {}
        self.not_durable: list[int] = []
        self.last_message = 0

    @initialize(exact=st.sampled_from([0, 2, 1000]))
    def begin(self, exact: int) -> None:
        self.margins = Margins(
            settle=SETTLE, overlap=OVERLAP, ahead=AHEAD + 1, exact=exact
        )
        self.ledger = Ledger(self.margins)
        self.claims = Claims(self.ledger)
        for name in TAGS:
            self.ledger.add_tag(name, ORIGIN, is_future=name == FORECAST)

    # Asking

    def number(self, name: str) -> int:
        found = self.ledger.tags.get(name)
        assert found is not None
        return found

    def numbers(self, names: Iterable[str]) -> list[int]:
        return [self.number(name) for name in names]

    def coverage(self, name: str) -> Coverage:
        return coverage(self.ledger, self.number(name), self.now, self.now)

    def unsettled(self) -> list[int]:
        return [n for n, sent in self.messages.items() if sent.state == "unsettled"]

    # The world

    @rule(passed=st.integers(1, 6))
    def time_passes(self, passed: int) -> None:
        self.now += passed

    @rule(name=tag_names, shift=st.integers(-DISORDER, AHEAD))
    def an_event_comes(self, name: str, shift: int) -> None:
        self.new_event(Event(name, self.now + shift, False))

    @rule(shift=st.integers(-DISORDER, 30))
    def a_forecast_comes(self, shift: int) -> None:
        self.new_event(Event(FORECAST, self.now + shift, False))

    @rule(name=tag_names, late=st.integers(DISORDER + 1, 30))
    def a_late_event_comes(self, name: str, late: int) -> None:
        self.new_event(Event(name, self.now - late, True))

    def new_event(self, event: Event) -> None:
        self.archive.append(event)
        for connection in self.connections.values():
            if event.tag in connection.tags and not connection.is_dead:
                connection.waiting.append((self.now, event))

    @rule(seed=seeds, steps=st.integers(1, 12), pace=st.sampled_from([0.0, 0.2, 0.8]))
    def life_goes_on(self, seed: int, steps: int, pace: float) -> None:
        """PI channels open, events come, are sent, and settle at some pace."""
        rng = random.Random(seed)
        for sub in SUBS:
            if rng.random() < 0.8:
                self.subscribe(sub, rng.sample(TAGS, rng.randint(1, 3)))
        for _ in range(steps):
            self.now += rng.randint(0, 2)
            for name in TAGS:
                if rng.random() < 0.4:
                    self.an_event_comes(name, rng.randint(-DISORDER, AHEAD))
            if rng.random() < 0.3:
                self.a_forecast_comes(rng.randint(-DISORDER, 30))
            for sub in SUBS:
                self.the_server_sends(sub, rng.randint(0, 9), rng.random() < 0.5)
            for number in self.unsettled():
                if rng.random() < pace:
                    self.settle(number)
            self.what_always_holds()

    def trouble(self, rng: random.Random) -> None:
        """Something goes wrong, or is decided."""
        sub, name, seed = rng.choice(SUBS), rng.choice(TAGS), rng.randint(0, 99)
        number = rng.randint(1, 15)
        kinds: list[Callable[[], None]] = [
            lambda: self.a_late_event_comes(name, number + DISORDER),
            lambda: self.a_connection_dies_unnoticed(sub),
            lambda: self.a_loss_is_noticed(sub),
            lambda: self.some_tags_are_lost(sub, [name]),
            lambda: self.the_server_overflows(sub, name, number),
            lambda: self.a_channel_is_closed_in_order(sub),
            lambda: self.a_message_is_given_up(seed),
            lambda: self.dead_letters_are_decided(number > 7),
            lambda: self.a_hole_is_read(rng.sample(TAGS, 2), seed),
            lambda: self.the_end_value_is_asked_for(name),
            lambda: self.an_event_turns_out_to_be_missing(name, seed, number),
            lambda: self.flush(),
            lambda: self.crash(seed),
            lambda: self.all_messages_settle(),
            lambda: self.repair(),
        ]
        rng.choice(kinds)()
        self.what_always_holds()

    # PI channels

    @rule(sub=sub_names, names=some_tags)
    def subscribe(self, sub: str, names: list[str]) -> None:
        if sub not in self.connections:
            self.connections[sub] = Connection(names)
            self.ledger.subscribed(sub, self.numbers(names), self.now)

    @rule(sub=sub_names, seed=seeds, is_all=st.booleans())
    def the_server_sends(self, sub: str, seed: int, is_all: bool) -> None:
        connection = self.connections.get(sub)
        if connection is None or connection.is_dead:
            return
        waiting = connection.waiting
        # What came just now may go with the next message.
        kept = [x for x in waiting if not is_all and x[0] >= self.now - LAG]
        events = [event for when, event in waiting if (when, event) not in kept]
        connection.waiting = kept
        random.Random(seed).shuffle(events)
        if events:
            number = self.new_message(events, True)
            self.ledger.arrived(sub, number, manifest(events), self.now)
        else:
            self.ledger.heartbeat(sub, self.now)

    def new_message(self, events: list[Event], is_live: bool) -> int:
        self.last_message += 1
        self.messages[self.last_message] = Sent(events, is_live)
        return self.last_message

    @rule(sub=sub_names)
    def a_connection_dies_unnoticed(self, sub: str) -> None:
        if sub in self.connections:
            self.connections[sub].is_dead = True

    @rule(sub=sub_names)
    def a_loss_is_noticed(self, sub: str) -> None:
        self.connections.pop(sub, None)
        self.ledger.lost(sub, "network", self.now)

    @rule(sub=sub_names, names=some_tags)
    def some_tags_are_lost(self, sub: str, names: list[str]) -> None:
        connection = self.connections.get(sub)
        if connection is None:
            return
        connection.tags = [tag for tag in connection.tags if tag not in names]
        connection.waiting = [x for x in connection.waiting if x[1].tag not in names]
        self.ledger.lost(sub, "signup", self.now, tags=self.numbers(names))
        if not connection.tags:
            del self.connections[sub]

    @rule(sub=sub_names, name=tag_names, passed=st.integers(1, 15))
    def the_server_overflows(self, sub: str, name: str, passed: int) -> None:
        """What came is dropped, and the marker tells of it some time later."""
        connection = self.connections.get(sub)
        if connection is None or connection.is_dead:
            return
        self.the_server_sends(sub, 0, True)
        since = self.now
        self.an_event_comes(name, 0)
        connection.waiting.clear()
        self.now += passed
        self.the_server_sends(sub, 0, True)
        del self.connections[sub]
        self.ledger.lost(sub, "marker", self.now, since=since)

    @rule(sub=sub_names)
    def a_channel_is_closed_in_order(self, sub: str) -> None:
        self.connections.pop(sub, None)
        self.ledger.unsubscribed(sub, "stopped", self.now)

    # Messages

    @rule(seed=seeds)
    def a_message_settles(self, seed: int) -> None:
        if self.unsettled():
            self.settle(random.Random(seed).choice(self.unsettled()))

    @rule()
    def all_messages_settle(self) -> None:
        for number in self.unsettled():
            self.settle(number)

    def settle(self, number: int) -> None:
        sent = self.messages[number]
        sent.state = "settled"
        for event in sent.events:
            event.is_delivered = True
        self.not_durable.append(number)
        self.ledger.settled(number)
        self.note_readings()

    @rule(seed=seeds)
    def a_message_is_given_up(self, seed: int) -> None:
        if not self.unsettled():
            return
        number = random.Random(seed).choice(self.unsettled())
        sent = self.messages[number]
        sent.state = "dead"
        self.ledger.failed(number, manifest(sent.events), self.now)
        self.note_readings()

    @rule(is_redriven=st.booleans())
    def dead_letters_are_decided(self, is_redriven: bool) -> None:
        for number, sent in self.messages.items():
            if sent.state == "dead" and is_redriven:
                sent.state = "settled"
                for event in sent.events:
                    event.is_delivered = True
                self.ledger.redriven(number)
            elif sent.state == "dead":
                sent.state = "discarded"
                self.ledger.discarded(number)

    # The archive

    @rule(names=some_tags, seed=seeds)
    def a_hole_is_read(self, names: list[str], seed: int) -> None:
        rng = random.Random(seed)
        holes = [hole for name in names for hole in self.coverage(name).holes]
        if not holes:
            return
        hole = rng.choice(holes)
        end = min(hole.end, self.now - SETTLE, hole.start + rng.randint(1, 30))
        self.read(names, hole.start, end, rng)

    def read(
        self, names: Sequence[str], start: int, end: int, rng: random.Random
    ) -> None:
        if start >= end:
            return
        found = [x for x in self.archive if x.tag in names and start <= x.at < end]
        pages = [found[::2], found[1::2]] if rng.random() < 0.5 else [found]
        numbers = [self.new_message(page, False) for page in pages if page]
        self.readings.append(Reading(list(names), start, end, numbers))
        self.note_readings()

    def note_readings(self) -> None:
        for reading in list(self.readings):
            states = [self.messages[number].state for number in reading.messages]
            if "unsettled" not in states:
                self.readings.remove(reading)
                tags = self.numbers(reading.tags)
                self.ledger.joined(tags, reading.start, reading.end)

    @rule(name=tag_names)
    def the_end_value_is_asked_for(self, name: str) -> None:
        newest = max((x.at for x in self.archive if x.tag == name), default=0)
        self.ledger.confirmed(self.number(name), newest, self.now)

    @rule(name=tag_names, start=st.integers(0, 60), length=st.integers(1, 20))
    def an_event_turns_out_to_be_missing(
        self, name: str, start: int, length: int
    ) -> None:
        at = ORIGIN + start
        self.archive.append(Event(name, at + length // 2, False))
        end = at + length
        self.ledger.reopen([self.number(name)], at, end, "reconcile", self.now)
        # What is being read just now was read before.
        self.readings.clear()

    # Crashes

    @rule()
    def flush(self) -> None:
        for name, record in self.claims.changes().items():
            if record is None:
                self.saved.pop(name, None)
            else:
                self.saved[name] = record
        self.not_durable.clear()

    @rule(seed=seeds)
    def crash(self, seed: int) -> None:
        # Settlements are durable in their order; the last ones may be missing.
        lost = random.Random(seed).randint(0, len(self.not_durable))
        for number in self.not_durable[len(self.not_durable) - lost :]:
            if self.messages[number].state == "settled":
                self.messages[number].state = "unsettled"
        self.not_durable.clear()
        self.connections.clear()
        self.readings.clear()
        self.restart()

    def restart(self) -> None:
        live = [n for n in self.unsettled() if self.messages[n].is_live]
        messages = [(n, manifest(self.messages[n].events)) for n in live]
        self.ledger = restore(self.saved, messages, self.now, self.margins)
        self.claims = Claims(self.ledger)
        for name in TAGS:
            self.ledger.add_tag(name, ORIGIN, is_future=name == FORECAST)

    # What always holds

    def what_always_holds(self) -> None:
        self.what_is_urgent_is_saved()
        self.nothing_is_claimed_that_is_not_delivered()
        self.each_instant_is_in_one_state()
        self.totals_are_sums()

    @invariant()
    def what_is_urgent_is_saved(self) -> None:
        if hasattr(self, "claims") and self.claims.is_urgent:
            self.flush()

    @invariant()
    def nothing_is_claimed_that_is_not_delivered(self) -> None:
        for name in TAGS if hasattr(self, "ledger") else ():
            number = self.number(name)
            delivered = coverage(self.ledger, number, self.now).delivered
            wrong = [
                event
                for event in self.archive
                if event.tag == name and delivered.contains(event.at)
                if not (event.is_late or event.is_delivered or self.may_come(event))
            ]
            assert not wrong, f"{delivered} at {self.now}"

    def may_come(self, event: Event) -> bool:
        """Of a tag of the future all counts that a PI channel has still to give."""
        return event.tag == FORECAST and (
            any(FORECAST in each.tags for each in self.connections.values())
            or any(event in self.messages[n].events for n in self.unsettled())
        )

    @invariant()
    def totals_are_sums(self) -> None:
        if not hasattr(self, "ledger"):
            return
        found = totals(self.ledger, self.now)
        each = [self.coverage(name) for name in TAGS]
        assert found.delivered == sum(one.delivered.total for one in each)
        assert found.in_flight == sum(one.in_flight.total for one in each)

    @invariant()
    def each_instant_is_in_one_state(self) -> None:
        for name in TAGS if hasattr(self, "ledger") else ():
            found = self.coverage(name)
            pieces = [
                *found.delivered,
                *found.in_flight,
                *[(x.start, x.end) for x in (*found.holes, *found.excluded)],
            ]
            at = ORIGIN
            for start, end in sorted(pieces):
                assert start == at and end > start, found
                at = end
            assert at == self.now, found

    def repair(self) -> None:
        """Read all holes as the planner says."""
        planner = Planner(self.ledger, Plan(tags=2, span=20, overlap=1, patience=1))
        while (read := planner.next(self.now)) is not None:
            found = [
                event
                for event in self.archive
                if self.number(event.tag) in read.tags
                if read.first <= event.at <= read.last
            ]
            number = self.new_message(found, False)
            planner.took(read.id, number)
            planner.answered(read.id, len(found), self.now)
            self.nothing_is_claimed_that_is_not_delivered()
            self.settle(number)
            planner.settled(number)

    def teardown(self) -> None:
        """All holes close once everything is settled and read."""
        if not hasattr(self, "ledger"):
            return
        for sub in SUBS:
            self.ledger.lost(sub, "network", self.now)
        self.dead_letters_are_decided(True)
        self.all_messages_settle()
        self.now += SETTLE + 1
        self.repair()
        for name in TAGS:
            found = self.coverage(name)
            assert not found.in_flight
            missing = IntervalSet([(x.start, x.end) for x in found.holes])
            assert missing.within(ORIGIN, self.now - SETTLE) == EMPTY, found
        self.nothing_is_claimed_that_is_not_delivered()


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, print_blob=True
)


@settings(max_examples=40, deadline=None, print_blob=True)
@given(seeds)
def test_no_schedule_makes_the_ledger_lie(seed: int) -> None:
    """Life goes on, with trouble now and then; in the end all holes close."""
    rng = random.Random(seed)
    machine = LedgerMachine()
    machine.begin(rng.choice([0, 2, 1000]))
    for _ in range(20):
        pace = rng.choice([0.0, 0.2, 0.8])
        machine.life_goes_on(rng.randint(0, 2**32), rng.randint(1, 8), pace)
        for _ in range(rng.choice([0, 1, 1, 3])):
            machine.trouble(rng)
    machine.teardown()
