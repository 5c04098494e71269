"""What pipes hold, kept in a cache together with what has been taken.

The states of the keys that a value has changed, and where that value came from, are one
write. So a value that comes again, as it was not settled before a crash, is known.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

from pichannels import codecs
from pichannels.dataflow.cache import Cache
from pichannels.dataflow.following import part_of
from pichannels.dataflow.interfaces import Key
from pichannels.dataflow.topic_stream import Record
from pichannels.errors import UsageError
from pichannels.message import Message

__all__ = ["Saved"]

logger: Final = logging.getLogger("pichannels.dataflow")

_FORM: Final = "form"
_STATE: Final = b"s"
_PLACE: Final = b"p"
_MESSAGE: Final = b"m"
_READY: Final = "ready"
_END: Final = b"z"
_MESSAGES_KEPT: Final = 1000
"""Of a channel so many may be unsettled, and so come again."""


class Dumped(Protocol):
    """The state of a key."""

    def dump(self) -> list[Any]: ...

    def load(self, data: list[Any]) -> list[Any]: ...


_State = TypeVar("_State", bound=Dumped)


class Saved(Generic[_State]):
    """The states of one pipe in a part of a cache.

    Args:
        cache: a cache, or a part of one.
        form: what differs where a state cannot be gone on with.
        make: makes an empty state.

    Attributes:
        ready: what was to go out, as it was saved last.

    Raises:
        UsageError: another pipe has it.
        CacheError: it cannot be read.
    """

    def __init__(
        self, cache: Cache, form: list[Any], make: Callable[[], _State]
    ) -> None:
        self._part = part_of(cache, "windows")
        if self._part.keeper is not None:
            raise UsageError(
                "this cache has the windows of another pipe already; give it a part of"
                " its own, state=cache.create_column_family(...)"
            )
        self._part.keeper = self
        self._form = form
        self._make = make
        self._offsets: dict[bytes, int] = {}
        self._told: set[bytes] = set()
        self._messages: dict[str, int] = {}
        self._number = 0
        self.ready: list[Any] = []

    def load(self) -> dict[Any, _State]:
        """The states by key, none where they cannot be gone on with; blocks."""
        part, found = self._part, dict[Any, _State]()
        if part[_FORM] != self._form:
            if part[_FORM] is not None:
                logger.warning("a pipe has changed, and its windows begin anew")
            part.delete_range(b"", _END)
            part.delete(_READY)
            part[_FORM] = self._form
        for name, data in part.items(prefix=_STATE):
            assert isinstance(name, bytes)
            state = found[codecs.decode(name[1:])] = self._make()
            state.load(data)
        self._offsets = dict(part.items(prefix=_PLACE))  # type: ignore[arg-type]
        came = [(number, uuid) for _, (number, uuid) in part.items(prefix=_MESSAGE)]
        self._messages = {uuid: number for number, uuid in sorted(came)}
        self._number = max(self._messages.values(), default=0)
        self.ready = part[_READY] or []
        return found

    def has(self, value: Any) -> bool:
        """Whether a value that has come is in the states already."""
        if type(value) is Record:
            place = _place_of(value)
            last = self._offsets.get(place, -1)
            if value.offset > last:
                return False
            if place not in self._told:
                self._told.add(place)
                told = "%s/%s: all up to offset %s is in the state already"
                logger.info(told, value.topic, value.partition, last)
            return True
        return type(value) is Message and value.uuid in self._messages

    async def save(
        self, states: Mapping[Any, _State], value: Any, ready: list[Any] | None = None
    ) -> None:
        """Save states, that a value is in them, and what of them is to go out.

        Raises:
            CacheError: they cannot be written.
            CodecError: a key or a value has a type without codec.
        """
        if self.has(value):
            value = None
        found: dict[Key, Any] = {
            _STATE + codecs.encode(key): state.dump() for key, state in states.items()
        }
        if type(value) is Record:
            found[_place_of(value)] = value.offset
        elif type(value) is Message:
            slot = (self._number + 1) % _MESSAGES_KEPT
            found[_MESSAGE + slot.to_bytes(2)] = [self._number + 1, value.uuid]
        if ready or self.ready:
            found[_READY] = self.ready = ready or []
        if not found:
            return
        await self._part.store_all(found)
        if type(value) is Record:
            self._offsets[_place_of(value)] = value.offset
        elif type(value) is Message:
            self._note(value.uuid)

    def _note(self, uuid: str) -> None:
        self._number += 1
        self._messages[uuid] = self._number
        if len(self._messages) > _MESSAGES_KEPT:
            del self._messages[next(iter(self._messages))]


def _place_of(record: Record) -> bytes:
    return _PLACE + codecs.encode([record.topic, record.partition])
