"""A proxy that passes websockets below a path, and nothing else."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from pichannels.remote.websocket import SUBPROTOCOL

__all__ = ["Gateway"]

_PATH: Final = "/plants/north/streams"


class Gateway:
    """Passes links on to a hub, and refuses all else.

    Args:
        target: the URL of the hub.
        certificate: a file with a certificate and its key, to speak TLS.

    Attributes:
        passed: how many links went through.
        refused: how many requests were something else.
    """

    def __init__(self, target: str, certificate: Path | None = None) -> None:
        self._target = target
        self._certificate = certificate
        application = web.Application()
        application.router.add_route("*", "/{rest:.*}", self._pass_on)
        scheme = "http" if certificate is None else "https"
        self._server = TestServer(application, scheme=scheme)
        self.passed = 0
        self.refused = 0

    async def __aenter__(self) -> str:
        context = None
        if self._certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            await asyncio.to_thread(context.load_cert_chain, self._certificate)
        await self._server.start_server(ssl=context)
        return str(self._server.make_url(_PATH))

    async def __aexit__(self, *failure: object) -> None:
        await self._server.close()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        is_link = request.headers.get("Upgrade", "").lower() == "websocket"
        if request.path != _PATH or not is_link:
            self.refused += 1
            raise web.HTTPBadGateway
        self.passed += 1
        asked = web.WebSocketResponse(protocols=[SUBPROTOCOL])
        await asked.prepare(request)
        shown = {"Authorization": request.headers["Authorization"]}
        async with (
            ClientSession(headers=shown) as session,
            session.ws_connect(self._target, protocols=[SUBPROTOCOL]) as answering,
        ):
            answers = asyncio.create_task(_copy(answering, asked))
            await _copy(asked, answering)
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)
        return asked


async def _copy(source: Any, target: Any) -> None:
    async for message in source:
        await target.send_bytes(message.data)
