"""What stays paused until it is resumed, also over restarts: channels, and sinks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Final

from pichannels.channels.gate import Gate
from pichannels.errors import UsageError
from pichannels.journal import Journal
from pichannels.node import BaseNode

if TYPE_CHECKING:
    from pichannels.channels.lifecycle import Lifecycle

__all__ = ["held_up", "is_kept", "keep", "pause_sink", "restore_sinks"]

_DRAIN: Final = 1.0
_PAUSED: Final = "paused"


async def keep(journal: Journal | None, place: str, is_paused: bool) -> None:
    """Keep whether something is paused, where there is a journal.

    Args:
        journal: where.
        place: of what, such as `channel:boiler` or `sink:boiler.kafka`.
        is_paused: what to keep.

    Raises:
        JournalError: it cannot be kept.
    """
    if journal is not None:
        await journal.save(place, _PAUSED, is_paused)


async def is_kept(journal: Journal | None, place: str) -> bool:
    """Whether it was paused when that was kept last.

    Raises:
        JournalError: the journal cannot be read.
    """
    if journal is None:
        return False
    return await journal.restore(place, _PAUSED, False) is True


async def restore_sinks(journal: Journal | None, nodes: Iterable[BaseNode]) -> None:
    """Pause the sinks that were paused before.

    Raises:
        JournalError: the journal cannot be read.
    """
    if journal is not None:
        for node in nodes:
            if node.is_sink:
                node.set_paused(await is_kept(journal, _place(node)))


async def pause_sink(channel: Lifecycle, node: BaseNode, on: bool = True) -> None:
    """Let messages wait before a sink, or go on; also over restarts.

    Sinks that write in the background take messages as long as they have room for
    them, so what is behind them goes on meanwhile; with other sinks the channel waits.
    What comes is stored in the journal, up to its budget.

    Args:
        channel: whose node it is.
        node: the sink.
        on: False resumes it.

    Raises:
        JournalError: the journal cannot keep it; it holds all the same.
        UsageError: the node is no sink.
    """
    place = _place(node)
    if node.is_paused is not on:
        node.set_paused(on)
        for chain in channel.chains():
            chain.renew(node)
        what = "paused" if on else "resumed"
        channel.events.fire(f"sink.{what}", sink=node.fullpath(), channel=channel.name)
    await keep(channel.journal, place, on)


def _place(node: BaseNode) -> str:
    if not node.is_sink:
        raise UsageError(f"{node.fullpath()!r} is no sink; only sinks are paused")
    return f"sink:{node.fullpath()}"


@contextmanager
def held_up(nodes: Iterable[BaseNode], gate: Gate) -> Iterator[float]:
    """While a channel stops: until when it waits for its messages, in loop time.

    What waits for a paused sink would wait in vain, and so would what comes behind it:
    then nothing new is begun, and all has a second.
    """
    if not any(node.is_paused for node in nodes):
        yield inf
        return
    gate.close()
    try:
        yield asyncio.get_running_loop().time() + _DRAIN
    finally:
        gate.open()
