"""Filters that hold a sample back until they know whether it has to pass.

The message that a held sample came with stays unsettled until the sample is
superseded (a later one has taken its place), or until the message that it went out
with is settled. That would take as long as the tag is silent; so after `max_hold`
seconds all held samples are saved with the node's data, and the messages that they
came with are settled in the same commit. A saved sample is deleted there when what it
went out with is settled: a crash may send it twice, and never loses it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from functools import partial
from math import inf
from typing import Any, Final

from nodes._per_tag import Limited, Turn
from pichannels import clock
from pichannels.delivery import Delivery, Hold
from pichannels.errors import PichannelsError
from pichannels.message import Message
from pichannels.values import OPEN_END, TICKS_PER_SECOND, Sample, Tag

__all__ = ["HeldState", "Holding", "HoldingTurn", "Source"]

logger: Final = logging.getLogger("pichannels.nodes")

_SLOT: Final = 256
"""How many tags are saved under one key."""
_MOST: Final = 1000
"""How many messages are kept unsettled, whatever `max_hold`: windows are finite."""


class Source:
    """A message of which `count` samples are held back."""

    __slots__ = ("_hold", "count", "delivery")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.count = 0
        self._hold: Hold | None = None

    def add(self) -> None:
        """One more is held back."""
        self.count += 1
        if self._hold is None:
            self._hold = self.delivery.hold()

    def remove(self) -> None:
        """One less."""
        self.count -= 1
        if not self.count and (hold := self.take()) is not None:
            hold.release()

    def take(self) -> Hold | None:
        """The hold, to be ended by the caller."""
        hold, self._hold = self._hold, None
        return hold


class HeldState:
    """What such a filter knows of one tag.

    Attributes:
        held: the sample that is held back, or None.
        source: the message that it came with; None once it is saved.
        slot: where it is saved; -1 for what is never saved.
        saved_at: seconds of the clock at which it was saved; None when it was not.
        is_stale: the limits have to be found again.
        low, high: what fits without a closer look; closed (nothing fits) when
            `low` is greater.
        after, until: between which ticks.
    """

    __slots__ = (
        "after",
        "held",
        "high",
        "is_stale",
        "limits",
        "low",
        "saved_at",
        "seen",
        "slot",
        "source",
        "start",
        "until",
    )

    def __init__(self) -> None:
        self.held: Sample | None = None
        self.source: Source | None = None
        self.slot = -1
        self.saved_at: float | None = None
        self.is_stale = True
        self.limits: Any = None
        self.start: Sample | None = None
        self.seen = self.after = _BEFORE
        self.until = -1
        self.close()

    def close(self) -> None:
        """Let nothing fit, so that the next sample is looked at closely."""
        self.low, self.high = inf, -inf

    def reset(self) -> None:
        """Begin anew with the next sample, behind what is held."""
        self.start = None
        self.close()


_BEFORE: Final = -(2**63)


class HoldingTurn(Turn):
    """One message on its way through such a filter."""

    __slots__ = ("foreign", "msg", "saved", "source")

    def __init__(self, msg: Message, delivery: Delivery | None) -> None:
        super().__init__(msg, delivery)
        self.msg = msg
        self.source = None if delivery is None else Source(delivery)
        self.foreign: set[Source] = set()
        self.saved: list[tuple[HeldState, Sample]] = []


class Holding(Limited):
    """A filter that holds back one sample of each tag.

    A child implements `select` and `send_held`.
    """

    max_hold = 1.0

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._slots: list[list[HeldState]] = []
        self._dirty: set[int] = set()
        self._unacked: dict[HeldState, list[Sample]] = {}
        self._again: dict[HeldState, list[Sample]] = {}
        self._overdue: list[HeldState] = []
        self._ending: deque[tuple[Hold, BaseException | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        # How many messages may be unsettled since the last look.
        self._unsettled = 0

    def send_held(self, state: Any, turn: HoldingTurn) -> None:
        """Let the held sample pass, and go on from it."""
        raise NotImplementedError

    async def start(self) -> None:
        """Begin anew, and with what was held back when the last run ended."""
        await super().start()
        self._unsettled = 0
        self._slots, self._dirty = [], set()
        self._unacked, self._again, self._overdue = {}, {}, []
        while (saved := await self.restore_data(self._key(), None)) is not None:
            slot: list[HeldState] = []
            self._slots.append(slot)
            for sample in saved:
                self._restore(sample, slot)
        if self.states:
            self._wake()

    def _restore(self, sample: Sample, slot: list[HeldState]) -> None:
        state = self.states.get(sample.tag)
        if state is None:
            state = self.states[sample.tag] = HeldState()
            state.slot = len(self._slots) - 1
            slot.append(state)
        elif state.held is not None:
            self._again.setdefault(state, []).append(state.held)
        state.held = sample
        state.seen = state.after = sample.ticks
        state.saved_at = clock.monotonic()

    async def stop(self) -> None:
        """Save what is held back."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        self._save()

    def _key(self, slot: int | None = None) -> str:
        return f"held.{len(self._slots) if slot is None else slot}"

    def begin(self, tag: Tag, states: dict[Any, Any]) -> HeldState:
        """The state of a tag that is not known yet."""
        state = states[tag] = HeldState()
        if states is self.states:
            state.slot = len(states) // _SLOT
            while len(self._slots) <= state.slot:
                self._slots.append([])
            self._slots[state.slot].append(state)
        return state

    def turn(self, msg: Message, delivery: Delivery | None) -> HoldingTurn:
        turn = HoldingTurn(msg, delivery)
        if self._overdue and msg.meta.get("lane", "live") == "live":
            overdue, self._overdue = self._overdue, []
            for state in overdue:
                # It may have moved on since it was found to be overdue.
                if state.held is not None and state.saved_at is not None:
                    self.send_held(state, turn)
        return turn

    def forget(self, tag: Tag) -> None:
        """Let the next live value of the tag pass, or what is held of it."""
        state = self.states.get(tag)
        if state is not None:
            state.reset()

    def clear(self, turn: HoldingTurn) -> None:
        for state in self.states.values():
            self.let_go(state, turn)
        self.states.clear()
        kept = {*self._unacked, *(state for state, _ in turn.saved)}
        self._slots = [[s for s in slot if s in kept] for slot in self._slots]
        self._dirty.update(range(len(self._slots)))

    def finish(self, states: dict[Any, Any], turn: HoldingTurn) -> None:
        for state in states.values():
            self.let_go(state, turn)

    def move(self, state: HeldState, source: Source | None) -> None:
        """What is held came with another message than what was."""
        old, state.source = state.source, source
        if source is not None:
            if not source.count:
                self._unsettled += 1
                self._wake(0 if self._unsettled > _MOST else None)
            source.add()
        if old is not None:
            old.remove()
        elif state.saved_at is not None:
            state.saved_at = None
            self._dirty.add(state.slot)

    def let_go(self, state: HeldState, turn: HoldingTurn) -> None:
        """Let the held sample pass, if there is one."""
        if self._again and (again := self._again.pop(state, None)):
            for sample in again:
                self._pass_saved(state, sample, turn)
        held, state.held = state.held, None
        if held is None:
            return
        source, state.source = state.source, None
        if source is None and state.saved_at is not None:
            state.saved_at = None
            self._pass_saved(state, held, turn)
            return
        turn.out.append(held)
        if source is None:
            return
        if source is not turn.source:
            turn.carried.append(held)
            if source not in turn.foreign:
                turn.foreign.add(source)
                self._end_with(source.delivery.hold(), turn.msg.delivery)
        source.remove()

    def _end_with(self, hold: Hold, delivery: Delivery) -> None:
        """End a hold when what contains its sample is settled.

        That is `Hold.settle_with`, for messages that each wait for the next one: of
        thousands, all but the last, and then the stack would not do.
        """

        def follow(other: Delivery) -> None:
            self._ending.append((hold, other.failure))
            if len(self._ending) == 1:
                self._end_all()

        delivery.on_settled(follow)

    def _end_all(self) -> None:
        while self._ending:
            hold, failure = self._ending[0]
            # Another one may be appended by this, and it has to find this one there.
            if failure is None:
                hold.release()
            else:
                hold.fail(failure)
            self._ending.popleft()

    def _pass_saved(self, state: HeldState, sample: Sample, turn: HoldingTurn) -> None:
        turn.out.append(sample)
        turn.carried.append(sample)
        turn.saved.append((state, sample))
        self._unacked.setdefault(state, []).append(sample)

    def end(self, turn: HoldingTurn) -> None:
        if not turn.saved:
            return
        if turn.delivery is None:
            self._acknowledged(turn.saved, None)
        else:
            turn.delivery.on_settled(partial(self._acknowledged, turn.saved))

    def _acknowledged(
        self, sent: Sequence[tuple[HeldState, Sample]], delivery: Delivery | None
    ) -> None:
        """What had been saved has arrived; or it has not, and is sent again."""
        has_failed = delivery is not None and delivery.failure is not None
        for state, sample in sent:
            left = self._unacked.get(state, [])
            if sample in left:
                left.remove(sample)
            if not left:
                self._unacked.pop(state, None)
            if has_failed:
                self._again.setdefault(state, []).append(sample)
                state.reset()
            else:
                self._dirty.add(state.slot)
        self._wake()

    # Saving

    def _wake(self, delay: float | None = None) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + (self.max_hold if delay is None else delay)
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due, self._look)

    def _look(self) -> None:
        """Save what is held, and find what has been held for too long."""
        self._timer = None
        self._unsettled = 0
        if not self._save():
            self._wake()
            return
        now, next_look = clock.monotonic(), inf
        self._overdue = []
        for state in self.states.values():
            if state.held is None or state.saved_at is None:
                continue
            due = state.saved_at + _seconds(state.limits)
            if due <= now:
                self._overdue.append(state)
            next_look = min(next_look, max(due, now))
        if next_look < inf:
            self._wake(max(next_look - now, self.max_hold))

    def _save(self) -> bool:
        """Save what changed, and settle the messages that it came with."""
        states = [s for s in self.states.values() if s.source is not None]
        dirty = sorted(self._dirty | {state.slot for state in states})
        if not dirty:
            return True
        sources = {state.source for state in states}
        try:
            for slot in dirty:
                saved = self.save_data(self._key(slot), self._content(slot))
        except PichannelsError as exc:
            logger.error("%s: what is held is not saved: %s", self.fullpath(), exc)
            return False
        self._dirty = set()
        now = clock.monotonic()
        for state in states:
            state.source = None
            state.saved_at = now
        taken = (source.take() for source in sources if source is not None)
        # In the same step of the loop, and so in the same commit.
        self.settle_after(saved, [hold for hold in taken if hold is not None])
        return True

    def _content(self, slot: int) -> list[Sample]:
        found: list[Sample] = []
        for state in self._slots[slot]:
            found += self._again.get(state, ())
            found += self._unacked.get(state, ())
            if state.held is not None:
                found.append(state.held)
        return found


def _seconds(limits: Any) -> float:
    if limits is None or limits.maximum >= OPEN_END:
        return inf
    return float(limits.maximum / TICKS_PER_SECOND)
