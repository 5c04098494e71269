"""A schema registry for tests: it replays the answers in `fixtures/schema_registry`."""

from __future__ import annotations

import json
import ssl
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer

__all__ = ["Registry", "answers"]

FOLDER = Path(__file__).parents[1] / "fixtures" / "schema_registry"


def answers(*names: str) -> list[dict[str, Any]]:
    """The exchanges of these files, in order."""
    return [each for n in names for each in json.loads((FOLDER / n).read_text("utf-8"))]


class Registry:
    """Answers each request as the first exchange with its method and path does.

    Where several do, they take turns, and the last one stays.

    Args:
        exchanges: what is replayed.
        login: user and password that it asks for.
        certificate: a file with certificate and key, for TLS.

    Attributes:
        asked: method, path and body of each request.
        is_away: it answers 503 to everything.
    """

    def __init__(
        self,
        exchanges: Iterable[dict[str, Any]],
        login: tuple[str, str] | None = None,
        certificate: Path | None = None,
    ) -> None:
        self._left = list(exchanges)
        self._login = login
        self.asked: list[tuple[str, str, Any]] = []
        self.is_away = False
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._certificate = certificate
        self._server = TestServer(application)

    @property
    def url(self) -> str:
        """Where it is."""
        return str(self._server.make_url("")).rstrip("/")

    async def __aenter__(self) -> Self:
        context = None
        if self._certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
        await self._server.start_server(ssl=context)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        path = request.raw_path
        self.asked.append((request.method, path, body))
        if self.is_away:
            return _response(503, {"error_code": 50301, "message": "no leader"})
        if self._login and request.headers.get("Authorization") != self._header():
            return _response(401, {"error_code": 401, "message": "Unauthorized"})
        fitting = [
            each
            for each in self._left
            if (each["method"], each["path"]) == (request.method, path)
        ]
        if len(fitting) > 1:
            self._left.remove(fitting[0])
        if not fitting:
            return _response(500, {"message": f"no recording of {path}"})
        return _response(fitting[0]["status"], fitting[0]["answer"])

    def _header(self) -> str:
        assert self._login is not None
        return f"Basic {b64encode(':'.join(self._login).encode()).decode()}"


def _response(status: int, answer: Any) -> web.Response:
    return web.json_response(
        answer, status=status, content_type="application/vnd.schemaregistry.v1+json"
    )
