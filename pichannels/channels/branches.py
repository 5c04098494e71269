"""The branches of a chain: fork, when and case.

Each stands in the chain of its parent like a node and holds the sub-channels that
the user adds nodes to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pichannels.channels.chain import Replaced
from pichannels.errors import MessageError, SampleErrors
from pichannels.message import Message
from pichannels.node import Step
from pichannels.tallies import Tally

if TYPE_CHECKING:
    from pichannels.channels.base import BaseChannel
    from pichannels.channels.building import ChainBuilder

__all__ = ["Branch", "Case", "Condition", "Fork", "When", "holds"]

Condition = bool | Callable[[Any], bool]
"""A value, or a function of the message (of the sample where `each=True`)."""


class Branch:
    """One branching point and its sub-channels."""

    kind = ""

    def __init__(self, parent: ChainBuilder, channels: Sequence[BaseChannel]) -> None:
        self.parent = parent
        self.channels = list(channels)
        self.name = channels[0].short_name if channels else self.kind
        self.tally = Tally()
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
        found = _partition(msg, [self.condition])
        if not (found.taken[0] or found.failed):
            return msg
        if not (found.left or found.failed):
            return self._divert(msg)
        return self._parts(msg, found)

    def _parts(self, msg: Message, found: _Partition) -> Iterator[Any]:
        if found.taken[0]:
            yield self._divert(_part(msg, found.taken[0]))
        if found.left:
            yield _part(msg, found.left)
        if found.failed:
            raise SampleErrors(found.failed)


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
        found = _partition(msg, self.conditions)
        used = [index for index, part in enumerate(found.taken) if part]
        if not (used or found.failed):
            return msg
        if len(used) == 1 and not (found.left or found.failed):
            return self.channels[used[0]].follow(msg)
        return self._parts(msg, found)

    def _parts(self, msg: Message, found: _Partition) -> Iterator[Any]:
        for channel, samples in zip(self.channels, found.taken, strict=True):
            if samples:
                yield channel.follow(_part(msg, samples))
        if found.left:
            yield _part(msg, found.left)
        if found.failed:
            raise SampleErrors(found.failed)


def holds(condition: Condition, subject: Any) -> bool:
    """Whether the condition, a value or a function, is true."""
    return bool(condition(subject) if callable(condition) else condition)


class _Partition(NamedTuple):
    """The samples for each condition, those that match none, and those that one
    could not be asked about."""

    taken: list[list[Any]]
    left: list[Any]
    failed: dict[int, BaseException | str]


def _partition(msg: Message, conditions: Sequence[Condition]) -> _Partition:
    """Each sample goes to the first condition that is true for it."""
    if not isinstance(msg.payload, list):
        raise MessageError(
            "each=True needs a batch, a list as payload; this message has a"
            f" {type(msg.payload).__name__}"
        )
    found = _Partition([[] for _ in conditions], [], {})
    for index, sample in enumerate(msg.payload):
        try:
            for condition, part in zip(conditions, found.taken, strict=True):
                if holds(condition, sample):
                    part.append(sample)
                    break
            else:
                found.left.append(sample)
        except Exception as exc:
            found.failed[index] = exc
    return found


def _part(msg: Message, samples: list[Any]) -> Message:
    part = msg.derive(samples)
    part.meta["part_of"] = msg.uuid
    return part
