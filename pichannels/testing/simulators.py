"""The simulator beside a test: in a thread and event loop of its own."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from pichannels.simulator import Plant, Simulator

__all__ = ["RunningSimulator"]

T = TypeVar("T")


class RunningSimulator:
    """A PI Web API server that works beside a test, whatever loop the test has.

    Use it as a context manager.

    Args:
        plant: what is measured; 20 tags by default.
        options: those of `Simulator`.
    """

    def __init__(self, plant: Plant | None = None, **options: Any) -> None:
        options.setdefault("poll", 0.05)
        self._simulator = Simulator(plant or Plant(tags=20), **options)
        self._opened: Future[asyncio.AbstractEventLoop] = Future()
        self._ended = asyncio.Event()
        self._thread = threading.Thread(target=self._work, name="pichannels-simulator")

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._simulator.url

    @overload
    def call(self, work: Callable[[Simulator], Awaitable[T]]) -> T: ...

    @overload
    def call(self, work: Callable[[Simulator], T]) -> T: ...

    def call(self, work: Callable[[Simulator], Any]) -> Any:
        """What `work` gives, called in the simulator's own loop; blocks.

        `simulator.call(lambda s: s.push("SINUSOID", 1.5))` for example. Raises what
        `work` raises.
        """
        job = asyncio.run_coroutine_threadsafe(
            self._call(work), self._opened.result(timeout=10)
        )
        return job.result(timeout=60)

    async def _call(self, work: Callable[[Simulator], Any]) -> Any:
        result = work(self._simulator)
        return await result if inspect.isawaitable(result) else result

    def _work(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as exc:
            if self._opened.done():
                raise
            self._opened.set_exception(exc)

    async def _serve(self) -> None:
        async with self._simulator:
            self._opened.set_result(asyncio.get_running_loop())
            await self._ended.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        self._opened.result(timeout=10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.result().call_soon_threadsafe(self._ended.set)
        self._thread.join()
