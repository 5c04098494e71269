"""How a chain is put together: nodes, branches and their names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

from pichannels.channels.branches import Branch, Case, Condition, Fork, When
from pichannels.channels.diagram import dot_lines, mermaid_lines
from pichannels.channels.picture import text_lines
from pichannels.channels.special import END_PHASES
from pichannels.errors import UsageError
from pichannels.fingerprint import Defined
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.store import MessageStoreFactory

if TYPE_CHECKING:
    from pichannels.channels.base import BaseChannel

__all__ = ["ChainBuilder"]


class ChainBuilder(Defined):
    """The building half of a channel."""

    name: str
    short_name: str
    parent: ChainBuilder | None
    steps: list[BaseNode | Branch]
    special: dict[str, list[BaseNode]]
    """The nodes before the chain and at its end, by phase."""
    keep_order = False
    """Whether nothing of a tag overtakes what has failed; see `parking`."""
    branch: Branch | None = None
    """What of the parent's chain leads here."""
    inputs: Sequence[BaseChannel] = ()
    """The channels whose messages come here, of one that merges them."""

    @property
    def origin(self) -> str:
        """Where messages come from, for pictures; empty where the kind says it all."""
        return ""

    def make_sub_channel(
        self, name: str, factory: MessageStoreFactory | None
    ) -> BaseChannel:
        """A channel whose parent is this one."""
        raise NotImplementedError

    def note_meta(self, msg: Message, names: Sequence[str]) -> None:
        """Let the store keep these facts of `msg.meta` with the entry message."""
        raise NotImplementedError

    def chain_changed(self) -> None:
        """Called after each change of the steps."""
        raise NotImplementedError

    def add(self, *args: Any) -> Self:
        """Add nodes to the end of the chain; lists of nodes are taken apart.

        Raises:
            UsageError: something that is no node, or a name given twice.
        """
        return self.append(*args)

    def add_first(self, node: BaseNode) -> Self:
        """Put a node before the others of the chain.

        Raises:
            UsageError: it is in a channel already, or its name is given twice.
        """
        self._add_node(node, self.steps, 0)
        return self

    def append(self, *args: Any) -> Self:
        """The same as `add`."""
        return self._add(args, self.steps)

    def add_init_nodes(self, *args: Any) -> Self:
        """Add nodes that run before the others.

        End nodes then see the message as it leaves them.
        """
        return self._add(args, self.special["init"])

    def add_join_nodes(self, *args: Any) -> Self:
        """Add nodes that get the result of the channel, where all went well.

        End nodes run in order, after the chain and what its message waits for. They
        change nothing of the result; what they raise takes the place of what became
        of the message, and a join node that raises lets the drop, reject or fail
        nodes run.
        """
        return self._add(args, self.special["join"])

    def add_drop_nodes(self, *args: Any) -> Self:
        """Add nodes that get the messages that a node has dropped."""
        return self._add(args, self.special["drop"])

    def add_reject_nodes(self, *args: Any) -> Self:
        """Add nodes that get the messages that a node has rejected."""
        return self._add(args, self.special["reject"])

    def add_fail_nodes(self, *args: Any) -> Self:
        """Add nodes that get the messages that have failed, once they are given up.

        They get the message as it came to the chain, with `msg.chan_exc`.
        """
        return self._add(args, self.special["fail"])

    def add_final_nodes(self, *args: Any) -> Self:
        """Add nodes that run last, whatever became of the message.

        They get it as it came to the chain, with `msg.chan_exc` or `msg.chan_rslt`.
        """
        return self._add(args, self.special["final"])

    def _add(self, args: Sequence[Any], where: list[Any]) -> Self:
        for node in _flattened(args):
            if not isinstance(node, BaseNode):
                raise UsageError(
                    f"channel {self.name!r}: {node!r} is no node; a function goes"
                    " into nodes.python.Function(...)"
                )
            self._add_node(node, where, len(where))
        return self

    def _add_node(self, node: BaseNode, where: list[Any], place: int) -> None:
        if node.channel is not None:
            raise UsageError(
                f"node {node.fullpath()!r} is in a channel already; make another one"
            )
        node.name = self._free_name(node.name, node.is_auto_named)
        node.join(self, self.chain_changed)
        where.insert(place, node)
        self.chain_changed()

    def _free_name(self, name: str, may_number: bool) -> str:
        taken = {step.name for steps in self.step_lists() for step in steps}
        taken.update(c.short_name for step in self._branches() for c in step.channels)
        if name not in taken:
            return name
        if not may_number:
            raise UsageError(f"channel {self.name!r} has two steps named {name!r}")
        number = 2
        while f"{name}_{number}" in taken:
            number += 1
        return f"{name}_{number}"

    def _sub_channel(
        self, name: str | None, kind: str, factory: MessageStoreFactory | None
    ) -> BaseChannel:
        free = self._free_name(name or kind, name is None)
        return self.make_sub_channel(free, factory)

    def fork(
        self,
        name: str | None = None,
        message_store_factory: MessageStoreFactory | None = None,
        *,
        required: bool = True,
    ) -> BaseChannel:
        """A sub-channel that gets a copy of each message at this point.

        It works beside the main chain. A message is settled when its copy is too; a
        fork with a durable store of its own counts as soon as the copy is stored.

        Args:
            name: unique among the steps of this channel.
            message_store_factory: keeps the copies.
            required: False means that the fork never holds or fails the message;
                its failures are logged and counted, and copies that it has no room
                for are discarded and counted.
        """
        channel = self._sub_channel(name, "fork", message_store_factory)
        return self._branch(Fork(self, channel, required))[0]

    def when(
        self,
        condition: Condition,
        name: str | None = None,
        message_store_factory: MessageStoreFactory | None = None,
        *,
        each: bool = False,
    ) -> BaseChannel:
        """A sub-channel that replaces the rest where the condition is true.

        Its result is the result of the channel.

        Args:
            condition: a value, or a function of the message; with `each` of one
                sample.
            name: unique among the steps of this channel.
            message_store_factory: keeps what comes this way.
            each: split a batch: the samples for which the condition is true leave,
                the others go on.
        """
        channel = self._sub_channel(name, "when", message_store_factory)
        return self._branch(When(self, channel, condition, each))[0]

    def case(
        self,
        *conditions: Condition,
        names: Sequence[str] | None = None,
        message_store_factory: MessageStoreFactory | None = None,
        each: bool = False,
    ) -> list[BaseChannel]:
        """One sub-channel for each condition; the first that is true is taken.

        Then the chain goes on with its result; without a match with the message.

        Args:
            conditions: values, or functions of the message (of a sample with
                `each`).
            names: one for each condition.
            message_store_factory: keeps what comes each way.
            each: split a batch, in order, into one part for each condition and one
                for the samples that match none.

        Raises:
            UsageError: as many names as conditions are needed.
        """
        if names is not None and len(names) != len(conditions):
            raise UsageError(
                f"case got {len(conditions)} conditions but {len(names)} names"
            )
        if names is not None and len(set(names)) != len(names):
            raise UsageError(f"channel {self.name!r}: case got a name twice: {names!r}")
        channels: list[BaseChannel] = []
        for number in range(len(conditions)):
            name = names[number] if names else None
            channels.append(
                self._sub_channel(name, f"case{number}", message_store_factory)
            )
        return self._branch(Case(self, channels, conditions, each))

    def _branch(self, branch: Branch) -> list[BaseChannel]:
        self.steps.append(branch)
        for channel in branch.channels:
            channel.branch = branch
        self.chain_changed()
        return branch.channels

    def _branches(self) -> list[Branch]:
        return [step for step in self.steps if isinstance(step, Branch)]

    def subchannels(self) -> list[BaseChannel]:
        """The sub-channels of all branches, in order, without theirs."""
        return [channel for branch in self._branches() for channel in branch.channels]

    def step_lists(self) -> Iterator[list[Any]]:
        """The init nodes, the steps of the chain, and the lists of end nodes."""
        yield self.special["init"]
        yield self.steps
        yield from (self.special[phase] for phase in END_PHASES)

    def own_nodes(self) -> Iterator[BaseNode]:
        """All nodes without those of sub-channels, in order."""
        for steps in self.step_lists():
            yield from (step for step in steps if isinstance(step, BaseNode))

    def nodes(self) -> Iterator[BaseNode]:
        """All nodes, those of sub-channels too, in order."""
        for steps in self.step_lists():
            for step in steps:
                if isinstance(step, BaseNode):
                    yield step
                else:
                    for channel in step.channels:
                        yield from channel.nodes()

    def get_node(self, name: str) -> BaseNode | None:
        """The node with this name, here or in a sub-channel; None without one."""
        for node in self.nodes():
            if name in (node.name, node.fullpath()):
                return node
        return None

    def graph(self, prefix: str = "", dot: bool = False) -> Iterator[str]:
        """The chain as lines of text, or of Graphviz dot."""
        return dot_lines(self) if dot else text_lines(self, prefix)

    def graph_dot(self, end: str = "") -> Iterator[str]:
        """The chain as lines of Graphviz dot, up to the node id `end`."""
        return dot_lines(self, end)

    def graph_mermaid(self) -> Iterator[str]:
        """The chain as lines of a Mermaid flowchart."""
        return mermaid_lines(self)


def _flattened(args: Sequence[Any]) -> Iterator[Any]:
    for arg in args:
        if isinstance(arg, list | tuple):
            yield from _flattened(arg)
        elif arg is not None:
            yield arg
