"""Branches of when and case: they work on the messages of their parent."""

from __future__ import annotations

from pichannels.channels.processing import Processing
from pichannels.channels.special import state_of
from pichannels.delivery import Delivery
from pichannels.errors import ChannelStopped
from pichannels.message import Message

__all__ = ["Following"]


class Following(Processing):
    """Runs messages that are a parent's, and counts what becomes of them here."""

    async def follow(self, msg: Message) -> Message:
        """Run a message of the parent through this sub-channel: its result.

        Raises whatever a node raises.
        """
        if self._recorder is not None:
            return await self._follow_stored(msg, msg.delivery)
        if self._has_endings:
            return await self._follow_to_the_end(msg, msg.delivery)
        try:
            result = await self._run_chain(msg, msg.delivery)
        except Exception as exc:
            self._count(state_of(exc))
            raise
        self.processed += 1
        return result

    async def _follow_to_the_end(self, msg: Message, parent: Delivery) -> Message:
        self._endings.entry.keep(msg)
        outcome = await self._run_from(msg, parent, 0)
        outcome = await self._endings.run_now(outcome, parent)
        outcome.message.delivery = parent
        if outcome.error is None:
            self.processed += 1
            return outcome.message
        self._count(outcome.state)
        parent.failed_at = outcome.node
        raise outcome.error

    async def _follow_stored(self, msg: Message, parent: Delivery) -> Message:
        if not self._is_open:
            raise ChannelStopped(self.name)
        try:
            outcome = await self.run_taken(msg)
        finally:
            msg.delivery = parent
        if outcome.sample_errors:
            # What they were is said in the store of this channel.
            parent.set_aside(self.name, {}, outcome.sample_errors)
        if outcome.error is not None:
            parent.noted = outcome.error
            parent.failed_at = outcome.node
            raise outcome.error
        outcome.message.delivery = parent
        return outcome.message
