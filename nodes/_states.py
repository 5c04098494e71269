"""States by key, in slots that are saved together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

import msgspec

from nodes._per_tag import TAGS_KEPT
from pichannels import codecs

__all__ = ["Kept", "KeyedState", "States", "name_of"]

_SLOT: Final = 256
"""How many keys are saved under one name."""


class KeyedState(Protocol):
    """What is known of one key."""

    @property
    def is_open(self) -> bool: ...

    def dump(self) -> list[Any]: ...

    def load(self, data: list[Any]) -> list[Any]: ...

    def advance(self, mark: int, out: list[Any]) -> None: ...


class Kept:
    """The state of one key, and where it is saved.

    Attributes:
        lane: `replay`, or `live` for all other lanes.
        arrived: seconds of the clock at which the last value came.
        made: what a child makes once for the key.
    """

    __slots__ = ("_name", "arrived", "key", "lane", "made", "slot", "state")

    def __init__(self, key: Any, lane: str, state: Any) -> None:
        # Now, so that a key that cannot be saved costs the message that has it.
        self._name = codecs.encode(key)
        self.key = key
        self.lane = lane
        self.state: Any = state
        self.slot = 0
        self.arrived = 0.0
        self.made: Any = None

    def dump(self) -> list[Any]:
        """Plain data of all of it."""
        return [self._name, self.lane, self.state.dump()]


class States:
    """The states of all keys.

    Attributes:
        lanes: lane -> key -> state.
        dirty: the slots that have changed since they were saved.
    """

    def __init__(self) -> None:
        self.lanes: dict[str, dict[Any, Kept]] = {"live": {}, "replay": {}}
        self.dirty: set[int] = set()
        self._slots: list[list[Kept]] = []

    def __len__(self) -> int:
        return sum(map(len, self.lanes.values()))

    def begin(self, key: Any, lane: str, state: KeyedState) -> Kept:
        """Take in a state of a key that was not known.

        Raises:
            CodecError: the key cannot be saved.
        """
        kept = Kept(key, lane, state)
        states = self.lanes[lane]
        if len(states) >= TAGS_KEPT:
            self._forget_closed(states)
        if not self._slots or len(self._slots[-1]) >= _SLOT:
            self._slots.append([])
        self._put(kept, len(self._slots) - 1)
        return kept

    def _put(self, kept: Kept, slot: int) -> None:
        kept.slot = slot
        self.lanes[kept.lane][kept.key] = kept
        self._slots[slot].append(kept)

    def _forget_closed(self, states: dict[Any, Kept]) -> None:
        """Forget keys of which nothing is open, because there are too many."""
        for key in [key for key, kept in states.items() if not kept.state.is_open]:
            kept = states.pop(key)
            self._slots[kept.slot].remove(kept)
            self.dirty.add(kept.slot)

    def changes(self) -> Iterator[tuple[str, bytes]]:
        """What has to be saved, by name.

        Raises:
            CodecError: a value has a type without codec.
        """
        for slot in sorted(self.dirty):
            rows = [kept.dump() for kept in self._slots[slot]]
            yield name_of(slot), msgspec.msgpack.encode(rows)

    def load(self, saved: bytes, make: Callable[[], KeyedState], now: float) -> None:
        """Take in the next slot that was saved."""
        self._slots.append([])
        for name, lane, data in msgspec.msgpack.decode(saved, strict=False):
            kept = Kept(codecs.decode(name), lane, make())
            kept.state.load(data)
            kept.arrived = now
            self._put(kept, len(self._slots) - 1)

    def leave(self, saved: bytes) -> int:
        """Have a slot that was saved overwritten: how many keys there were."""
        self._slots.append([])
        self.dirty.add(len(self._slots) - 1)
        return len(msgspec.msgpack.decode(saved))


def name_of(slot: int) -> str:
    """What a slot is saved as."""
    return f"state.{slot}"
