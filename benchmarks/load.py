"""The simulator in its own process, and how a pipeline asks it for load."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp

from benchmarks.processes import ProcessFailed

__all__ = ["FILTER", "TAGS", "connected", "flood", "simulator", "streams_of"]

FILTER: Final = "*TEMP*"
"""The name filter of the tags that are subscribed to."""
TAGS: Final = 100
"""How many there usually are in the plant."""

_COMMAND: Final = "from pichannels.simulator.command import simulate; simulate()"
_QUIET: Final = ("--port", "0", "--rate-limit", "0")
_LONGEST: Final = ("--url-limit", "100000")
_LOOK_AGAIN: Final = 0.01
_USUAL: Final = 1000


@asynccontextmanager
async def simulator(tags: int = _USUAL, activity: float = 0) -> AsyncIterator[str]:
    """The URL of a simulator whose plant has so many tags and usually does nothing."""
    options = {"tags": tags, "activity": activity}
    more = [
        part for name, value in options.items() for part in (f"--{name}", f"{value}")
    ]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _COMMAND, *_QUIET, *_LONGEST, *more),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        if not url:
            raise ProcessFailed("the simulator", await process.wait(), "see above")
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def streams_of(
    session: aiohttp.ClientSession, url: str, tags: int = TAGS
) -> dict[str, str]:
    """The names of the tags by WebID."""
    servers = await _get(session, f"{url}/dataservers")
    points = f"{url}/dataservers/{servers['Items'][0]['WebId']}/points"
    found = await _get(session, points, nameFilter=FILTER, maxCount=str(tags))
    return {point["WebId"]: point["Name"] for point in found["Items"]}


async def connected(session: aiohttp.ClientSession, url: str) -> None:
    """Until the simulator has one open channel; then there is one only."""
    # Only the simulator knows, and it has to be asked.
    while not (await _get(session, _admin(url)))["Channels"]:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_AGAIN)


async def flood(
    session: aiohttp.ClientSession, url: str, streams: int, events: int, frames: int
) -> int:
    """Have the frames rendered; they come from now on. The number of values."""
    shape = {"streams": streams, "events": events, "frames": frames}
    async with session.post(f"{_admin(url)}/flood", json=shape) as answer:
        body = await _body(answer)
    return int(body["Values"])


def _admin(url: str) -> str:
    return url.removesuffix("/piwebapi") + "/simulator"


async def _get(session: aiohttp.ClientSession, url: str, **query: str) -> Any:
    async with session.get(url, params=query) as answer:
        return await _body(answer)


async def _body(answer: aiohttp.ClientResponse) -> Any:
    answer.raise_for_status()
    return json.loads(await answer.read())
