"""There is room for so many readers of events, and again when they leave."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from pichannels.ui.app import make_app
from pichannels.ui.guard import API
from tests.ui.apps import make_console


async def test_readers_have_their_room_until_they_leave(
    tmp_path: Path, tokens: dict[str, str]
) -> None:
    app = make_app(await make_console(tmp_path))
    app.state.feeds.open = before = 62
    statuses: asyncio.Queue[int] = asyncio.Queue()
    leaving = asyncio.Event()

    async def read() -> None:
        asked = [{"type": "http.request"}]

        async def receive() -> Any:
            if asked:
                return asked.pop()
            await leaving.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.put_nowait(message["status"])

        token = f"Bearer {tokens['view']}".encode()
        scope = {
            "type": "http",
            "method": "GET",
            "path": f"{API}/instances/plant/events",
            "headers": [(b"host", b"127.0.0.1"), (b"authorization", token)],
            "query_string": b"",
        }
        await app(scope, receive, send)

    async with app.router.lifespan_context(app):
        readers = [asyncio.create_task(read()) for _ in range(5)]
        found = [await statuses.get() for _ in readers]
        leaving.set()
        await asyncio.gather(*readers)
    assert sorted(found) == [200, 200, 429, 429, 429]
    assert app.state.feeds.open == before
