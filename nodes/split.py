"""One message to several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from nodes._batches import no_batch
from nodes._options import function
from pichannels.errors import Rejected, SettingsError, UsageError
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.values import Sample

__all__ = ["Items", "Split"]


class Split(BaseNode):
    """The parts of a message whose payload is a list, in order.

    Each part is a message of its own with `meta["part_of"]`, the uuid of the whole,
    `meta["part"]`, its number from 1, and `meta["parts"]`, how many there are. The
    whole is settled when all parts are. An empty list is dropped.

    Args:
        by: `"tag"` (a part for each tag), a number (so many items in each part), or
            a plain function (a part for each result that it gives for an item).
            Parts are in the order of their first items; within a part items keep
            theirs.
        options: those of every node.
    """

    changes: ClassVar = frozenset({"meta", "payload", "uuid"})

    def __init__(
        self, by: str | int | Callable[[Any], Any] = "tag", **options: Any
    ) -> None:
        super().__init__(**options)
        self._parts = _splitter(by)

    def process(self, msg: Message) -> Iterator[Message]:
        payload = msg.payload
        if not isinstance(payload, list):
            raise UsageError(
                f"{self.fullpath()} splits lists, and got {type(payload).__name__}"
            )
        try:
            parts = self._parts(payload)
        except AttributeError as exc:
            if self._parts is not _by_tag:
                raise
            raise no_batch(self.fullpath(), payload) from exc
        return self._messages(msg, parts)

    def _messages(self, msg: Message, parts: list[list[Any]]) -> Iterator[Message]:
        for number, items in enumerate(parts, 1):
            part = msg.derive(items)
            part.meta["part_of"] = msg.uuid
            part.meta["part"] = number
            part.meta["parts"] = len(parts)
            yield part


class Items(BaseNode):
    """A message for each item of a payload, in order.

    The payload is anything that can be gone through, such as a list, a tuple or a
    generator; texts, bytes and dicts are one thing. Each item is the payload of a
    message of its own, with `meta["part_of"]`, the uuid of the whole, and
    `meta["part"]`, its number from 1. The whole is settled when all of them are; one
    without items is dropped.

    Args:
        options: those of every node.

    Raises:
        Rejected: the payload has no items.
    """

    changes: ClassVar = frozenset({"meta", "payload", "uuid"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)

    def process(self, msg: Message) -> Iterator[Message]:
        items = msg.payload
        if isinstance(items, str | bytes | Mapping) or not isinstance(items, Iterable):
            kind = type(items).__name__
            raise Rejected(f"{self.fullpath()}: a payload that is {kind} has no items")
        return self._messages(msg, items)

    def _messages(self, msg: Message, items: Iterable[Any]) -> Iterator[Message]:
        for number, item in enumerate(items, 1):
            part = msg.derive(item)
            part.meta["part_of"] = msg.uuid
            part.meta["part"] = number
            yield part


def _splitter(by: Any) -> Callable[[list[Any]], list[list[Any]]]:
    if by == "tag":
        return _by_tag
    if isinstance(by, int) and not isinstance(by, bool) and by > 0:
        return lambda items: [items[i : i + by] for i in range(0, len(items), by)]
    if callable(by):
        key = function("split.Split", by, may_be_async=False)
        return lambda items: _grouped(items, key)
    raise SettingsError(
        "not a way to split", key="by", found=by, allowed="'tag', a number, a function"
    )


def _by_tag(items: list[Sample]) -> list[list[Sample]]:
    return _grouped(items, lambda sample: sample.tag)


def _grouped(items: list[Any], key: Callable[[Any], Any]) -> list[list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())
