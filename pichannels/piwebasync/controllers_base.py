"""What all controllers share: where the server is, and how a method is a request.

A method states its arguments in its signature and its URL in one line; `_get` and
its siblings make the request of both. Arguments keep their names: the ones in
braces go into the path, the others into the query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, TypeAlias

import msgspec

from pichannels.piwebasync.exceptions import APIException
from pichannels.piwebasync.requests import HTTP, WEBSOCKET, APIRequest

__all__ = ["Count", "Flag", "Many", "Resource", "Server", "Text", "Time", "Times"]

Text: TypeAlias = str | None
Flag: TypeAlias = bool | None
Count: TypeAlias = int | None
Many: TypeAlias = str | Sequence[str] | None
"""One text or several."""
Time: TypeAlias = str | datetime | None
"""PI time (`*-1d`), ISO 8601 text or an aware datetime."""
Times: TypeAlias = str | datetime | Sequence[str | datetime]


class Server(msgspec.Struct, frozen=True):
    """Where a PI Web API is."""

    scheme: str
    host: str
    port: int | str | None = None
    root: str = "/"


class Resource:
    """One controller of PI Web API, bound to a server."""

    _name: ClassVar[str]

    def __init__(self, server: Server) -> None:
        self._server = server

    def _get(self, template: str, arguments: Mapping[str, Any]) -> APIRequest:
        return self._request("GET", HTTP, template, arguments)

    def _channel(self, template: str, arguments: Mapping[str, Any]) -> APIRequest:
        return self._request("GET", WEBSOCKET, template, arguments)

    def _request(
        self, method: str, protocol: str, template: str, arguments: Mapping[str, Any]
    ) -> APIRequest:
        params = {name: arguments[name] for name in arguments if name != "self"}
        parts = [self._part(part, params) for part in template.split("/") if part]
        web_id = parts.pop(0) if template.startswith("{webid}") else None
        if "webid" in params:
            params = {"web_id" if n == "webid" else n: v for n, v in params.items()}
        server = self._server
        return APIRequest(
            server.root,
            method,
            protocol,
            self._name,
            server.scheme,
            server.host,
            server.port,
            action=parts.pop(0) if parts else None,
            webid=web_id,
            add_path=parts,
            **params,
        )

    def _part(self, part: str, params: dict[str, Any]) -> str:
        """A part of the path; what stands in braces is taken from `params`."""
        if not part.startswith("{"):
            return part
        name = part.strip("{}")
        value = params.pop(name)
        if isinstance(value, str) and value:
            return value
        hint = (
            "; the methods that end in _adhoc take several" if name == "webid" else ""
        )
        raise APIException(f"{name} of {self._name} has to be one text{hint}")

    def _need(self, **given: Many | Times) -> None:
        """Refuse a request that names nothing."""
        if not any(given.values()):
            raise APIException(f"{self._name} needs {' or '.join(given)}")
