"""Nodes with a state for each key that outlives the process, and that gives by itself.

A message that changed the state stays unsettled until the state is saved, in the same
commit of the journal. That is done each `max_hold` seconds for all keys that changed.
After a crash the messages that were not settled run again on the state that was saved;
of those that are in it although they were not settled, as a sink had not acknowledged,
the state knows which they are.

What such a node gives goes out with the message that it came with. What time alone
gives goes out by itself, and if that fails with the next message.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from nodes._marks import Entry, names_of
from nodes._options import at_least
from nodes._states import Kept, KeyedState, States, name_of
from pichannels import clock
from pichannels.channels.base import BaseChannel
from pichannels.delivery import Delivery
from pichannels.errors import Dropped, PichannelsError, Stopped, TryAgain
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.states import State
from pichannels.values import OPEN_END, TICKS_PER_SECOND

__all__ = ["Remembering"]

logger: Final = logging.getLogger("pichannels.nodes")

_MOST: Final = 1000
"""How many messages are kept unsettled, whatever `max_hold`: windows are finite."""
_KNOWN: Final = 1000
"""Of how many messages that failed it is known that they are in the state."""
_WHOLE: Final = 10_000
"""Of how many names of messages it is known that the messages were about to settle."""
_AT_ONCE: Final = 5000
"""How many results time gives in one go, and how many go out in one message."""
_LOOKS: Final = 10
"""How often in `idle` seconds it is looked for what is silent."""


class Remembering(BaseNode):
    """A node with a state for each key.

    A child implements `form`, `fresh`, `items`, `take`, `told` and `message`.

    Args:
        idle: seconds, see the child; None for never.
        ahead: seconds that the time of a value may be ahead of the clock; None for
            any time.
        max_hold: seconds that a message may stay unsettled for the state.
        options: those of every node.

    Raises:
        SettingsError: a number is not usable.
    """

    changes: ClassVar[frozenset[str]] = frozenset(
        {"content_type", "meta", "payload", "uuid"}
    )
    why = "nothing has ended"

    def __init__(
        self,
        *,
        idle: float | None,
        ahead: float | None,
        max_hold: float,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        at_least("ahead", ahead, 0)
        self._ahead = None if ahead is None else round(ahead * TICKS_PER_SECOND)
        at_least("idle", idle, 0.001)
        at_least("max_hold", max_hold, 0.001)
        self.idle = idle
        self.max_hold = max_hold
        self._forget_all()
        self.late = 0
        self.results = 0

    def _forget_all(self) -> None:
        self._states = States()
        self._entries: dict[Delivery, Entry] = {}
        self._known: dict[str, Entry] = {}
        self._whole: dict[str, None] = {}
        self._again: dict[str, list[Any]] = {"live": [], "replay": []}
        self._sent: dict[str, list[Any]] = {"live": [], "replay": []}
        self._alone: set[Delivery] = set()
        # Whether other messages than those that are saved are to be known.
        self._is_noted = False
        self._is_touched = False
        self._now = clock.monotonic()
        self._is_refused = False
        self._is_stopped = False
        self._unsettled = 0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    # What a child implements

    @property
    def form(self) -> list[Any]:
        """Plain data that differs where a saved state cannot be gone on with."""
        raise NotImplementedError

    def fresh(self, key: Any, msg: Message) -> KeyedState:
        """The state of a key that is not known yet."""
        raise NotImplementedError

    def restored(self) -> KeyedState:
        """A state to load a saved one into."""
        raise NotImplementedError

    def items(self, msg: Message) -> list[Any]:
        """What of a message is worked on, read; raises for what cannot be."""
        raise NotImplementedError

    def take(
        self, items: list[Any], msg: Message, lane: str, late: list[Any]
    ) -> list[Any]:
        """Work items into the states: what goes out; late ones are put into `late`."""
        raise NotImplementedError

    def told(self, kept: Kept, found: list[Any]) -> list[Any]:
        """What goes out for what a state has given."""
        raise NotImplementedError

    def message(self, msg: Message, results: list[Any]) -> Message:
        """The message with these results."""
        raise NotImplementedError

    def side(self, msg: Message, late: list[Any]) -> Message | None:
        """A message with what was late, where that goes on."""
        return None

    # States

    def state_of(self, key: Any, lane: str, msg: Message) -> Kept:
        """What is known of a key, which a value has come for."""
        kept = self._states.lanes[lane].get(key)
        if kept is None:
            kept = self._states.begin(key, lane, self.fresh(key, msg))
        kept.arrived = self._now
        return kept

    @property
    def latest(self) -> int:
        """The latest time that a value may have now, ticks."""
        return OPEN_END if self._ahead is None else clock.now() + self._ahead

    def touch(self, kept: Kept) -> None:
        """The state has changed."""
        self._states.dirty.add(kept.slot)
        self._is_touched = True

    def statistics(self) -> dict[str, int]:
        """Counts: keys that are known, results that were given, late values."""
        keys = len(self._states)
        return {"keys": keys, "results": self.results, "late": self.late}

    # Messages

    def process(self, msg: Message) -> Message | Iterator[Message]:
        delivery: Delivery | None = msg.delivery
        if delivery is not None and delivery in self._alone:
            return msg
        items = self.items(msg)
        self._now = clock.monotonic()
        lane = "replay" if msg.meta.get("lane") == "replay" else "live"
        results, late = self._again[lane], list[Any]()
        self._again[lane] = []
        self._is_noted |= bool(results)
        self._is_refused = False
        if delivery is None:
            results += self._taken(items, msg, lane, late)
        else:
            results, late = self._entered(items, msg, lane, delivery, results)
        return self._given(msg, results, late)

    def _taken(
        self, items: list[Any], msg: Message, lane: str, late: list[Any]
    ) -> list[Any]:
        results = self.take(items, msg, lane, late)
        self.results += len(results)
        self.late += len(late)
        return results

    def _given(
        self, msg: Message, results: list[Any], late: list[Any]
    ) -> Message | Iterator[Message]:
        aside = self.side(msg, late) if late else None
        if not results and aside is None:
            raise Dropped(self.why)
        if aside is None:
            return self.message(msg, results)
        found = [self.message(msg, results), aside] if results else [aside]
        return (each for each in found)

    def _entered(
        self,
        items: list[Any],
        msg: Message,
        lane: str,
        delivery: Delivery,
        results: list[Any],
    ) -> tuple[list[Any], list[Any]]:
        """Work a message in, as far as it is not in the states: what goes out."""
        entry = self._entries.get(delivery) or self._enter(msg, delivery)
        new, late = entry.unknown(msg, items), list[Any]()
        if new:
            self._is_touched = False
            results += self._taken(new, msg, lane, late)
            entry.note(msg, items)
            if entry.hold is None and self._is_touched:
                entry.hold = delivery.hold()
                self._unsettled += 1
        if entry.again(delivery.attempts):
            entry.results, results = entry.results + results, entry.results + results
            entry.late, late = entry.late + late, entry.late + late
        else:
            entry.results += results
            entry.late += late
        self._wake(0 if self._unsettled > _MOST else None)
        return results, late

    def _enter(self, msg: Message, delivery: Delivery) -> Entry:
        entry, names = None, names_of(msg, delivery)
        for name in names if self._known else ():
            entry = entry or self._known.get(name)
        if entry is None:
            entry = Entry([])
        else:
            self._forget_known(entry)
        if self._whole:
            entry.is_whole = any(name in self._whole for name in names)
        entry.begin(delivery)
        self._entries[delivery] = entry
        # Known by what it is now, which tells it from then on.
        entry.names = names
        delivery.on_settled(self._settled)
        return entry

    def _forget_known(self, entry: Entry) -> None:
        for name in entry.names:
            self._known.pop(name, None)
        self._is_noted = True

    def _settled(self, delivery: Delivery) -> None:
        entry = self._entries.pop(delivery, None)
        if entry is None:
            return
        self._is_noted |= entry.is_saved
        if delivery.failure is not None:
            # As a dead letter it may run again.
            self._know(entry)
        if self._is_noted:
            self._wake()

    def _know(self, entry: Entry) -> None:
        entry.delivery = None
        entry.is_saved = True
        for name in entry.names:
            self._known[name] = entry
        self._is_noted = True
        while len(self._known) > 2 * _KNOWN:
            self._forget_known(next(iter(self._known.values())))

    # Time

    def _wake(self, delay: float | None = None) -> None:
        """Look again in `delay` seconds at the latest, by default in `max_hold`."""
        if self._is_stopped:
            return
        loop = asyncio.get_running_loop()
        due = loop.time() + (self.max_hold if delay is None else delay)
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due, self._look)

    def _look(self) -> None:
        """Close what is silent, save what changed, send what is to be sent alone."""
        self._timer = None
        self._unsettled = 0
        # No more than one message of it waits to go out.
        idle = None if self._has_results else self.idle
        if idle is not None and not self._is_behind(idle):
            self._close_idle(idle)
        is_saved = self._save()
        if self._has_results:
            self._send_alone()
        if not is_saved or self._has_results:
            self._wake()
        elif self.idle is not None and self._states:
            self._wake(max(self.max_hold, self.idle / _LOOKS))

    def _is_behind(self, idle: float) -> bool:
        """Whether values may be waiting in front of this node."""
        channel = self.channel
        if not isinstance(channel, BaseChannel):
            return False
        whole = channel.root
        if whole.gate.is_closed or channel.is_stopped():
            return True
        if not isinstance(whole, BaseChannel):
            return False
        return not whole.is_ready or whole.lag > max(idle, self.max_hold)

    @property
    def _has_results(self) -> bool:
        """Whether results wait that no message has taken."""
        return any(self._again.values()) or any(self._sent.values())

    def _close_idle(self, idle: float) -> None:
        """Close what is silent, as much as goes out in one message."""
        left = _AT_ONCE
        latest = clock.monotonic() - idle
        mark = clock.now() - round(idle * TICKS_PER_SECOND)
        for lane, states in self._states.lanes.items():
            for kept in states.values():
                if kept.arrived <= latest and kept.state.is_open:
                    found: list[Any] = []
                    kept.state.advance(mark, found)
                    if not found:
                        continue
                    self.touch(kept)
                    results = self.told(kept, found)
                    self._again[lane] += results
                    self._is_noted = True
                    self.results += len(results)
                    left -= len(results)
                    if left <= 0:
                        return

    def _send_alone(self) -> None:
        channel = self.channel
        if not isinstance(channel, BaseChannel) or channel.is_stopped():
            return
        is_free = self._task is None and not self._is_refused
        if is_free and not channel.root.gate.is_closed:
            name = f"{self.fullpath()}: what time gives"
            self._task = asyncio.create_task(self._send(channel), name=name)

    async def _send(self, channel: BaseChannel) -> None:
        try:
            for lane in list(self._again):
                waiting = self._again[lane]
                results, self._again[lane] = waiting[:_AT_ONCE], waiting[_AT_ONCE:]
                self._sent[lane] = results
                if not results:
                    continue
                is_done = False
                try:
                    is_done = await self._has_sent(channel, lane, results)
                finally:
                    self._sent[lane] = []
                    self._is_noted = True
                    if not is_done:
                        self._again[lane] = results + self._again[lane]
            if not self._has_results:
                # There may be more, which was not closed so far.
                self._wake(0)
        finally:
            self._task = None

    async def _has_sent(
        self, channel: BaseChannel, lane: str, results: list[Any]
    ) -> bool:
        """Run results through the rest of the channel: whether that was it."""
        msg = self.message(Message(meta={"lane": lane}), list(results))
        delivery = Delivery()
        self._alone.add(delivery)
        try:
            outcome = await channel.run_from(
                msg, delivery, self.name, to_the_end=channel.parent is not None
            )
        except Stopped:
            return False
        finally:
            self._alone.discard(delivery)
        if outcome.state is not State.ERROR and not outcome.sample_errors:
            return True
        # What fails for good has to be a dead letter, which takes a message.
        self._is_refused = not isinstance(outcome.error, TryAgain)
        return False

    # Saving

    def _save(self) -> bool:
        """Save what changed, and settle the messages that it came with."""
        holding = [entry for entry in self._entries.values() if entry.hold is not None]
        try:
            # All of it is encoded before the first part is saved.
            changes = list(self._changes())
            if not changes:
                return not holding
            for name, value in changes:
                saved = self.save_data(name, value)
        except PichannelsError as exc:
            logger.error("%s: the state is not saved: %s", self.fullpath(), exc)
            self._is_noted = True
            return False
        self._states.dirty = set()
        self._is_noted = False
        taken = [entry.take_hold() for entry in holding]
        # In the same step of the loop, and so in the same commit.
        self.settle_after(saved, [hold for hold in taken if hold is not None])
        return True

    def _changes(self) -> Iterator[tuple[str, Any]]:
        yield from self._states.changes()
        entries = self._entries.values()
        under_way = [entry for entry in entries if entry.is_under_way]
        # These are settled now, but where that takes two commits not at once.
        ending = [e for e in entries if e.hold is not None and not e.is_under_way]
        is_new = not all(entry.is_current for entry in under_way)
        if self._is_noted or ending or is_new:
            known = {id(entry): entry for entry in self._known.values()}
            saved = [entry.dump() for entry in (*known.values(), *under_way)]
            whole = [name for entry in ending for name in entry.names]
            results = {
                lane: self._sent[lane] + again for lane, again in self._again.items()
            }
            yield "notes", [saved, results, [*self._whole, *whole]]

    async def start(self) -> None:
        """Go on with what was saved.

        Where the settings have changed so that it cannot be, that is told in the log,
        and everything begins anew.
        """
        self._forget_all()
        form = await self.restore_data("form", None)
        is_ours = form is None or form == self.form
        await self._restore_states(is_ours)
        if form != self.form:
            await self.save_data("form", self.form)
        notes = await self.restore_data("notes", [[], {}, []])
        entries, again, whole = notes
        for data in entries:
            self._know(Entry.load(data))
        self._again.update(again)
        self._whole = dict.fromkeys(whole[-_WHOLE:])
        if self._states or self._has_results:
            self._wake()

    async def _restore_states(self, is_ours: bool) -> None:
        number = lost = 0
        while (saved := await self.restore_data(name_of(number), None)) is not None:
            if is_ours:
                self._states.load(saved, self.restored, self._now)
            else:
                lost += self._states.leave(saved)
            number += 1
        if lost:
            logger.warning(
                "%s: the settings have changed, and the windows of %d keys begin anew",
                self.fullpath(),
                lost,
            )

    async def stop(self) -> None:
        """Save the state."""
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._save()
