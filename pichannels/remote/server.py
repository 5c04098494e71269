"""A hub on the web: routes for any aiohttp application, and a server of its own.

`GET PATH` becomes a link (a websocket). `GET PATH/NAME` downloads a file that is
published for reading, with ranges, for tools that know nothing of streams.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from pichannels.access import is_known_host
from pichannels.config import is_loopback
from pichannels.errors import SettingsError
from pichannels.remote.access import Access, Action
from pichannels.remote.errors import RemoteError
from pichannels.remote.files import FileSource
from pichannels.remote.hub import Hub
from pichannels.remote.modes import Mode
from pichannels.remote.websocket import PATH, ServerSocket

__all__ = ["HubServer", "add_routes"]


def add_routes(app: web.Application, hub: Hub, path: str = PATH) -> None:
    """Let an application of aiohttp serve a hub.

    The links end when the application shuts down. Requests of pages of other sites
    are refused.

    Args:
        app: not started yet.
        hub: what is published; who may do what is asked of its `authorize`.
        path: of the links; downloads are below it.
    """
    routes = _Routes(hub)
    app.router.add_get(path, routes.link)
    app.router.add_get(f"{path}/{{name:.+}}", routes.download)
    app.on_shutdown.append(routes.shut)


class _Routes:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._open: set[ServerSocket] = set()

    async def link(self, request: web.Request) -> web.StreamResponse:
        access = await self._admitted(request)
        most = self._hub.limits.frame_bytes
        try:
            socket = await ServerSocket.accept(request, most)
        except OSError:
            # Nobody is there any more to get it.
            return web.Response(status=400)
        self._open.add(socket)
        try:
            await self._hub.serve(socket, access)
        finally:
            self._open.discard(socket)
        return socket.response

    async def _admitted(self, request: web.Request) -> Access:
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.host:
            raise web.HTTPForbidden(text="pages of other sites are not let in")
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        shown = token.strip() if kind.lower() == "bearer" else None
        access = await self._hub.admit(shown)
        if access is None:
            raise web.HTTPUnauthorized(
                text="the token is missing or wrong",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return access

    async def download(self, request: web.Request) -> web.StreamResponse:
        access = await self._admitted(request)
        name = request.match_info["name"]
        try:
            found = self._hub.find(name)
        except RemoteError as exc:
            raise web.HTTPNotFound(text=str(exc)) from exc
        if not access.allows(Action.READ, name):
            raise web.HTTPForbidden(text="the token does not allow to read this")
        if not isinstance(found.source, FileSource) or not found.mode & Mode.READ:
            raise web.HTTPNotFound(text=f"{name!r} is no file that can be downloaded")
        try:
            await found.source.about()
        except RemoteError as exc:
            raise web.HTTPNotFound(text=str(exc)) from exc
        return _Download(found.source.path)

    async def shut(self, app: web.Application) -> None:
        await asyncio.gather(*(socket.aclose() for socket in list(self._open)))


class _Download(web.FileResponse):
    """A file, and ranges of it.

    A range is for who knows the version that it is of (`If-Range`): of another one
    the whole file is sent, so that no part of it is put behind a part of another.
    """

    async def prepare(self, request: web.BaseRequest) -> Any:
        condition = request.headers.get("If-Range", "")
        if '"' in condition and "Range" in request.headers:
            found = await asyncio.to_thread(os.stat, self._path)
            if condition != f'"{found.st_mtime_ns:x}-{found.st_size:x}"':
                given = request.headers.items()
                headers = {name: x for name, x in given if name.lower() != "range"}
                request = request.clone(headers=headers)
        return await super().prepare(request)


class HubServer:
    """A server for one hub: `async with HubServer(hub, port=8443, ssl=...)`.

    Args:
        hub: what is published. The hub is not closed with the server.
        host: where to listen; only this machine by default.
        port: its number; 0 takes a free one.
        ssl: with it the server speaks TLS.
        path: of the links.

    Raises:
        SettingsError: other machines could reach a hub that asks nobody for a token.
    """

    def __init__(
        self,
        hub: Hub,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        ssl: ssl.SSLContext | None = None,
        path: str = PATH,
    ) -> None:
        if hub.is_open_to_all and not is_loopback(host):
            raise SettingsError(
                "other machines could do everything with this hub; give it authorize=",
                key="host",
                found=host,
            )
        self._hub = hub
        self._host = host
        self._port = port
        self._ssl = ssl
        self._path = path
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port on which it listens, which tells what a port 0 became."""
        port: int = self._runner.addresses[0][1] if self._runner else self._port
        return port

    @property
    def url(self) -> str:
        """What clients connect to."""
        scheme = "https" if self._ssl else "http"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self.port}{self._path}"

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        app = web.Application(middlewares=[self._guard])
        add_routes(app, self._hub, self._path)
        runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=1.0
        )
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self._port, ssl_context=self._ssl)
            await site.start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if not is_known_host(request.headers.get("Host", ""), self._host):
            raise web.HTTPForbidden(text="this is not a name of this server")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def close(self) -> None:
        """Stop listening, and end the links that came this way."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
