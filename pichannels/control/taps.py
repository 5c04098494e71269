"""Live taps of nodes: some of the messages that come to a node, and leave it.

Whoever wants to see them asks again and again. At most ten messages a second are
written down, fewer where that takes long, and none when nobody has asked for a while;
all others pass a node that is tapped as they pass any other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

import msgspec

from pichannels import clock
from pichannels.channels.chain import Chain
from pichannels.channels.tapping import Passage, tap_once
from pichannels.control.figures import node_of
from pichannels.errors import (
    Backpressure,
    Dropped,
    EndOfChain,
    PauseChannel,
    Rejected,
    RetryLater,
    UsageError,
)
from pichannels.project import Project
from pichannels.values import format_ticks

__all__ = ["Passed", "TapReport", "TapWanted", "Taps"]

_EVERY: Final = 0.1
_SHARE: Final = 20.0
"""For each second of writing down, so many seconds without it."""
_KEPT: Final = 50
_PATIENCE: Final = 15.0
"""Seconds after which a tap ends that nobody reads."""
_MOST: Final = 16
_LONGEST: Final = 10.0
_OUTCOMES: Final = (
    (EndOfChain, "processed"),
    (Dropped, "dropped"),
    (Rejected, "rejected"),
    ((RetryLater, PauseChannel), "retry"),
)


class TapWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to tell of a node.

    Attributes:
        node: its full name.
        after: `next` of the answer before; None for what comes from now on.
        wait: seconds to wait, at most, where there is nothing yet; up to 10.
    """

    node: str
    after: int | None = None
    wait: float = 0.0


class Passed(msgspec.Struct, frozen=True, kw_only=True):
    """One message at a node.

    Attributes:
        time: when it came, ISO 8601.
        uuid: tells it from all others.
        seconds: how long the node worked.
        outcome: `processed`, `nothing` (nothing left: it was dropped, or is kept for
            later), `dropped`, `rejected`, `retry` (it comes again later) or `failed`.
        error: what it raised, or "".
        came: what came: `content_type`, `meta`, `payload`, and `omitted`, which says
            what of it is not shown, or "".
        left: what left, likewise; the first of it.
        more: how much more left.
    """

    time: str
    uuid: str
    seconds: float
    outcome: str
    error: str
    came: dict[str, Any]
    left: list[dict[str, Any]]
    more: int = 0


class TapReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a node was seen to do.

    Attributes:
        node: its full name.
        next: what to give as `after` for what comes next.
        missed: messages that were written down, and forgotten before they were read.
        passed: messages, the oldest first.
    """

    node: str
    next: int
    missed: int = 0
    passed: list[Passed] = []


class Taps:
    """The nodes of a project that somebody looks at.

    Args:
        project: whose nodes.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._taps: dict[str, _Tap] = {}

    async def read(self, wanted: TapWanted) -> TapReport:
        """What a node did; looks at it from now on, while somebody asks.

        Raises:
            Backpressure: too many nodes are looked at.
            UsageError: there is no such node.
        """
        node_of(self._project, wanted.node)
        if not 0 <= wanted.wait <= _LONGEST:
            raise UsageError(f"wait is 0 to {_LONGEST:g} seconds, not {wanted.wait!r}")
        tap = self._taps.get(wanted.node)
        if tap is None:
            tap = self._open(wanted.node)
        return await tap.read(wanted.after, wanted.wait)

    def _open(self, name: str) -> _Tap:
        if len(self._taps) >= _MOST:
            raise Backpressure(f"taps of nodes, of which there are {_MOST}", _PATIENCE)
        tap = self._taps[name] = _Tap(self._project, name)
        tap.task = asyncio.create_task(tap.run(), name=f"tap of {name}")
        tap.task.add_done_callback(lambda _: self._taps.pop(name, None))
        return tap

    async def close(self) -> None:
        """Look at nothing any more."""
        tasks = [tap.task for tap in self._taps.values() if tap.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Tap:
    """One node that is looked at."""

    def __init__(self, project: Project, name: str) -> None:
        self._project = project
        self._name = name
        self._seen: deque[Passed] = deque(maxlen=_KEPT)
        self._count = 0
        self._came = asyncio.Event()
        self._asked = clock.monotonic()
        self._armed: Chain | None = None
        self._rest = 0.0
        self.task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Look at one message after the other, until nobody asks any more."""
        try:
            while clock.monotonic() - self._asked < _PATIENCE:
                self._arm()
                await asyncio.sleep(max(_EVERY, self._rest))
                self._rest = 0.0
        finally:
            self._asked = float("-inf")

    def _arm(self) -> None:
        try:
            channel, node = node_of(self._project, self._name)
        except UsageError:
            # A reload has taken it away; whoever asks is told so.
            return
        for chain in channel.chains():
            position = chain.position_of(node)
            # A chain that was built anew knows nothing of this.
            if position is not None and chain is not self._armed:
                self._armed = chain
                tap_once(chain, position, self._take)

    def _take(self, passage: Passage) -> None:
        self._armed = None
        self._rest = passage.cost * _SHARE
        if self._asked == float("-inf"):
            return
        error = passage.error
        self._seen.append(
            Passed(
                time=format_ticks(passage.ticks),
                uuid=passage.uuid,
                seconds=passage.seconds,
                outcome=_outcome(passage),
                error="" if error is None else str(error) or type(error).__name__,
                came=passage.came,
                left=passage.left,
                more=passage.more,
            )
        )
        self._count += 1
        self._came.set()

    async def read(self, after: int | None, wait: float) -> TapReport:
        """What was seen after that, waited for."""
        self._asked = clock.monotonic()
        if after is None:
            return TapReport(node=self._name, next=self._count)
        # One of a tap that has ended meanwhile begins anew.
        start = after if 0 <= after <= self._count else 0
        if start == self._count and wait:
            await self._next(wait)
            self._asked = clock.monotonic()
        new = self._count - start
        passed = list(self._seen)[-new:] if new else []
        return TapReport(
            node=self._name,
            next=self._count,
            missed=new - len(passed),
            passed=passed,
        )

    async def _next(self, seconds: float) -> None:
        self._came.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._came.wait()
        except TimeoutError:
            return


def _outcome(passage: Passage) -> str:
    """What the node has made of a message, in a word."""
    if passage.error is None:
        return "processed" if passage.left else "nothing"
    for kinds, outcome in _OUTCOMES:
        if isinstance(passage.error, kinds):
            return outcome
    return "failed"
