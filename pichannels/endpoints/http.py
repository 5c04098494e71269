"""The endpoint for HTTP: one server, and the routes of the channels that share it."""

from __future__ import annotations

import re
import ssl
import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar, Final, Protocol

import msgspec
from aiohttp import web

from pichannels.endpoints.base import Endpoint, Place
from pichannels.errors import SettingsError

__all__ = ["HEADERS", "METHODS", "HTTPEndpoint", "Responder", "places_of", "problem"]

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
"""What `method="*"` takes; `OPTIONS` is answered by the endpoint."""

HEADERS: Final = {"Server": "pichannels", "X-Content-Type-Options": "nosniff"}
"""What every answer has."""

_NAMED: Final = re.compile(r"\{[_a-zA-Z]\w*((?::[^{}]*(?:\{[^{}]*\}[^{}]*)*)?)\}")
_BODY_LIMIT: Final = 2**20
_IDLE: Final = 75.0
"""Seconds after which a connection without request is closed."""
_LAST_ANSWERS: Final = 0.4
"""Seconds that answers have to be written when the endpoint closes."""


class Responder(Protocol):
    """What the endpoint needs of a channel."""

    name: str
    method: str
    url: str

    def places(self) -> Sequence[Place]: ...

    async def respond(
        self, request: web.Request, match: Mapping[str, str]
    ) -> web.StreamResponse: ...


class HTTPEndpoint(Endpoint):
    """Receives HTTP requests for the channels that have it as their `endpoint`.

    Args:
        adress, address: older names of `host`.
        port: number of the port, 8080 by default; 0 takes a free one.
        loop: None, or the running event loop.
        http_args: options of `aiohttp.web.Application`, such as `middlewares`;
            `client_max_size` is what bodies may have where a channel does not say;
            `ssl_context` an `ssl.SSLContext` for TLS.
        host: name or address, also with a port: `127.0.0.1:8080`, `:8080`. Only this
            machine by default; `0.0.0.0` for all of its addresses.
        sock: in place of both: a socket that is bound, or text as for `host`.
        reuse_port: share the port with other processes.
        certificate: file in PEM; with it the endpoint speaks TLS.
        key: file of the private key, where the certificate's does not have it.

    Raises:
        SettingsError: the address is not usable.
    """

    kind: ClassVar[str] = "HTTP endpoint"
    default_port: ClassVar[int] = 8080

    def __init__(
        self,
        adress: str | None = None,
        address: str | None = None,
        port: int | None = None,
        loop: Any = None,
        http_args: Mapping[str, Any] | None = None,
        host: str | None = None,
        sock: Any = None,
        reuse_port: bool | None = None,
        *,
        certificate: Any = None,
        key: Any = None,
    ) -> None:
        names = [name for name in (adress, address, host) if name is not None]
        if len(names) > 1:
            raise SettingsError("the host is given twice", key="host", found=names[1])
        super().__init__(
            names[0] if names else None,
            port,
            sock,
            reuse_port,
            loop,
            certificate,
            key,
        )
        args = dict(http_args or {})
        self._ssl_context: ssl.SSLContext | None = args.pop("ssl_context", None)
        # For aiohttp 0 means any size.
        self.body_limit: int = args.pop("client_max_size", _BODY_LIMIT) or sys.maxsize
        self._args = args
        self._runner: web.AppRunner | None = None
        self._router = web.UrlDispatcher()
        # Weak, so that a channel that is gone from the project goes from here.
        self._owners: dict[web.AbstractRoute, weakref.ref[Responder]] = {}

    @property
    def url(self) -> str:
        """Where it listens, as the beginning of a URL."""
        is_secure = self._certificate is not None or self._ssl_context is not None
        return f"{'https' if is_secure else 'http'}://{self.address}"

    async def _open(self) -> tuple[str, int]:
        # Each channel has a limit of its own, which it sees to.
        app = web.Application(client_max_size=0, **self._args)
        app.router.add_route("*", "/{tail:.*}", self._dispatch)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=_IDLE,
            shutdown_timeout=_LAST_ANSWERS,
        )
        tls = self._ssl_context or await self._tls()
        await self._runner.setup()
        own = self._own_socket()
        site: web.BaseSite
        if own is None:
            site = web.TCPSite(
                self._runner,
                self.host,
                self.port,
                ssl_context=tls,
                reuse_port=self.reuse_port or None,
            )
        else:
            site = web.SockSite(self._runner, own, ssl_context=tls)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        return host, port

    async def _leave_port(self) -> None:
        if self._runner is not None:
            for site in self._runner.sites:
                await site.stop()

    async def _close(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    # Routes

    def _changed(self) -> None:
        """Route for those that run and for those that are stopped, which say so."""
        router = web.UrlDispatcher()
        owners: dict[web.AbstractRoute, weakref.ref[Responder]] = {}
        for (method, _), user in self._claims().items():
            route = router.add_route(method, user.url, self._dispatch)
            owners[route] = weakref.ref(user)
        self._router, self._owners = router, owners

    def _claims(self) -> dict[Place, Responder]:
        """Who answers each method at each place: who names it, before who takes all."""
        running: list[Any] = self._users
        stopped: Any = self._known.difference(running)
        users: list[Responder] = [*running, *sorted(stopped, key=_name)]
        found: dict[Place, Responder] = {}
        for user in users:
            for place in user.places():
                if place[0] != "*":
                    found.setdefault(place, user)
        for method, users_of in (("GET", ("HEAD",)), ("*", METHODS)):
            for user in users:
                if user.method == method:
                    for place in _expanded(user, users_of):
                        found.setdefault(place, user)
        return found

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        found = await self._router.resolve(request)
        refused = found.http_exception
        if refused is not None:
            return _refusal(request, refused)
        owner = self._owners[found.route]()
        if owner is None:
            return _refusal(request, web.HTTPNotFound())
        return await owner.respond(request, found)


def _name(user: Responder) -> str:
    return user.name


def places_of(method: str, url: str) -> list[Place]:
    """What a channel takes: routes that differ in names alone are the same."""
    return [(method, _NAMED.sub(r"{\1}", url))]


def _expanded(user: Responder, methods: Iterable[str]) -> Iterator[Place]:
    for method in methods:
        yield from places_of(method, user.url)


def _refusal(request: web.Request, refused: web.HTTPException) -> web.StreamResponse:
    if not isinstance(refused, web.HTTPMethodNotAllowed):
        return problem(404, f"there is nothing at {request.path}")
    methods = sorted(refused.allowed_methods)
    allow = {**HEADERS, "Allow": ", ".join([*methods, "OPTIONS"])}
    if request.method == "OPTIONS":
        return web.Response(status=204, headers=allow)
    text = f"{request.path} takes {' and '.join(methods)}, not {request.method}"
    return problem(405, text, headers=allow)


def problem(
    status: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **more: str,
) -> web.Response:
    """An answer that tells what is wrong, as RFC 9457 has it."""
    body = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return web.Response(
        body=msgspec.json.encode({**body, **more}),
        status=status,
        headers={
            **HEADERS,
            "Content-Type": "application/problem+json",
            **(headers or {}),
        },
    )
