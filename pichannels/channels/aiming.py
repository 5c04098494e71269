"""Stored messages for some of the sinks of a channel only; the others are not touched.

What a store has is what came to the channel. So the nodes before a sink run, to make
of it what the sink is to get, in their turn among the messages that come; the sinks
that are not meant pass on what they get, and forks that lead to none are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from pichannels.channels.branches import Branch, Case, Fork, When
from pichannels.channels.chain import Chain
from pichannels.channels.recording import facts_of
from pichannels.channels.traced import make_chain
from pichannels.delivery import Delivery, Outcome
from pichannels.errors import Dropped, UsageError, nearest
from pichannels.message import Message
from pichannels.node import BaseNode, Step, Tally
from pichannels.states import State

if TYPE_CHECKING:
    from pichannels.channels.base import BaseChannel

__all__ = ["Aim"]

_SHOWN: Final = 5


class Aim:
    """Some of the sinks of a channel, and the way to them.

    Args:
        channel: whose messages run.
        from_node: the sinks from this node on, by its name or full name.
        to_sink: only this sink.

    Attributes:
        sinks: the full names of those that act.
        touched: how often one of them was given something.

    Raises:
        UsageError: there is no such node or sink, or none behind the node.
    """

    def __init__(
        self,
        channel: BaseChannel,
        from_node: str | None = None,
        to_sink: str | None = None,
    ) -> None:
        self.channel = channel
        nodes = list(_nodes(channel))
        if from_node is not None:
            start = _named(channel, nodes, from_node)
            nodes = list(_from(start))
        if to_sink is not None:
            sink = _named(channel, nodes, to_sink)
            if not sink.is_sink:
                raise UsageError(f"node {sink.fullpath()!r} is no sink")
            nodes = [sink]
        self.sinks = frozenset(node.fullpath() for node in nodes if node.is_sink)
        if not self.sinks:
            raise UsageError(f"there is no sink from node {from_node!r} on")
        self.is_one = to_sink is not None
        self.touched = 0
        self._route = _Route(channel, self)

    async def run(self, msg: Message) -> Outcome:
        """Run a message, in turn, and say what became of it, once it is settled.

        What went well is kept in the store of the channel, as what was replayed
        otherwise is. What fails is not: it is no dead letter, which would run to all
        sinks again.

        Raises:
            ChannelPaused: the channel processes nothing just now.
            ChannelStopped: it takes no messages.
        """
        original = msg.copy()
        delivery = Delivery()
        outcome = await self.channel.run_by(self._route, msg, delivery)
        if outcome.state is not State.ERROR and not outcome.sample_errors:
            await self._keep(original, delivery, outcome)
        return outcome

    async def _keep(self, msg: Message, delivery: Delivery, outcome: Outcome) -> None:
        channel, history = self.channel, self.channel.history
        if channel.keeps and channel.journal is not None:
            # Both in one commit: what is not settled would run again after a crash.
            ticket = channel.journal.append(channel.name, msg, lane="replay")
            facts = facts_of(delivery, outcome)
            channel.journal.settle(ticket.seq, outcome.state, facts)
            await ticket.written()
        elif history is not None:
            await history.admit(msg, delivery)
            settled = history.settle(delivery, outcome)
            if settled is not None:
                await settled

    def takes(self, steps: Iterable[BaseNode | Branch]) -> bool:
        """Whether one of the sinks is in these steps, or below them."""
        return any(
            step.fullpath() in self.sinks
            if isinstance(step, BaseNode)
            else any(self.takes(each.steps) for each in step.channels)
            for step in steps
        )

    def counted(self, call: Step) -> Step:
        """A call of one of the sinks."""

        def give(msg: Message) -> Any:
            self.touched += 1
            return call(msg)

        return give


class _Route:
    """The chain of a channel, of whose sinks only some act."""

    def __init__(self, channel: BaseChannel, aim: Aim) -> None:
        self.short_name = channel.short_name
        self._channel = channel
        steps = channel.steps
        if aim.is_one:
            # Nothing behind the one sink has to run for it.
            last = max(
                (n for n, step in enumerate(steps) if aim.takes([step])), default=-1
            )
            steps = steps[: last + 1] if last >= 0 else steps
        all_steps = [*channel.special["init"], *steps]
        self._chain: Chain = make_chain(
            channel.name,
            [_Point(step, aim) for step in all_steps],
            tracer=channel.tracer,
        )

    async def run(self, msg: Message, delivery: Delivery) -> Message:
        """The message after all steps."""
        return await self._chain.run(msg, delivery)

    async def follow(self, msg: Message) -> Message:
        """Run a message of the parent, in the turn of this channel."""
        return await self._channel.in_turn(self, msg, msg.delivery)


class _Point:
    """A step on a route: counted for itself, the node's own place stays as it is."""

    def __init__(self, step: BaseNode | Branch, aim: Aim) -> None:
        self.name = step.name
        self.tally = Tally()
        self.position = 0
        self._step = step
        self._aim = aim

    def fullpath(self) -> str:
        return self._step.fullpath()

    def step(self) -> Step:
        step, aim = self._step, self._aim
        if isinstance(step, BaseNode):
            if not step.is_sink:
                return step.step()
            is_meant = step.fullpath() in aim.sinks
            return aim.counted(step.step()) if is_meant else _passed_on
        if isinstance(step, Fork):
            if not aim.takes([step]):
                return _passed_on
            return _Side(_Route(step.channels[0], aim)).step
        return _rerouted(step, aim).step()


def _rerouted(step: Branch, aim: Aim) -> Branch:
    # A route does of a channel what a branch asks of it.
    routes = cast("Sequence[BaseChannel]", [_Route(c, aim) for c in step.channels])
    if isinstance(step, When):
        return When(step.parent, routes[0], step.condition, step.each)
    assert isinstance(step, Case)
    return Case(step.parent, routes, step.conditions, step.each)


class _Side:
    """A fork that leads to one of the sinks."""

    def __init__(self, route: _Route) -> None:
        self._route = route

    async def step(self, msg: Message) -> Message:
        """Give it its copy; the chain goes on when that has run."""
        copy = msg.copy()
        copy.delivery = msg.delivery
        try:
            await self._route.follow(copy)
        except Dropped:
            # A drop in a fork is no drop of the message.
            msg.delivery.failed_at = ""
        return msg


def _passed_on(msg: Message) -> Message:
    return msg


# Which nodes


def _nodes(channel: BaseChannel, start: int = 0) -> Iterator[BaseNode]:
    """The nodes of the chain from a step on, with those of its branches."""
    if not start:
        yield from channel.special["init"]
    for step in channel.steps[start:]:
        if isinstance(step, BaseNode):
            yield step
        else:
            for each in step.channels:
                yield from _nodes(each)


def _from(node: BaseNode) -> Iterator[BaseNode]:
    """A node, and all that its output comes to."""
    channel = cast("BaseChannel", node.channel)
    if node in channel.special["init"]:
        yield from _nodes(channel)
    else:
        yield from _nodes(channel, channel.steps.index(node))
    while isinstance(channel.branch, Case):
        branch, channel = channel.branch, cast("BaseChannel", channel.parent)
        after = channel.steps.index(branch) + 1
        if after < len(channel.steps):
            yield from _nodes(channel, after)


def _named(channel: BaseChannel, nodes: Sequence[BaseNode], name: str) -> BaseNode:
    whole = [node for node in nodes if node.fullpath() == name]
    found = whole or [node for node in nodes if node.name == name]
    if len(found) == 1:
        return found[0]
    paths = [node.fullpath() for node in found or nodes]
    if found:
        raise UsageError(f"there are several nodes {name!r}: {', '.join(paths)}")
    hint = nearest(name, [*(node.name for node in nodes), *paths])
    raise UsageError(f"channel {channel.name!r} has no node {name!r} there{hint}")
