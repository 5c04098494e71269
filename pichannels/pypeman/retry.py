"""What waits in a channel for another try, by pypeman's names.

There is no folder for it (`RETRY_STORE_PATH`): what waits is in the journal, in front
of what came later. The whole chain runs again, not the rest of it from one node on.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pichannels.channels import BaseChannel
from pichannels.message import Message

__all__ = ["RetryFileMsgStore"]


class RetryFileMsgStore:
    """What waits in one channel; that of a sub-channel is that of the whole.

    Args:
        channel: whose.
        options: not used; how often and how soon is `retry` of the channel.
    """

    STOPPED: ClassVar = "STOPPED"
    RETRY_MODE: ClassVar = "RETRY_MODE"

    def __init__(self, *, channel: BaseChannel, **options: Any) -> None:
        self.channel: Any = channel.root

    @property
    def state(self) -> str:
        """`RETRY_MODE` while the channel pauses until a message has gone through."""
        gate = self.channel.gate
        return self.RETRY_MODE if gate.is_closed and not gate.is_held else self.STOPPED

    @property
    def retry_attempts(self) -> int:
        """How often messages of the channel were tried again since it was made."""
        return int(self.channel.counts.retries)

    async def total(self) -> int:
        """How many messages are not settled.

        Raises:
            JournalError: the journal does not work.
        """
        journal = self.channel.journal
        if journal is None:
            return 0
        await journal.flush()
        return int(journal.count_unsettled(self.channel.name))

    async def store_until_retry(
        self, msg: Message, nodename: str | None = None
    ) -> None:
        """Let the channel pause, and run a message when it goes on.

        Args:
            msg: what runs, through the whole chain.
            nodename: not used.

        Raises:
            CodecError: the message cannot be encoded.
            UsageError: the channel has no journal, or does not run.
        """
        await self.channel.store_until_retry(msg)

    async def retry(self) -> None:
        """Try now what waits; returns when all is settled, or one has failed again."""
        await self.channel.try_again()
