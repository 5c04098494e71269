"""Logins that are written for httpx, such as its `DigestAuth` or those of plug-ins."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Generator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, Final, Protocol

import msgspec

from pichannels.errors import UsageError
from pichannels.piwebasync.exceptions import AuthFailed
from pichannels.piwebasync.login import Answer, Asked, Detour, Flow

__all__ = ["HttpxAuth", "HttpxLogin", "is_httpx_auth"]

_LIBRARY: Final = "httpx"


class HttpxAuth(Protocol):
    """What httpx takes as `auth`: an `httpx.Auth`."""

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]: ...

    def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]: ...


def is_httpx_auth(auth: object) -> bool:
    """Whether it is a flow of httpx."""
    return hasattr(auth, "sync_auth_flow") and hasattr(auth, "async_auth_flow")


class HttpxLogin(msgspec.Struct, frozen=True):
    """Drives a flow of httpx: it gets requests and responses that httpx makes.

    What it wants sent besides, such as a request for a token, is sent as the request
    itself is: with the same certificates and proxy. All tries share one connection, as
    some flows need that and none says so.
    """

    auth: HttpxAuth

    is_bound: ClassVar[bool] = True

    async def flow(self, asked: Asked) -> Flow:
        """The headers that the flow sets, until it ends."""
        httpx: Any = sys.modules.get(_LIBRARY)
        if httpx is None:
            raise UsageError("this login is made for httpx, which is not imported")
        request = httpx.Request(
            asked.method, asked.url, headers=dict(asked.headers), content=asked.body
        )
        before = dict(request.headers.items())
        async with aclosing(self._requests(httpx, request)) as requests:
            wanted = await _next(anext(requests))
            while wanted is not None:
                if _is_same(wanted, request):
                    answer = yield _set(wanted.headers, before)
                else:
                    answer = await asked.fetch(_detour(wanted))
                wanted = await _next(requests.asend(_response(httpx, answer, wanted)))

    def __repr__(self) -> str:
        return f"<{type(self.auth).__name__}>"

    def _requests(self, httpx: Any, request: Any) -> AsyncGenerator[Any, Any]:
        own = type(self.auth).async_auth_flow
        if own is not getattr(httpx.Auth, "async_auth_flow", None):
            return self.auth.async_auth_flow(request)
        return _in_threads(self.auth.sync_auth_flow(request))


async def _in_threads(flow: Generator[Any, Any, None]) -> AsyncGenerator[Any, Any]:
    """A flow that was written without `async`: it may block."""
    response: Any = None
    try:
        while (request := await asyncio.to_thread(_sent, flow, response)) is not None:
            response = yield request
    finally:
        flow.close()


def _sent(flow: Generator[Any, Any, None], response: Any) -> Any:
    try:
        return flow.send(response)
    except StopIteration:
        return None


async def _next(coming: Awaitable[Any]) -> Any:
    """The next request of a flow; None at its end."""
    try:
        return await coming
    except StopAsyncIteration:
        return None
    except Exception as exc:
        # Only its type is told: its words may hold a secret.
        raise AuthFailed(f"the auth flow raised {type(exc).__name__}") from exc


def _is_same(one: Any, other: Any) -> bool:
    return one is other or (one.method == other.method and one.url == other.url)


def _set(headers: Any, before: Mapping[str, str]) -> dict[str, str]:
    """The headers that the flow has added or changed."""
    return {
        name.title(): value
        for name, value in headers.items()
        if before.get(name) != value
    }


def _detour(request: Any) -> Detour:
    # The length is counted again when it is sent.
    headers = {k: v for k, v in request.headers.items() if k != "content-length"}
    return Detour(request.method, str(request.url), headers, request.content)


def _response(httpx: Any, answer: Answer, request: Any) -> Any:
    return httpx.Response(
        answer.status,
        headers=list(answer.headers),
        content=answer.body,
        request=request,
    )
