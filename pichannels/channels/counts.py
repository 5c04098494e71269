"""What a channel counts of the messages that it accepts."""

from __future__ import annotations

from pichannels import clock
from pichannels.message import Message
from pichannels.metrics import Histogram
from pichannels.values import TICKS_PER_SECOND

__all__ = ["Counts"]


class Counts:
    """Counts since the channel was made.

    Attributes:
        bytes: of the accepted messages, as they are stored.
        retries: how often a message ran again after a failure.
        settling: how many seconds messages took from when they were made until they
            were settled.
    """

    __slots__ = ("bytes", "retries", "settling")

    def __init__(self) -> None:
        self.bytes = 0
        self.retries = 0
        self.settling = Histogram()

    def settled(self, msg: Message) -> None:
        """An accepted message is settled now."""
        self.settling.note(max((clock.now() - msg.ticks) / TICKS_PER_SECOND, 0.0))
