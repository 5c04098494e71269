"""A schema registry for tests: it replays the answers in `fixtures/schema_registry`.

Those in `recorded` are what a real one has said to our client;
`record_schema_registry.py` writes them.
"""

from __future__ import annotations

import json
import ssl
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Self

from aiohttp import web
from aiohttp.test_utils import TestServer

__all__ = ["RECORDED", "Registry", "documented", "recorded"]

_FOLDER: Final = Path(__file__).parents[1] / "fixtures" / "schema_registry"
RECORDED: Final = _FOLDER / "recorded"
_BASE: Final = "/apis/ccompat/v7"


def recorded(*names: str) -> list[dict[str, Any]]:
    """What a real registry has answered, in order."""
    return _exchanges(RECORDED, names)


def documented(*names: str) -> list[dict[str, Any]]:
    """What Confluent's documents say that theirs answers, in order."""
    return _exchanges(_FOLDER / "documented", names)


def _exchanges(folder: Path, names: Iterable[str]) -> list[dict[str, Any]]:
    files = [(folder / f"{name}.json").read_text("utf-8") for name in names]
    return [each for text in files for each in json.loads(text)]


class Registry:
    """Answers each request as the exchange with its method, path, body and login does.

    Where several do, they take turns, and the last one stays. An exchange that says
    nothing of body or login fits any.

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
        return str(self._server.make_url(_BASE))

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
        path = request.raw_path.removeprefix(_BASE)
        self.asked.append((request.method, path, body))
        if self.is_away:
            return _response(503, {"error_code": 50301, "message": "no leader"})
        login = request.headers.get("Authorization")
        if self._login and login != self._header():
            return _response(401, {"error_code": 401, "message": "Unauthorized"})
        said = {
            "method": request.method,
            "path": path,
            "sent": body,
            "authorization": login,
        }
        fitting = [
            e for e in self._left if all(e.get(k, v) == v for k, v in said.items())
        ]
        if len(fitting) > 1:
            self._left.remove(fitting[0])
        if not fitting:
            return _response(500, {"message": f"no recording of {path}"})
        return _replayed(fitting[0])

    def _header(self) -> str:
        assert self._login is not None
        return f"Basic {b64encode(':'.join(self._login).encode()).decode()}"


def _replayed(exchange: dict[str, Any]) -> web.Response:
    if "headers" not in exchange:
        return _response(exchange["status"], exchange["answer"])
    body = json.dumps(exchange["answer"]).encode() if "answer" in exchange else None
    return web.Response(
        body=body, status=exchange["status"], headers=exchange["headers"]
    )


def _response(status: int, answer: Any) -> web.Response:
    return web.json_response(
        answer, status=status, content_type="application/vnd.schemaregistry.v1+json"
    )
