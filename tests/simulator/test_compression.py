"""What compression keeps."""

from __future__ import annotations

from itertools import pairwise

from pichannels.simulator import SYSTEM_STATES, Event, Plant, Tag
from pichannels.simulator.compression import compress
from pichannels.simulator.plant import block_length
from pichannels.simulator.simtime import SECOND, parse_time

PLANT = Plant(tags=50)
TEMP = PLANT.tag("UNIT1.BOILER.TEMP")
STATUS = PLANT.tag("UNIT1.PUMP1.STATUS")


def kept(tag: Tag, events: list[Event]) -> list[bool]:
    return [event.kept for event in compress(tag, events)]


def test_a_straight_line_keeps_its_ends_only() -> None:
    line = [Event(n * SECOND, 10.0 + n) for n in range(10)]
    assert kept(TEMP, line) == [True, *[False] * 8, True]


def test_a_corner_is_kept() -> None:
    values = [0.0, 1.0, 2.0, 3.0, 2.0, 1.0, 0.0]
    events = [Event(n * SECOND, value) for n, value in enumerate(values)]
    assert kept(TEMP, events)[3]


def test_both_sides_of_a_bad_value_are_kept() -> None:
    events = [Event(n * SECOND, 5.0) for n in range(5)]
    events[2] = Event(2 * SECOND, SYSTEM_STATES["Bad Input"], good=False)
    assert kept(TEMP, events) == [True] * 4 + [True]


def test_a_digital_tag_keeps_its_changes() -> None:
    stopped, running = STATUS.states[:2]
    states = [stopped, stopped, running, running, stopped, stopped, stopped]
    events = [Event(n * SECOND, state) for n, state in enumerate(states)]
    assert kept(STATUS, events) == [True, False, True, False, True, False, True]


def test_a_tag_without_compression_keeps_everything() -> None:
    tag = PLANT.tag("UNIT1.REMOTE.FLOW")
    assert all(kept(tag, [Event(n * SECOND, 1.0) for n in range(5)]))


def test_what_is_left_out_lies_within_the_deviation_of_the_line() -> None:
    first = parse_time("2024-05-01T00:00:00Z", 0) // block_length(TEMP)
    for number in range(first, first + 50):
        block = [event for event in PLANT.block(TEMP, number) if event.good]
        for before, after in pairwise(event for event in block if event.kept):
            assert _worst(before, after, block) <= TEMP.compdev


def _worst(before: Event, after: Event, events: list[Event]) -> float:
    if before.ticks == after.ticks:
        return 0.0
    between = [e for e in events if before.ticks < e.ticks < after.ticks]
    assert isinstance(before.value, float) and isinstance(after.value, float)
    rise = (after.value - before.value) / (after.ticks - before.ticks)
    lines = (before.value + rise * (e.ticks - before.ticks) for e in between)
    pairs = zip(lines, between, strict=True)
    return max((abs(line - float(e.value)) for line, e in pairs), default=0.0)  # type: ignore[arg-type]
