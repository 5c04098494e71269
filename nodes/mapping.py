"""Dicts with other names: fields are renamed, converted, joined, put in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from nodes._options import function
from nodes._paths import MISSING, NoSuchPlace, found_at, replaced, set_at
from pichannels.errors import UsageError
from pichannels.message import Message, isolate
from pichannels.node import BaseNode

__all__ = ["JoinMapItem", "Map", "MapItem", "ToOrderedDict"]


class MapItem(msgspec.Struct, frozen=True):
    """One field of `Map`: where it comes from, where it goes to, what is made of it.

    Attributes:
        old: its path, with dots: `patient.name`; without it the default is taken.
        new: the path to put it at; by default `old`.
        default: what is taken where there is nothing, None or an empty text.
        transform: a function of the value and the message that gives another value.

    Raises:
        UsageError: nothing says where it goes to.
    """

    old: str | None = None
    new: str | None = None
    default: Any = None
    transform: Callable[[Any, Message], Any] | None = None

    def __post_init__(self) -> None:
        if not (self.new or self.old):
            raise UsageError("MapItem needs old or new: what, or where to")
        if self.transform is not None:
            function("mapping.MapItem", self.transform, may_be_async=False)

    def conv(self, old: Mapping[str, Any], new: dict[str, Any], msg: Message) -> None:
        """Put what `old` has into `new`."""
        value = None
        if self.old:
            found = found_at(old, self.old)
            value = None if found is MISSING else found
            if self.transform is not None:
                value = self.transform(value, msg)
        if self.default is not None and (value is None or value == ""):
            value = self.default
        set_at(new, self.new or self.old or "", value)


class JoinMapItem(msgspec.Struct, frozen=True):
    """One field of `Map` that is made of several, as text.

    Attributes:
        old: their paths; those with nothing, None or an empty text are left out.
        new: the path to put the text at.
        sep: what stands between them.
    """

    old: Sequence[str]
    new: str
    sep: str = ""

    def conv(self, old: Mapping[str, Any], new: dict[str, Any], msg: Message) -> None:
        """Put what `old` has into `new`."""
        found = [found_at(old, path) for path in self.old]
        texts = [str(v) for v in found if v is not MISSING and v is not None]
        set_at(new, self.new, self.sep.join(text for text in texts if text))


class Map(BaseNode):
    """A dict made of the fields of another one.

    Args:
        mapping: `MapItem` and `JoinMapItem`, in order.
        recopy: keep the fields that came, too; where both have a field, the mapping
            goes before.
        path: of the dict in the payload, with dots; by default the payload itself.
        options: those of every node.

    Raises:
        NoSuchPlace: there is no dict at the path; fails this message only.
        UsageError: an item of the mapping is none.
    """

    changes: ClassVar = frozenset({"payload"})

    def __init__(
        self,
        mapping: Sequence[MapItem | JoinMapItem],
        recopy: bool = False,
        path: str = "",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        for item in mapping:
            if not callable(getattr(item, "conv", None)):
                raise UsageError(f"mapping takes MapItem and JoinMapItem, not {item!r}")
        self.mapping = list(mapping)
        self.recopy = recopy
        self.path = path

    def process(self, msg: Message) -> Message:
        old = _dict_at(self, msg)
        new: dict[str, Any] = isolate(dict(old)) if self.recopy else {}
        for item in self.mapping:
            item.conv(old, new, msg)
        msg.payload = replaced(msg.payload, self.path, new)
        return msg


class ToOrderedDict(BaseNode):
    """A dict with just these fields, in this order.

    Args:
        keys: the names of the fields; others are left out.
        defaults: values of fields that are not there; without one a field is left
            out.
        path: of the dict in the payload, with dots; by default the payload itself.
        options: those of every node.

    Raises:
        NoSuchPlace: there is no dict at the path; fails this message only.
    """

    changes: ClassVar = frozenset({"payload"})

    def __init__(
        self,
        keys: Sequence[str],
        defaults: Mapping[str, Any] | None = None,
        path: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.keys = list(keys)
        self.defaults = dict(defaults or {})
        self.path = path or ""

    def process(self, msg: Message) -> Message:
        found = {**isolate(self.defaults), **_dict_at(self, msg)}
        new = {key: found[key] for key in self.keys if key in found}
        msg.payload = replaced(msg.payload, self.path, new)
        return msg


def _dict_at(node: Map | ToOrderedDict, msg: Message) -> Mapping[str, Any]:
    found = found_at(msg.payload, node.path)
    if isinstance(found, Mapping):
        return found
    where = f"at {node.path!r} of the payload" if node.path else "as the payload"
    there = "nothing" if found is MISSING else type(found).__name__
    raise NoSuchPlace(f"{node.fullpath()} needs a dict {where}, and got {there}")
