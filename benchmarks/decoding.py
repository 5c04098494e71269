"""Messages of PI channels to samples, against other JSON libraries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from benchmarks.decoders import DECODERS, Decoder, Tags
from benchmarks.endtoend import Shape
from benchmarks.measure import Aim, Benchmark, Case, Measured, Stopwatch
from benchmarks.options import Options
from pichannels.values import Tag, format_ticks, parse_ticks

__all__ = ["SHAPES", "TAGS", "messages", "prepare"]

SHAPES: Final = (Shape(1, 1, 20_000), Shape(100, 1, 400), Shape(1, 1000, 60))
"""A change alone, a poll of the server's pipe, and a page of one stream."""

_TAGS: Final = 100
_STATES_OF: Final = 20
_BAD_OF: Final = 100
_BEGIN: Final = parse_ticks("2024-05-01T06:00:00.1234567Z")
# Of one stream a value a second, of several streams all values within a second.
_SECOND: Final = 10_000_000

TAGS: Final[Tags] = {
    f"F1DP{number:060}": Tag(f"UNIT1.TI{number}.PV", units="degC")
    for number in range(_TAGS)
}
"""The tags by WebID."""


def messages(shape: Shape) -> list[bytes]:
    """Messages as PI writes them.

    One stream of 20 is digital; where a stream has many values, one of 100 is a
    system state that is not good.
    """
    return [_message(shape, number) for number in range(shape.frames)]


def _message(shape: Shape, number: int) -> bytes:
    first = number * shape.streams
    streams = [_stream(first + n, shape) for n in range(shape.streams)]
    text = json.dumps({"Links": {}, "Items": streams}, separators=(",", ":"))
    return text.encode()


def _stream(number: int, shape: Shape) -> dict[str, Any]:
    web_id, tag = list(TAGS.items())[number % _TAGS]
    return {
        "WebId": web_id,
        "Name": tag.name,
        "Path": rf"\\SIMSRV\{tag.name}",
        "Links": {},
        "Items": [_event(number, n, shape) for n in range(shape.events)],
        "UnitsAbbreviation": tag.units,
    }


def _event(stream: int, number: int, shape: Shape) -> dict[str, Any]:
    value: Any = (stream + number) % 1000 + 0.25
    is_good = (number + 1) % _BAD_OF != 0
    if not is_good:
        value = {"Name": "Bad Input", "Value": 255, "IsSystem": True}
    elif shape.events == 1 and (stream + 1) % _STATES_OF == 0:
        value = {"Name": "OPEN", "Value": 1, "IsSystem": False}
    seconds = stream * shape.events // shape.streams + number
    return {
        "Timestamp": format_ticks(_BEGIN + seconds * _SECOND + stream % 9999 * 101),
        "Value": value,
        "UnitsAbbreviation": "",
        "Good": is_good,
        "Questionable": False,
        "Substituted": False,
        "Annotated": False,
    }


def _run(decode: Decoder, found: list[bytes]) -> Callable[[int], Awaitable[Measured]]:
    async def run(count: int) -> Measured:
        decoded = 0
        with Stopwatch() as watch:
            for raw in found:
                decoded += len(decode(raw, TAGS))
        assert decoded == count, f"{decoded} of {count} values were decoded"
        return watch.measured(count)

    return run


def _cases(shape: Shape) -> list[Case]:
    found = messages(shape)
    count = len(found) * shape.size
    floor, peer = f"{shape}, orjson", f"{shape}, json"
    aims: dict[str, tuple[Aim | None, Aim | None]] = {
        "json": (None, None),
        "orjson": (None, Aim(peer)),
        "pydantic": (Aim(floor), Aim(peer)),
        "pichannels": (Aim(floor, 1.2), Aim(peer, 2)),
    }
    return [
        Case(f"{shape}, {name}", _run(decode, found), count, *aims[name])
        for name, decode in DECODERS.items()
    ]


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """Each library at each shape."""
    shapes = [
        Shape(s.streams, s.events, 2 if options.quick else s.frames) for s in SHAPES
    ]
    await asyncio.sleep(0)
    yield Benchmark(
        "decode",
        "Messages to samples (streams x events in a message)",
        "values",
        ("cpu",),
        [case for shape in shapes for case in _cases(shape)],
        ["The floor is orjson and the peer json, each with the same conversion."],
    )
