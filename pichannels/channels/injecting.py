"""Messages that begin in the middle of a chain."""

from __future__ import annotations

from typing import Final, Protocol

from pichannels.channels.branches import Case
from pichannels.channels.building import ChainBuilder
from pichannels.channels.following import Following
from pichannels.channels.processing import Processing
from pichannels.channels.recording import facts_of
from pichannels.channels.special import END_PHASES
from pichannels.delivery import Delivery, Outcome
from pichannels.errors import ChannelPaused, ChannelStopped, UsageError, nearest
from pichannels.message import Message
from pichannels.states import State
from pichannels.store import MessageStore

__all__ = ["INITIAL", "Injecting", "Way"]

INITIAL: Final = "_initial"
"""What stands for the first node behind the init nodes."""


class Way(Protocol):
    """What runs a message through nodes of a channel."""

    async def run(self, msg: Message, delivery: Delivery) -> Message:
        """The result; raises whatever a node raises."""


class Injecting(Following):
    """Runs messages from a node on."""

    message_store: MessageStore | None

    async def inject(
        self,
        msg: Message,
        start_nodename: str | None = None,
        call_endnodes: bool = True,
        set_state: bool = True,
    ) -> Message:
        """Run a message from a node on, in turn, also while the channel is paused.

        It is not stored.

        Args:
            msg: as it is to come to that node.
            start_nodename: the name of a node, or the full name; where it is in the
                branch of a case, the chain goes on behind it.
                `_initial` is the first node behind the init nodes; None begins with
                these. From an end node on the rest of its list runs, and the final
                nodes.
            call_endnodes: whether the end nodes run.
            set_state: whether the store, where it has the message, is told what
                became of it now.

        Raises:
            ChannelStopped: the channel takes no messages.
            UsageError: there is no such node.
            Exception: what `handle` raises.
        """
        channel, name = self._injected_at(start_nodename)
        delivery = Delivery()
        if not call_endnodes:
            delivery.again = _always
        outcome = await channel.run_from(
            msg, delivery, name, to_the_end=channel is not self
        )
        if set_state:
            await self._note_state(msg, delivery, outcome)
        return channel._result(msg, outcome)

    def _injected_at(self, name: str | None) -> tuple[Injecting, str | None]:
        """The channel, this one or a part of it, and its own name for a node."""
        if name is None or name == INITIAL or name in self._own_names():
            return self, name
        for channel in self.subchannels():
            found = channel._found_below(name)
            if found is not None:
                return found
        known = [*self._own_names(), *(node.fullpath() for node in self.nodes())]
        hint = nearest(name, known)
        raise UsageError(f"channel {self.name!r} has no node {name!r}{hint}")

    def _found_below(self, name: str) -> tuple[Injecting, str] | None:
        path, _, own = name.rpartition(".")
        if path == self.name and own in (INITIAL, *self._own_names()):
            return self, own
        if not path and name in self._own_names():
            return self, name
        found = (channel._found_below(name) for channel in self.subchannels())
        return next((each for each in found if each is not None), None)

    def _own_names(self) -> list[str]:
        return [step.name for steps in self.step_lists() for step in steps]

    async def _note_state(
        self, msg: Message, delivery: Delivery, outcome: Outcome
    ) -> None:
        store = self.message_store
        if store is None or msg.store_id is None or msg.store_chan_name != self.name:
            return
        facts = facts_of(delivery, outcome)
        await store.change_message_state(msg.store_id, outcome.state, facts)

    async def run_from(
        self,
        msg: Message,
        delivery: Delivery,
        start_nodename: str | None = None,
        *,
        to_the_end: bool = False,
    ) -> Outcome:
        """Run a message from a node of this channel on, in turn; it is not stored.

        Args:
            to_the_end: from the end of a `case` on with the chain behind it.

        Raises:
            ChannelStopped: the channel takes no messages.
            UsageError: this channel itself has no such node.
        """
        phase, position = self._position(start_nodename)
        if not self._is_open:
            raise ChannelStopped(self.name)
        self._running += 1
        try:
            if phase:
                ended = await self._endings.run_from(phase, position, msg, delivery)
                return await self._settled(delivery, ended)
            outcome = await self.attempt(msg, delivery, position)
            if to_the_end:
                outcome = await self._behind(outcome, delivery)
            return await self._settled(delivery, outcome)
        finally:
            self._leave()

    async def run_by(self, way: Way, msg: Message, delivery: Delivery) -> Outcome:
        """Run a message by another way than the chain, in turn; it is not stored.

        Raises:
            ChannelPaused: the channel processes nothing just now.
            ChannelStopped: it takes no messages.
        """
        if not self._is_open:
            raise ChannelStopped(self.name)
        if self.gate.is_closed:
            raise ChannelPaused(self.name, is_stored=False)
        self._running += 1
        try:
            try:
                result = await self.in_turn(way, msg, delivery)
                outcome = Outcome(State.PROCESSED, result)
            except Exception as exc:
                outcome = self._outcome(msg, exc, delivery)
            return await self._settled(delivery, outcome)
        finally:
            self._leave()

    async def in_turn(self, way: Way, msg: Message, delivery: Delivery) -> Message:
        """What a way makes of a message, when it is the turn of that here.

        Raises whatever a node raises.
        """
        turn = self._turn
        if self._key is not None:
            turn = self._turns[self._lane_of(msg)]
        if turn.busy:
            await turn.wait()
        turn.busy = True
        try:
            return await way.run(msg, delivery)
        finally:
            turn.done()

    def _position(self, name: str | None) -> tuple[str, int]:
        """A list of end nodes, or "" for the chain, and the place in it."""
        if name is None:
            return "", 0
        if name == INITIAL:
            return "", self._first
        for phase in END_PHASES:
            for number, node in enumerate(self.special[phase]):
                if node.name == name:
                    return phase, number
        for step in (*self.special["init"], *self.steps):
            if step.name == name:
                return "", step.position
        hint = nearest(name, self._own_names())
        raise UsageError(f"channel {self.name!r} has no node {name!r}{hint}")

    async def _behind(self, outcome: Outcome, delivery: Delivery) -> Outcome:
        """The outcome of the chains that go on where this one ends."""
        channel: ChainBuilder = self
        while outcome.state is State.PROCESSED and isinstance(channel.branch, Case):
            branch, channel = channel.branch, channel.branch.parent
            assert isinstance(channel, Processing)
            outcome = await channel.attempt(
                outcome.message, delivery, branch.position + 1
            )
        return outcome


def _always(delivery: Delivery, outcome: Outcome) -> bool:
    return True
