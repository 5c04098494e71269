"""A simulator in a process of its own, seen through its admin routes."""

from __future__ import annotations

import asyncio
import sys
import time
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import aiohttp

from pichannels.values import parse_ticks

__all__ = ["Archived", "Plant"]


class Archived(NamedTuple):
    """One event of the archive."""

    ticks: int
    value: Any


class Plant:
    """The simulated plant; use it as a context.

    Args:
        tags, seed, poll, speed, activity, options: of `pichannels simulate`.

    Attributes:
        start, since: its time, ticks, at a moment of the monotonic clock.
    """

    def __init__(
        self,
        *options: str,
        tags: int = 1000,
        seed: int = 1,
        poll: float = 0.1,
        speed: float = 1.0,
        activity: float = 20.0,
    ) -> None:
        self._arguments = [
            *("simulate", "--port", "0", "--rate-limit", "0"),
            *("--tags", str(tags), "--seed", str(seed)),
            *("--poll", str(poll), "--speed", str(speed)),
            *("--activity", str(activity), *options),
        ]
        self.url = ""
        self.start = 0
        self.since = 0.0
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pichannels", *self._arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), 30)
        self.url = line.decode().strip()
        assert self.url, "the simulator has not started"
        self._session = aiohttp.ClientSession()
        self.start, self.since = await self.now(), time.monotonic()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None and self._session is not None
        await self._session.close()
        self._process.kill()
        await self._process.wait()

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        assert self._session is not None
        url = f"http://127.0.0.1:{self.port}/simulator{path}"
        async with self._session.request(method, url, **options) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def status(self) -> dict[str, Any]:
        """The plant, its clock and its channels."""
        found: dict[str, Any] = await self._ask("GET", "")
        return found

    async def now(self) -> int:
        """The simulated present, ticks."""
        return parse_ticks((await self.status())["Time"])

    async def command(self, name: str, **body: Any) -> Any:
        """`push`, `edit`, `delete`, `outage`, `clock`."""
        return await self._ask("POST", f"/{name}", json=body)

    async def fault(self, fault: str, /, **options: Any) -> None:
        """Set a fault."""
        await self._ask("POST", "/faults", json={"fault": fault, **options})

    async def heal(self) -> None:
        """End all faults."""
        await self._ask("DELETE", "/faults")

    async def channels(self) -> int:
        """How many PI channels are open."""
        return len((await self.status())["Channels"])

    async def lost(self) -> int:
        """Events that open channels have thrown away."""
        return sum(each["Lost"] for each in (await self.status())["Channels"])

    async def truth(self, tag: str, start: str, end: str) -> list[Archived]:
        """What the archive holds of a tag between two instants."""
        query = {"tag": tag, "start": start, "end": end}
        found = await self._ask("GET", "/truth", params=query)
        return [Archived(e["ticks"], e.get("value")) for e in found["Events"]]
