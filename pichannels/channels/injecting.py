"""Messages that begin in the middle of a chain."""

from __future__ import annotations

from pichannels.channels.branches import Case
from pichannels.channels.building import ChainBuilder
from pichannels.channels.processing import Processing
from pichannels.delivery import Delivery, Outcome
from pichannels.errors import ChannelStopped, UsageError, nearest
from pichannels.message import Message
from pichannels.states import State

__all__ = ["Injecting"]


class Injecting(Processing):
    """Runs messages from a node on."""

    async def inject(self, msg: Message, start_nodename: str | None = None) -> Message:
        """Run a message from a node of this channel on, in turn; it is not stored.

        Raises:
            ChannelStopped: the channel takes no messages.
            UsageError: this channel itself has no such node.
            Exception: what `handle` raises.
        """
        delivery = Delivery()
        return self._result(msg, await self.run_from(msg, delivery, start_nodename))

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
        position = self._position(start_nodename)
        if not self._is_open:
            raise ChannelStopped(self.name)
        self._running += 1
        try:
            outcome = await self.attempt(msg, delivery, position)
            if to_the_end:
                outcome = await self._behind(outcome, delivery)
            return await self._settled(delivery, outcome)
        finally:
            self._leave()

    def _position(self, start_nodename: str | None) -> int:
        if start_nodename is None:
            return 0
        positions = {step.name: n for n, step in enumerate(self.steps)}
        if start_nodename not in positions:
            hint = nearest(start_nodename, positions)
            raise UsageError(
                f"channel {self.name!r} has no node {start_nodename!r}{hint}"
            )
        return positions[start_nodename]

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
