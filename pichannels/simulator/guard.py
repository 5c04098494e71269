"""What a request that changes something has to have, as the server is configured."""

from __future__ import annotations

import re
from typing import Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from pichannels.simulator.query import Refused

__all__ = ["Guard", "Rules"]

_CHANGING: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
# They are posted, and write nothing by themselves.
_NO_WRITES: Final = re.compile(r"/piwebapi/(batch|.*/updates)/?", re.I)


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The server's settings for writes.

    Attributes:
        csrf: whether they need the header `X-Requested-With`.
        writes: whether there are any.
        buffering: whether the server has a buffer for values.
    """

    csrf: bool = True
    writes: bool = True
    buffering: bool = True


class Guard:
    """A middleware for what changes something below `/piwebapi`."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    @property
    def middleware(self) -> Middleware:
        """What the application takes."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.method in _CHANGING and request.path.startswith("/piwebapi"):
                self._check(request)
            return await handler(request)

        return guard

    def _check(self, request: web.Request) -> None:
        if self.rules.csrf and "X-Requested-With" not in request.headers:
            raise Refused(
                400, "The header 'X-Requested-With' is required for this request."
            )
        if not self.rules.writes and not _NO_WRITES.fullmatch(request.path):
            raise Refused(403, "Writes are disabled on this server.")
