"""Which messages a node has worked into its state, so that none counts twice.

A message may run again when its values are in the state already: because a sink behind
the node was not ready, after a crash, or as a dead letter. Then it gives again what it
gave before, and only what had not come before is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from pichannels.delivery import Delivery, Hold
from pichannels.message import Message
from pichannels.values import Sample

__all__ = ["Entry", "ids_of", "names_of"]


def names_of(msg: Message, delivery: Delivery) -> list[str]:
    """What an entry message is known by when it comes again: one of these is enough."""
    whole = msg.meta.get("part_of")
    names = [whole if isinstance(whole, str) else msg.uuid]
    if delivery.seq:
        names.append(f"#{delivery.seq}")
    return names


def ids_of(msg: Message, items: Iterable[Any]) -> list[str]:
    """What tells the items of a message apart, the same each time that it comes."""
    part = f"{msg.meta.get('part_of', msg.uuid)}.{msg.meta.get('part', 0)}"
    return [
        item.event_id if type(item) is Sample else f"{part}.{place}"
        for place, item in enumerate(items)
    ]


_PART: Final = ("part_of", "part")


class Entry:
    """An entry message that is not settled, and what it led to at a node.

    Attributes:
        delivery: whose settlement it is; None while the message has not come again.
        hold: keeps it unsettled until the state is saved.
        results: what goes out with it.
        late: what of it was late.
        is_saved: whether it is saved that the message is in the state.
        is_current: whether all of that is saved.
        is_whole: whether all of the message is in the state, whatever it has.
    """

    __slots__ = (
        "_attempt",
        "_ids",
        "_seen",
        "delivery",
        "hold",
        "is_current",
        "is_saved",
        "is_whole",
        "late",
        "names",
        "results",
    )

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.delivery: Delivery | None = None
        self.hold: Hold | None = None
        self.results: list[Any] = []
        self.late: list[Any] = []
        self.is_saved = self.is_current = self.is_whole = False
        # What is in the state; of most messages the ids are never asked for.
        self._seen: list[tuple[Message, Sequence[Any]]] = []
        self._ids: set[str] = set()
        self._attempt = 0

    def begin(self, delivery: Delivery) -> None:
        """The message comes, for the first time or again after a start."""
        self.delivery = delivery
        # What was saved has to go out with this run.
        self._attempt = -1 if self.is_saved else delivery.attempts

    def again(self, attempt: int) -> bool:
        """Whether this run has not been given what went out before."""
        is_new = attempt != self._attempt
        self._attempt = attempt
        return is_new

    def unknown(self, msg: Message, items: list[Any]) -> list[Any]:
        """Those of the items that are not in the state."""
        if self.is_whole:
            return []
        if not self._seen and not self._ids:
            return items
        ids = self._all_ids()
        named = zip(items, ids_of(msg, items), strict=True)
        return [item for item, id in named if id not in ids]

    def note(self, msg: Message, items: Sequence[Any]) -> None:
        """All items of the message are in the state now."""
        self._seen.append((_head(msg), items))
        self.is_current = False

    def _all_ids(self) -> set[str]:
        for head, items in self._seen:
            self._ids.update(ids_of(head, items))
        self._seen.clear()
        return self._ids

    @property
    def is_under_way(self) -> bool:
        """Whether more than the state keeps the message unsettled.

        Where only the state does, the message has gone through the whole channel, and
        all that it led to has been acknowledged.
        """
        if self.delivery is None:
            return False
        return self.delivery.owed > (self.hold is not None)

    def take_hold(self) -> Hold | None:
        """The hold, to be ended by the caller."""
        hold, self.hold = self.hold, None
        return hold

    def dump(self) -> list[Any]:
        """What has to be saved; see `load`."""
        self.is_saved = self.is_current = True
        return [self.names, sorted(self._all_ids()), self.results, self.late]

    @classmethod
    def load(cls, data: list[Any]) -> Entry:
        """What `dump` described."""
        names, ids, results, late = data
        entry = cls(names)
        entry._ids = set(ids)
        entry.results, entry.late = results, late
        entry.is_saved = entry.is_current = True
        return entry


def _head(msg: Message) -> Message:
    """What of a message its ids need, as it is changed on its way."""
    head = Message(meta={k: msg.meta[k] for k in _PART if k in msg.meta})
    head.uuid = msg.uuid
    return head
