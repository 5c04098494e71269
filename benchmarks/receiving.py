"""Frames of a PI channel, against the bare sockets of the libraries.

The simulator sends frames as fast as they are read, from a process of its own; each
run of each client is a process of its own, too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from benchmarks.endtoend import Shape
from benchmarks.load import simulator
from benchmarks.measure import Aim, Benchmark, Case, Measured
from benchmarks.options import Options
from benchmarks.processes import run_module
from benchmarks.receivers import WAYS

__all__ = ["prepare"]

_SHAPES: Final = (Shape(1, 1, 200_000), Shape(100, 1, 10_000))
_AIMS: Final = {"recv_raw": None, "recv_many": 0.8}


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """Each client at each shape, with the simulator at work."""
    async with simulator() as url:
        yield Benchmark(
            "receive",
            "Frames of a websocket (streams x events in a frame)",
            "frames",
            ("cpu", "wall"),
            [case for shape in _SHAPES for case in _cases(url, shape, options)],
            ["The floor is aiohttp's socket, the peer the library websockets."],
        )


def _cases(url: str, shape: Shape, options: Options) -> list[Case]:
    frames = options.count(shape.frames)
    floor, peer = f"{shape}, aiohttp", f"{shape}, websockets"
    return [
        Case(
            f"{shape}, {way}",
            _run(url, way, shape),
            frames,
            Aim(floor, _AIMS[way]) if way in _AIMS else None,
            Aim(peer) if way != "websockets" else None,
        )
        for way in WAYS
    ]


def _run(url: str, way: str, shape: Shape) -> Callable[[int], Awaitable[Measured]]:
    async def run(count: int) -> Measured:
        job = {
            "url": url,
            "way": way,
            "streams": shape.streams,
            "events": shape.events,
            "frames": count,
        }
        measured = await run_module("benchmarks.receivers", job)
        assert measured.count == count, f"{measured.count} of {count} frames came"
        return measured

    return run
