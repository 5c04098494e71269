"""Facts about the payload: set, and cleared."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from nodes._options import function
from pichannels.message import Message, isolate
from pichannels.node import BaseNode

__all__ = ["MARKS", "EmptyMeta", "SetMeta"]

MARKS: Final = ("lane", "replay_of")
"""What tells how a message came here; it is never cleared."""


class SetMeta(BaseNode):
    """Put facts into the meta.

    Args:
        values: names and values; a value may be a function of the message, plain or
            async.
        options: those of every node.
    """

    changes: ClassVar = frozenset({"meta"})

    def __init__(self, values: Mapping[str, Any], **options: Any) -> None:
        super().__init__(**options)
        for value in values.values():
            if callable(value):
                function("meta.SetMeta", value, may_be_async=True)
        self.values = dict(values)

    async def process(self, msg: Message) -> Message:
        for name, value in self.values.items():
            found = value(msg) if callable(value) else isolate(value)
            msg.meta[name] = await found if inspect.isawaitable(found) else found
        return msg


class EmptyMeta(BaseNode):
    """Clear the meta, but for `lane` and `replay_of`, which tell how a message came.

    Args:
        keep: names of other facts that stay.
        options: those of every node.
    """

    changes: ClassVar = frozenset({"meta"})

    def __init__(self, keep: Sequence[str] = (), **options: Any) -> None:
        super().__init__(**options)
        self.keep = tuple(keep)

    def process(self, msg: Message) -> Message:
        kept = (*MARKS, *self.keep)
        msg.meta = {name: msg.meta[name] for name in kept if name in msg.meta}
        return msg
