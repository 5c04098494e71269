"""A client of an endpoint gets all updates, in order, however often the server dies."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

PROGRAM = Path(__file__).with_name("serving.py")
ROOT = PROGRAM.parents[2]
KILLS = 3
MORE = 150
"""So many updates the client takes from each server."""


class Client:
    """Reads, and comes back with the last id when it is cut off."""

    def __init__(self, url: str) -> None:
        self.found: list[int] = []
        self.kinds: set[str] = set()
        self._url = url
        self._last = ""

    async def read(self, count: int) -> None:
        """Read until there are so many."""
        async with ClientSession() as session:
            while len(self.found) < count:
                try:
                    await self._read(session, count)
                except (ClientError, OSError):
                    await asyncio.sleep(0.02)

    async def _read(self, session: ClientSession, count: int) -> None:
        headers = {"Last-Event-ID": self._last} if self._last else {}
        async with session.get(self._url, headers=headers) as answer:
            lines: dict[str, str] = {}
            while len(self.found) < count and (line := await answer.content.readline()):
                name, _, text = line.decode().rstrip("\n").partition(": ")
                if name:
                    lines[name] = text
                    continue
                # Only a whole event counts, as for a browser.
                self._last = lines.get("id", self._last)
                if "event" in lines:
                    self.kinds.add(lines["event"])
                elif "data" in lines:
                    self.found.append(json.loads(lines["data"])["value"])
                lines.clear()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
async def test_nothing_is_lost_between(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    client = Client(f"http://127.0.0.1:{port}/updates")
    for _ in range(KILLS):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(PROGRAM), str(tmp_path / "cache"), str(port)),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            async with asyncio.timeout(15):
                await client.read(len(client.found) + MORE)
        finally:
            process.kill()
            await process.wait()
    first = client.found[0]
    expected = list(range(first, client.found[-1] + 1))
    assert (list(dict.fromkeys(client.found)), client.kinds) == (expected, set())
