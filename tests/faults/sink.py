"""Where the instance under test delivers: a web server that remembers all."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, NamedTuple, Self
from zlib import crc32

import msgspec
from aiohttp import web

from pichannels.values import parse_ticks

__all__ = ["Delivered", "Sink"]


class Delivered(NamedTuple):
    """One sample as it came.

    Attributes:
        run: rises whenever what is unacknowledged may come again.
    """

    run: int
    tag: str
    event_id: str
    ticks: int
    value: Any


class Sink:
    """Records each sample that it acknowledges; use it as a context.

    Attributes:
        refusing: an HTTP status that all requests get, or 0.
        dislikes: of so many events it wants one never, and no request with it; 0 to
            want all.
        deaf: requests whose samples are recorded without an answer.
        delay: seconds that each request takes.
        unanswered: samples recorded without an answer so far.
        delivered: all that came, in order.
    """

    def __init__(self) -> None:
        self.refusing = 0
        self.dislikes = 0
        self.deaf = 0
        self.delay = 0.0
        self.unanswered = 0
        self.refused = 0
        self.requests = 0
        self.delivered: list[Delivered] = []
        self.url = ""
        self._run = 0
        self._runner: web.AppRunner | None = None
        self._decoder = msgspec.json.Decoder()

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def begin_run(self) -> None:
        """What is unacknowledged may come again from here on."""
        self._run += 1

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests += 1
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.refusing:
            self.refused += 1
            self.begin_run()
            return web.Response(status=self.refusing)
        samples = self._decoder.decode(body)
        if self.dislikes and any(
            crc32(each["event_id"].encode()) % self.dislikes == 0 for each in samples
        ):
            self.refused += 1
            self.begin_run()
            return web.Response(status=422)
        self.delivered += [
            Delivered(
                self._run,
                each["tag"],
                each["event_id"],
                parse_ticks(each["time"]),
                each["value"],
            )
            for each in samples
        ]
        if self.deaf:
            self.deaf -= 1
            self.unanswered += len(samples)
            self.begin_run()
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=204)
