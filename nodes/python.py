"""Steps from the user's own functions."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from nodes._options import function, name_of
from pichannels.errors import UsageError
from pichannels.message import Message
from pichannels.node import BaseNode

__all__ = ["Function", "MessageFunction"]


class Function(BaseNode):
    """The payload that a function makes of the payload.

    Args:
        function: plain or async; its name is the default name of the node.
        content_type: of the result; by default it stays as it was.
        options: those of every node.

    Raises:
        UsageError: the function gave None, usually a forgotten `return`.
    """

    changes: ClassVar = frozenset({"content_type", "payload"})

    def __init__(
        self,
        function: Callable[[Any], Any],
        content_type: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._function = _named(self, function)
        self.content_type = content_type

    def process(self, msg: Message) -> Message | Awaitable[Message]:
        result = self._function(msg.payload)
        if inspect.isawaitable(result):
            return self._awaited(msg, result)
        return self._with_result(msg, result)

    async def _awaited(self, msg: Message, result: Awaitable[Any]) -> Message:
        return self._with_result(msg, await result)

    def _with_result(self, msg: Message, result: Any) -> Message:
        if result is None:
            raise UsageError(
                f"{self.fullpath()}: the function gave None, not a payload; end it"
                " with `return ...`, or use publish.Call for one without a result"
            )
        msg.payload = result
        if self.content_type is not None:
            msg.content_type = self.content_type
        return msg


class MessageFunction(BaseNode):
    """The message that a function returns, or has changed in place.

    Args:
        function: plain or async; returns a message, or None when it has changed the
            one that it was given. Its name is the default name of the node.
        options: those of every node.

    Raises:
        UsageError: the function gave something else.
    """

    changes: ClassVar = frozenset({"content_type", "ctx", "meta", "payload", "uuid"})

    def __init__(
        self,
        function: Callable[[Message], Message | Awaitable[Message | None] | None],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._function = _named(self, function)

    def process(self, msg: Message) -> Message | Awaitable[Message]:
        result = self._function(msg)
        if result is None or result is msg:
            return msg
        if inspect.isawaitable(result):
            return self._awaited(msg, result)
        return self._checked(msg, result)

    async def _awaited(self, msg: Message, result: Awaitable[Any]) -> Message:
        return self._checked(msg, await result)

    def _checked(self, msg: Message, result: Any) -> Message:
        if result is None:
            return msg
        if not isinstance(result, Message):
            raise UsageError(
                f"{self.fullpath()}: the function gave {type(result).__name__}, not a"
                " message; use python.Function for one that gives a payload"
            )
        return result


def _named(node: BaseNode, found: Any) -> Callable[[Any], Any]:
    """The function, after the node has got its name where it has none."""
    checked = function(f"python.{type(node).__name__}", found, may_be_async=True)
    if node.is_auto_named:
        node.name = name_of(found) or node.name
    return checked
