"""filter.Duplicates: samples that have passed already are left out.

What is remembered of an event is a number of 64 bits that its `event_id` gives, from
the moment that it passes. It is kept for the next run only when its message is settled:
what a crash leaves unsettled runs again, and passes again. When a message or a sample
fails for good its events are forgotten, so that nothing is left out for being like
what nobody has got.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from math import ceil
from typing import Any, ClassVar, Final

from nodes._batches import keep, no_batch
from nodes._options import at_least
from nodes._per_tag import TAGS_KEPT
from pichannels import clock
from pichannels.delivery import Delivery
from pichannels.errors import PichannelsError
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.values import TICKS_PER_SECOND, Sample

__all__ = ["Duplicates"]

logger: Final = logging.getLogger("pichannels.nodes")

_SAMPLE: Final = {Sample}
_PARTS: Final = 1000
"""Into how many parts the window is divided for saving."""
_WHY: Final = "all of it has passed before"


class _Seen:
    """The events of one tag, in two halves, the older of which goes as a whole."""

    __slots__ = ("new", "old", "turned")

    def __init__(self, now: int) -> None:
        self.new: set[int] = set()
        self.old: set[int] = set()
        self.turned = now

    def __contains__(self, event: int) -> bool:
        return event in self.new or event in self.old

    def __len__(self) -> int:
        return len(self.new) + len(self.old)

    def turn(self, now: int, window: int) -> None:
        """Begin a new half."""
        self.old = self.new if now - self.turned < 2 * window else set()
        self.new = set()
        self.turned = now

    def discard(self, event: int) -> None:
        """Forget an event."""
        self.new.discard(event)
        self.old.discard(event)


class _Passed:
    """What passed of a message that is not settled yet, by tag; False: forgotten."""

    __slots__ = ("attempts", "events")

    def __init__(self, attempts: int) -> None:
        self.attempts = attempts
        self.events: dict[str, dict[int, bool]] = {}


class Duplicates(BaseNode):
    """Leave out samples whose event has passed already, within a bounded window.

    Overlaps of subscriptions, repairs and polls bring events twice, with the same
    `event_id`. A correction is another event and passes, and so do all samples of
    the lanes `correction` and `delete`; a deleted event may come again. What is
    remembered is kept over a restart.

    It saves work behind it. It does not make a sink exactly once: what a crash leaves
    unsettled passes again, so sinks go by `event_id` all the same.

    Args:
        window: seconds for which an event is remembered at least, and at most twice
            as long.
        max_events: how many events of a tag are remembered at least, where so many
            came within the window, and at most twice as many; about 100 bytes each.
        replay: whether replayed samples that have passed already are left out, too.
        options: those of every node.

    Raises:
        Dropped: no sample is left.
    """

    changes: ClassVar[frozenset[str]] = frozenset({"payload"})

    def __init__(
        self,
        window: float = 600.0,
        max_events: int = 1000,
        *,
        replay: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        at_least("window", window, 1)
        at_least("max_events", max_events, 1)
        self._window = int(window * TICKS_PER_SECOND)
        self._most = max_events
        self._takes_replays = replay
        self._interval = max(1.0, window / _PARTS)
        self._keys = ceil(2 * window / self._interval) + 2
        self._states: dict[str, _Seen] = {}
        self._passed: dict[Delivery, _Passed] = {}
        self._unsaved: dict[str, dict[int, bool]] = {}
        self._next_key = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_started = False
        self.left_out = 0

    def statistics(self) -> dict[str, int]:
        """How many samples were left out, and how many events are remembered."""
        return {
            "left_out": self.left_out,
            "remembered": sum(map(len, self._states.values())),
        }

    async def start(self) -> None:
        """Begin with what the last run remembered."""
        self._states.clear()
        self._passed.clear()
        self._unsaved = {}
        await self._restore()
        self._is_started = True

    async def stop(self) -> None:
        """Save what is remembered of settled messages."""
        self._is_started = False
        if self._timer is not None:
            self._timer.cancel()
        self._save()

    def process(self, msg: Message) -> Message:
        samples = msg.payload
        if type(samples) is not list or set(map(type, samples)) - _SAMPLE:
            raise no_batch(self.fullpath(), samples)
        lane = msg.meta.get("lane", "live")
        delivery: Delivery | None = msg.delivery
        is_redriven = delivery is not None and delivery.is_redrive
        if is_redriven or (lane == "replay" and not self._takes_replays):
            return keep(msg, samples, _WHY)
        passed = None if delivery is None else self._passed.get(delivery)
        again: Mapping[str, Any] = {}
        if passed is not None and delivery and passed.attempts != delivery.attempts:
            # It runs again: what passed before passes, and what had not come so far.
            again = passed.events
        kept, events = self._selected(samples, lane, again)
        if events:
            self._remember(delivery, passed, events)
        return keep(msg, kept, _WHY)

    def _selected(
        self, samples: list[Sample], lane: str, again: Mapping[str, Any]
    ) -> tuple[list[Sample], dict[str, dict[int, bool]]]:
        """The samples that pass, and what is to be remembered of them."""
        if len(self._states) > TAGS_KEPT:
            self._states.clear()
        now = clock.now()
        kept: list[Sample] = []
        events: dict[str, dict[int, bool]] = {}
        for sample in samples:
            name, event = _identity(sample)
            state = self._state_of(name, now)
            if lane == "delete":
                state.discard(event)
            elif (
                event in state
                and lane != "correction"
                and event not in again.get(name, ())
            ):
                continue
            else:
                state.new.add(event)
            kept.append(sample)
            events.setdefault(name, {})[event] = lane != "delete"
        self.left_out += len(samples) - len(kept)
        return kept, events

    def _state_of(self, name: str, now: int) -> _Seen:
        state = self._states.get(name)
        if state is None:
            state = self._states[name] = _Seen(now)
        elif len(state.new) >= self._most or now - state.turned >= self._window:
            state.turn(now, self._window)
        return state

    # Until the message is settled

    def _remember(
        self,
        delivery: Delivery | None,
        passed: _Passed | None,
        events: Mapping[str, Mapping[int, bool]],
    ) -> None:
        if delivery is None:
            self._keep(events)
            return
        if passed is None:
            passed = self._passed[delivery] = _Passed(delivery.attempts)
            delivery.on_settled(self._settled)
        for name, found in events.items():
            passed.events.setdefault(name, {}).update(found)

    def _settled(self, delivery: Delivery) -> None:
        passed = self._passed.pop(delivery, None)
        if passed is None:
            return
        failed = self._failed(delivery, passed)
        for name, event in failed:
            if (state := self._states.get(name)) is not None:
                state.discard(event)
            passed.events.get(name, {}).pop(event, None)
        self._keep(passed.events)

    def _failed(self, delivery: Delivery, passed: _Passed) -> set[tuple[str, int]]:
        """The events that are in dead letters now, or nowhere."""
        known = delivery.aside or ()
        if delivery.failure is None and not delivery.sample_error_count:
            return set()
        count = sum(len(aside.message.payload) for aside in known)
        if delivery.failure is None and count == delivery.sample_error_count:
            asides = [sample for a in known for sample in a.message.payload]
            return {_identity(sample) for sample in asides}
        return {(name, e) for name, events in passed.events.items() for e in events}

    # Saving

    def _keep(self, events: Mapping[str, Mapping[int, bool]]) -> None:
        """Save these events with those that are to be saved next."""
        for name, found in events.items():
            self._unsaved.setdefault(name, {}).update(found)
        if self._timer is None and self._is_started:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._interval, self._save)

    def _save(self) -> None:
        self._timer = None
        unsaved, self._unsaved = self._unsaved, {}
        if not unsaved:
            return
        seen = {
            name: _packed(e for e in found if found[e])
            for name, found in unsaved.items()
        }
        gone = {
            name: _packed(e for e in found if not found[e])
            for name, found in unsaved.items()
        }
        key, self._next_key = self._next_key, (self._next_key + 1) % self._keys
        try:
            self.save_data(f"seen.{key}", [clock.now(), seen, gone])
        except PichannelsError as exc:
            logger.error("%s: what has passed is not saved: %s", self.fullpath(), exc)

    async def _restore(self) -> None:
        """Take over what was saved, in the order in which it was."""
        since = clock.now() - self._window
        parts = []
        number = 0
        while (part := await self.restore_data(f"seen.{number}", None)) is not None:
            parts.append((part, number))
            number += 1
        parts.sort(key=lambda each: each[0][0])
        if parts:
            self._next_key = (parts[-1][1] + 1) % self._keys
        for (at, seen, gone), _ in parts:
            if at >= since:
                self._apply(at, seen, gone)

    def _apply(
        self, at: int, seen: Mapping[str, bytes], gone: Mapping[str, bytes]
    ) -> None:
        for name, data in seen.items():
            for event in _unpacked(data):
                self._state_of(name, at).new.add(event)
        for name, data in gone.items():
            for event in _unpacked(data):
                self._state_of(name, at).discard(event)


def _identity(sample: Sample) -> tuple[str, int]:
    """What is the same for a tag, and for an event, in each process."""
    tag = sample.tag
    data = sample.event_id.encode("utf-8", "surrogatepass")
    digest = blake2b(data, digest_size=8).digest()
    return f"{tag.server}/{tag.key or tag.path or tag.name}", int.from_bytes(digest)


def _packed(events: Iterable[int]) -> bytes:
    return b"".join([event.to_bytes(8) for event in events])


def _unpacked(data: bytes) -> list[int]:
    return [int.from_bytes(data[n : n + 8]) for n in range(0, len(data), 8)]
