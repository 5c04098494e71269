"""For debugging: what holds up the event loop, and what the time is spent on."""

from __future__ import annotations

import asyncio
import cProfile
import logging
import sys
import threading
import time
import traceback
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

__all__ = ["StallWatch", "profiled", "watched"]

logger: Final = logging.getLogger("pichannels.debug")

T = TypeVar("T")

STALL: Final = 0.1
"""Seconds for which nothing else may run before it is told."""

_LONG: Final = 1.0


class StallWatch:
    """Tells, with the place in the code, what holds up the event loop.

    A thread looks while the loop is held up, so that the warning shows where. Use it
    as an async context manager.

    Args:
        threshold: seconds from which it is told.
    """

    def __init__(self, threshold: float = STALL) -> None:
        self._threshold = threshold
        self._beat = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._watch, name="pichannels-stalls", daemon=True
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = 0
        self._next: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> StallWatch:
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._tick()
        self._thread.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._ended.set()
        if self._next is not None:
            self._next.cancel()
        await asyncio.to_thread(self._thread.join)

    def _tick(self) -> None:
        assert self._loop is not None
        self._beat = time.monotonic()
        self._next = self._loop.call_later(self._threshold / 4, self._tick)

    def _watch(self) -> None:
        while not self._ended.wait(self._threshold / 4):
            if time.monotonic() - self._beat > self._threshold:
                self._tell()

    def _tell(self) -> None:
        beat = self._beat
        frame = sys._current_frames().get(self._loop_thread)
        where = "".join(traceback.format_stack(frame)[-6:]) if frame else ""
        logger.warning(
            "nothing else can run for %.2f s now; move what blocks into a ThreadNode"
            " or asyncio.to_thread:\n%s",
            time.monotonic() - beat,
            where.rstrip(),
        )
        while self._beat == beat and not self._ended.wait(self._threshold / 4):
            continue
        lasted = (self._beat if self._beat != beat else time.monotonic()) - beat
        if lasted > _LONG:
            logger.warning("that has lasted for %.1f s", lasted)


async def watched(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, with warnings for what holds up the event loop."""
    async with StallWatch():
        return await work


@contextmanager
def profiled(path: Path | None) -> Iterator[None]:
    """Write what the block spends its time on to a file for `pstats`; None: nothing."""
    if path is None:
        yield
        return
    profile = cProfile.Profile()
    profile.enable()
    try:
        yield
    finally:
        profile.disable()
        profile.dump_stats(path)
