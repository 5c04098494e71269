"""One run of an application: it ends as a whole, with an error or without."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from pichannels.dataflow.sources import Source

__all__ = ["Run", "terminable"]

logger: Final = logging.getLogger("pichannels.dataflow")


class Run:
    """One run of an application."""

    def __init__(self, sources: list[Source], drain_timeout: float) -> None:
        self.was_terminated = False
        self._sources = sources
        self._drain_timeout = drain_timeout
        self._tasks: dict[asyncio.Task[None], Source] = {}
        self._stopping: asyncio.Task[None] | None = None
        self._raised: BaseException | None = None
        self._is_stop_wanted = False

    async def until_ended(self, kwargs: Mapping[str, Any]) -> None:
        """Run all; the first error ends it and is raised."""
        try:
            # All before the first value, so that none is published to nobody.
            for source in self._sources:
                await source.open()
            for source in self._sources:
                name = f"dataflow: {type(source.origin).__name__}"
                task = asyncio.create_task(source.run(kwargs), name=name)
                self._tasks[task] = source
            if self._is_stop_wanted:
                self.stop()
            outer = {
                task for task, source in self._tasks.items() if not source.is_inner
            }
            await self._wait(outer or set(self._tasks))
            await self._end_inner()
        finally:
            await self._close()

    async def _wait(self, tasks: set[asyncio.Task[None]]) -> None:
        """Until these tasks have ended; raises what any of all raises."""
        while not all(task.done() for task in tasks):
            running = [task for task in self._tasks if not task.done()]
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            self._raise_error()
        self._raise_error()

    def _raise_error(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled():
                error = task.exception()
                if error is not None:
                    self._raised = error
                    raise error

    async def _end_inner(self) -> None:
        inner = [s for t, s in self._tasks.items() if s.is_inner and not t.done()]
        while not all(source.reader.is_idle for source in inner):
            for source in inner:
                waiting = asyncio.create_task(
                    source.reader.worked_off(), name="dataflow: worked off"
                )
                try:
                    await asyncio.wait(
                        [waiting, *(t for t in self._tasks if not t.done())],
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    self._raise_error()
                finally:
                    waiting.cancel()
        for source in inner:
            source.reader.close()
        await self._wait(set(self._tasks))

    def stop(self) -> None:
        """Take no more values; again: stop at once."""
        if not self._tasks:
            self._is_stop_wanted = True
        elif self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(), name="dataflow: stop")
        else:
            self._cancel()

    async def _stop(self) -> None:
        outer = [(t, s) for t, s in self._tasks.items() if not s.is_inner]
        for task, source in outer or list(self._tasks.items()):
            if source.is_inner:
                source.reader.close()
            elif not await source.stop():
                source.cut_off(task)
        done, late = await asyncio.wait(self._tasks, timeout=self._drain_timeout)
        if late:
            logger.warning("%d sources did not end in time", len(late))
            self._cancel()

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _close(self) -> None:
        self._cancel()
        tasks = list(self._tasks)
        if self._stopping is not None:
            self._stopping.cancel()
            tasks.append(self._stopping)
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            # The first one is raised; the others are told here.
            if isinstance(error, Exception) and error is not self._raised:
                logger.error("an error beside the one that is raised", exc_info=error)
        for source in self._sources:
            try:
                await source.close()
            except Exception:
                logger.exception("a source did not close")


@contextmanager
def terminable(run: Run) -> Iterator[None]:
    """Let SIGTERM (and Ctrl-Break) stop the run, unless somebody else sees to it."""
    loop = asyncio.get_running_loop()
    caught: list[signal.Signals] = []

    def stop() -> None:
        run.was_terminated = True
        run.stop()

    def catch(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop)

    if threading.current_thread() is threading.main_thread():
        named = (getattr(signal, name, None) for name in ("SIGTERM", "SIGBREAK"))
        caught = [s for s in named if s and signal.getsignal(s) is signal.SIG_DFL]
    for each in caught:
        signal.signal(each, catch)
    try:
        yield
    finally:
        for each in caught:
            if signal.getsignal(each) is catch:
                signal.signal(each, signal.SIG_DFL)
