"""What a tag measures, as a pure function of its key and the slot of time.

A tag has at most one reading in each slot of `tag.period` ticks (seldom several
with the same timestamp). Nothing is stored: the same slot gives the same events
for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sin, tau
from types import MappingProxyType
from typing import Final

from pichannels.simulator.events import SYSTEM_STATES, Event, Value
from pichannels.simulator.simtime import SECOND, time_text
from pichannels.simulator.tags import Tag

__all__ = ["arrival", "earliest_arrival", "mix", "slot_events"]

_MASK: Final = (1 << 64) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_FAILURES: Final = tuple(
    SYSTEM_STATES[name] for name in ("I/O Timeout", "Bad Input", "Over Range")
)
_GRADES: Final = ("A", "B", "C", "OFF-SPEC")


def mix(x: int) -> int:
    """64 well-mixed bits of `x` (the finaliser of splitmix64)."""
    x &= _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def slot_events(tag: Tag, slot: int) -> tuple[Event, ...]:
    """The readings of one slot that passed the exception test, in order.

    About one reading in thirty does not pass; one in 2,000 is a system state, one
    in 500 questionable, and one in 1,000 comes with others of the same timestamp.
    """
    bits = mix(tag.key + slot * _GOLDEN)
    shape = tag.template.shape
    if not bits & 31 or shape == "none":
        return ()
    period = tag.period
    ticks = slot * period + ((bits >> 5 & 0xFFFF) * period >> 16)
    ticks -= ticks % tag.template.resolution
    if not bits >> 21 & 0x7FF:
        return (Event(ticks, _FAILURES[bits % 3], good=False),)
    value = _SHAPES[shape](tag, slot, ticks, bits >> 48)
    if not bits >> 32 & 0x1FF:
        return (Event(ticks, value, questionable=True),)
    if not bits >> 38 & 0x3FF:
        return _burst(tag, slot, ticks, value)
    return (Event(ticks, value),)


def _burst(tag: Tag, slot: int, ticks: int, first: Value) -> tuple[Event, ...]:
    """Three events with one timestamp."""
    measure = _SHAPES[tag.template.shape]
    again = (measure(tag, slot, ticks, n * 20_000) for n in (1, 2))
    return (Event(ticks, first), *(Event(ticks, value) for value in again))


def arrival(tag: Tag, event: Event) -> int:
    """When the server gets an event of its own accord, in ticks."""
    if not tag.jitter:
        return event.ticks + tag.latency
    noise = mix(tag.key ^ event.ticks) & 0xFFFF
    return event.ticks + tag.latency + (noise * tag.jitter >> 16)


def earliest_arrival(tag: Tag, slot: int) -> int:
    """No event of this or a later slot comes before this instant."""
    return slot * tag.period + tag.latency


def _wave(tag: Tag, slot: int, ticks: int, noise: int) -> Value:
    slow, slow_at, fast, fast_at = tag.waves
    model = tag.template
    level = 0.55 + 0.3 * sin(ticks * slow + slow_at) + 0.1 * sin(ticks * fast + fast_at)
    level += (noise - 32768) * 1.0e-7
    return round(model.zero + model.span * level, model.digits)


def _counter(tag: Tag, slot: int, ticks: int, noise: int) -> Value:
    return slot % int(tag.template.span)


def _batch(tag: Tag, slot: int, ticks: int, noise: int) -> Value:
    return f"B{time_text(ticks)[2:10].replace('-', '')}-{slot % 10_000:04d}"


def _grade(tag: Tag, slot: int, ticks: int, noise: int) -> Value:
    return _GRADES[noise % len(_GRADES)]


def _state(tag: Tag, slot: int, ticks: int, noise: int) -> Value:
    at = noise % sum(tag.template.weights)
    for state, weight in zip(tag.states, tag.template.weights, strict=True):
        at -= weight
        if at < 0:
            return state
    return tag.states[-1]


def _instant(tag: Tag, slot: int, ticks: int, noise: int) -> Value:
    return time_text(ticks - ticks % SECOND - noise * SECOND // 64)


_SHAPES: Final[Mapping[str, Callable[[Tag, int, int, int], Value]]] = MappingProxyType(
    {
        "wave": _wave,
        "counter": _counter,
        "batch": _batch,
        "grade": _grade,
        "state": _state,
        "instant": _instant,
    }
)


def wave_parameters(key: int) -> tuple[float, float, float, float]:
    """Angular speeds (per tick) and phases of a tag's slow and fast wave."""
    bits = mix(key)
    slow = 2400 + (bits & 0xFFF)
    fast = 240 + (bits >> 12 & 0xFF)
    return (
        tau / (slow * SECOND),
        (bits >> 20 & 0xFFFF) / 65536 * tau,
        tau / (fast * SECOND),
        (bits >> 36 & 0xFFFF) / 65536 * tau,
    )
