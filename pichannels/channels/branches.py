"""The branches of a chain: fork, when and case.

Each stands in the chain of its parent like a node and holds the sub-channels that
the user adds nodes to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

from pichannels.channels.chain import Replaced
from pichannels.errors import Dropped, MessageError
from pichannels.message import Message
from pichannels.node import Step

if TYPE_CHECKING:
    from pichannels.channels.base import BaseChannel
    from pichannels.channels.building import ChainBuilder

__all__ = ["Branch", "Case", "Condition", "Fork", "When"]

Condition = bool | Callable[[Any], bool]
"""A value, or a function of the message (of the sample where `each=True`)."""


class Branch:
    """One branching point and its sub-channels."""

    kind = ""

    def __init__(self, parent: ChainBuilder, channels: Sequence[BaseChannel]) -> None:
        self.parent = parent
        self.channels = list(channels)
        self.name = channels[0].short_name if channels else self.kind
        self.processed = 0
        self.position = 0

    def fullpath(self) -> str:
        return f"{self.parent.name}.{self.name}"

    def step(self) -> Step:
        raise NotImplementedError


class Fork(Branch):
    """A copy of each message goes into the sub-channel; the chain goes on."""

    kind = "fork"

    def __init__(
        self, parent: ChainBuilder, channel: BaseChannel, required: bool
    ) -> None:
        super().__init__(parent, [channel])
        self.required = required

    def step(self) -> Step:
        return self.channels[0].fork_off(self.required)


class When(Branch):
    """Messages for which the condition is true leave the chain for good."""

    kind = "when"

    def __init__(
        self,
        parent: ChainBuilder,
        channel: BaseChannel,
        condition: Condition,
        each: bool,
    ) -> None:
        super().__init__(parent, [channel])
        self.condition = condition
        self.each = each

    def step(self) -> Step:
        if self.each:
            return self._split
        return self._divert_if

    def _divert_if(self, msg: Message) -> Any:
        if holds(self.condition, msg):
            return self._divert(msg)
        return msg

    async def _divert(self, msg: Message) -> Replaced:
        return Replaced(await self.channels[0].follow(msg))

    def _split(self, msg: Message) -> Any:
        taken, left = _partition(msg, [self.condition])
        if not taken[0]:
            return msg
        if not left:
            return self._divert(msg)
        return self._parts(msg, taken[0], left)

    async def _parts(
        self, msg: Message, taken: list[Any], left: list[Any]
    ) -> AsyncIterator[Message | Replaced]:
        error = None
        try:
            yield await self._divert(_part(msg, taken))
        except Dropped:
            pass
        except Exception as exc:
            error = exc
        yield _part(msg, left)
        if error is not None:
            raise error


class Case(Branch):
    """The first sub-channel whose condition is true works on the message."""

    kind = "case"

    def __init__(
        self,
        parent: ChainBuilder,
        channels: Sequence[BaseChannel],
        conditions: Sequence[Condition],
        each: bool,
    ) -> None:
        super().__init__(parent, channels)
        self.conditions = list(conditions)
        self.each = each
        self._choices = list(zip(self.conditions, self.channels, strict=True))

    def step(self) -> Step:
        if self.each:
            return self._split
        return self._choose

    def _choose(self, msg: Message) -> Any:
        for condition, channel in self._choices:
            if holds(condition, msg):
                return channel.follow(msg)
        return msg

    def _split(self, msg: Message) -> Any:
        taken, left = _partition(msg, self.conditions)
        used = [index for index, part in enumerate(taken) if part]
        if not used:
            return msg
        if len(used) == 1 and not left:
            return self.channels[used[0]].follow(msg)
        return self._parts(msg, taken, left)

    async def _parts(
        self, msg: Message, taken: list[list[Any]], left: list[Any]
    ) -> AsyncIterator[Message]:
        error = None
        for channel, samples in zip(self.channels, taken, strict=True):
            if not samples:
                continue
            try:
                result = await channel.follow(_part(msg, samples))
            except Dropped:
                continue
            except Exception as exc:
                error = exc
                continue
            yield result
        if left:
            yield _part(msg, left)
        if error is not None:
            raise error


def holds(condition: Condition, subject: Any) -> bool:
    """Whether the condition, a value or a function, is true."""
    return bool(condition(subject) if callable(condition) else condition)


def _partition(
    msg: Message, conditions: Sequence[Condition]
) -> tuple[list[list[Any]], list[Any]]:
    """The samples for each condition, first match, and those that match none."""
    if not isinstance(msg.payload, list):
        raise MessageError(
            "each=True needs a batch, a list as payload; this message has a"
            f" {type(msg.payload).__name__}"
        )
    taken: list[list[Any]] = [[] for _ in conditions]
    left = []
    for sample in msg.payload:
        for condition, part in zip(conditions, taken, strict=True):
            if holds(condition, sample):
                part.append(sample)
                break
        else:
            left.append(sample)
    return taken, left


def _part(msg: Message, samples: list[Any]) -> Message:
    part = msg.derive(samples)
    part.meta["part_of"] = msg.uuid
    return part
