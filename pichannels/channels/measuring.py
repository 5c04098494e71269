"""The time that nodes take, of a few of the messages.

Only the next message at each node is measured, as often as somebody asks for it; all
others go as if nobody did.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from pichannels import clock
from pichannels.channels.chain import Chain
from pichannels.channels.followed import Follower
from pichannels.message import Message
from pichannels.node import BaseNode, Step
from pichannels.tallies import Tally

__all__ = ["measure"]


def measure(chain: Chain) -> None:
    """Take the time of the next message at each node of a chain.

    Between the parts of what a node yields, and up to an acknowledgement, it does not
    work.
    """
    for position, step in chain.unwatched():
        if isinstance(step, BaseNode) and not step.is_paused:
            chain.once(position, partial(_measured, step.tally))


def _measured(tally: Tally, call: Step) -> Step:
    def step(msg: Message) -> Any:
        return Follower(_Watch(tally), to_the_end=False).call(call, msg)

    return step


class _Watch:
    """The seconds that a step works for one message."""

    __slots__ = ("_seconds", "_tally", "_was_told")

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._seconds = 0.0

    def enter(self) -> float:
        return clock.monotonic()

    def leave(self, entered: float) -> None:
        self._seconds += clock.monotonic() - entered

    def end(self, error: BaseException | None = None) -> None:
        self._tally.took(self._seconds, clock.monotonic())
