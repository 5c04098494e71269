"""The control server of an instance: health, metrics, status, events, commands.

Nothing is changed by GET. All but `/live` and `/ready` asks for the token. What
is slow here never holds up the channels: readers of the event feed that are too
slow lose events, and are told how many.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from pichannels.config import ControlConfig
from pichannels.control.access import (
    SERVER_NAME,
    Address,
    has_token,
    is_known_host,
    make_token,
    remove_address,
    write_address,
)
from pichannels.control.commands import run_command
from pichannels.control.coverage import CoverageSummaries
from pichannels.control.entrance import Connections, listen
from pichannels.control.families import metrics
from pichannels.control.instance import Instance
from pichannels.control.noting import Noting, actor_of
from pichannels.control.published import Published
from pichannels.control.readiness import Readiness, paused_parts
from pichannels.control.reports import StatusReport, Unready
from pichannels.errors import (
    Backpressure,
    MessageNotFound,
    NoSuchName,
    PichannelsError,
    SettingsError,
    Stopped,
    TryAgain,
    UsageError,
)
from pichannels.events import Event, Follower
from pichannels.metrics import render
from pichannels.remote.websocket import PATH
from pichannels.secrets import Secret, reveal_in_thread
from pichannels.ui_config import UIConfig
from pichannels.values import format_ticks

__all__ = ["ControlServer"]

logger: Final = logging.getLogger("pichannels.control")

_OPEN: Final = ("/live", "/ready")
_LARGEST_BODY: Final = 2**20
_SHORTEST_TOKEN: Final = 16
_FEEDS: Final = 16
_ENDS: Final = ("log", "replay")
_PING: Final = 15.0
_IDLE: Final = 60.0
"""Seconds after which a connection is closed that asks nothing more."""
_HEADERS: Final = {
    "Server": SERVER_NAME,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
}


class ControlServer:
    """Listens for one instance.

    Args:
        instance: what is watched and commanded.
        config: where to listen, and the token.
        data_dir: where the commands find the address.
    """

    def __init__(
        self, instance: Instance, config: ControlConfig, data_dir: Path
    ) -> None:
        self._instance = instance
        self._config = config
        self._data_dir = data_dir
        self._token = ""
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None
        self._address: Address | None = None
        project = instance.project
        named = (project.config.ui or UIConfig()).folder
        folder = project.folder / named if named else data_dir / "ui"
        self._noting = Noting(folder, project.name)
        self._coverage = CoverageSummaries()
        self._readiness = Readiness()
        remote = instance.project.config.remote
        self._published: Published | None = None
        if remote.enabled:
            self._published = Published(instance.project, remote, instance.events)
        self._feeds: set[asyncio.Task[Any]] = set()
        self._work: set[asyncio.Task[bytes]] = set()

    @property
    def url(self) -> str | None:
        """Where it listens, or None."""
        return self._address.url if self._address else None

    @property
    def remote_url(self) -> str | None:
        """Where what is published has a listener of its own, or None."""
        return self._published.url if self._published else None

    async def open(self, pid: int) -> None:
        """Listen, and leave the address in the data directory.

        Raises:
            OSError: the port is taken.
            SettingsError: a token is a secret that is missing, or too short, or a
                certificate cannot be used.
        """
        self._token = await _token(self._config.token)
        app = web.Application(middlewares=[self._guard], client_max_size=_LARGEST_BODY)
        app.on_response_prepare.append(_stamp)
        app.add_routes(
            [
                web.get("/live", self._live),
                web.get("/ready", self._ready),
                web.get("/metrics", self._metrics),
                web.get("/status", self._status),
                web.get("/events", self._events),
                web.post("/commands/{name}", self._command),
            ]
        )
        if self._published is not None:
            await self._published.open(self._token)
            self._published.add_routes(app)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            handler_cancellation=True,
            shutdown_timeout=1.0,
            keepalive_timeout=_IDLE,
        )
        await self._runner.setup()
        assert self._runner.server is not None
        host = self._config.host
        self._listening = await listen(
            Connections(self._runner.server), host, self._config.port
        )
        port = self._listening.sockets[0].getsockname()[1]
        settings = str(self._instance.project.path or "")
        self._address = Address(_url(host, port), self._token, pid, settings)
        await self._noting.started()
        await asyncio.to_thread(write_address, self._data_dir, self._address)

    async def close(self) -> None:
        """Stop listening and take the address away."""
        if self._address is not None:
            await asyncio.to_thread(remove_address, self._data_dir, self._address)
            self._address = None
        await self._readiness.close()
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        for feed in self._feeds:
            feed.cancel()
        if self._published is not None:
            await self._published.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await asyncio.gather(*self._work, return_exceptions=True)
        await self._noting.close()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Let in who may, and tell errors without what is inside."""
        if not is_known_host(request.headers.get("Host", ""), self._config.host):
            return _error(403, "Forbidden", "this is not a name of this server")
        if not _is_open(request.path) and not has_token(request.headers, self._token):
            refused = _error(401, "Unauthorized", "the token is missing or wrong")
            refused.headers["WWW-Authenticate"] = "Bearer"
            return refused
        try:
            answer: web.StreamResponse = await handler(request)
        except web.HTTPException as exc:
            return _error(exc.status, type(exc).__name__, exc.reason)
        except PichannelsError as exc:
            return _error(_code(exc), type(exc).__name__, str(exc))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:
            logger.exception("%s %s failed", request.method, request.path)
            return _error(500, "InternalError", "this failed; the log tells why")
        return answer

    async def _live(self, request: web.Request) -> web.Response:
        return _json(msgspec.json.encode({"live": True}))

    async def _ready(self, request: web.Request) -> web.Response:
        project = self._instance.project
        await self._readiness.look(project)
        status = self._instance.status()
        troubles = self._readiness.all_troubles(project, status)
        told: dict[str, Any] = {"ready": not troubles}
        if paused := paused_parts(status):
            # Somebody wants that: it is no reason to take the instance out.
            told["paused"] = paused
        if troubles:
            # Why is only for those who may know: it names servers.
            is_open = not has_token(request.headers, self._token)
            told["reasons"] = [_briefly(each) if is_open else each for each in troubles]
        return _json(msgspec.json.encode(told), 503 if troubles else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        text = render(metrics(await self.told()))
        return web.Response(
            body=text.encode(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def _status(self, request: web.Request) -> web.Response:
        return _json(msgspec.json.encode(await self.told()))

    async def told(self) -> StatusReport:
        """The status, with what the coverage ledgers say; also while it is closed."""
        project = self._instance.project
        self._readiness.begin(project)
        found = await self._coverage.of(project.all_channels())
        status = self._instance.status()
        troubles = self._readiness.troubles(project, status)
        return msgspec.structs.replace(
            status, coverage=found, is_ready=not troubles, troubles=troubles
        )

    async def _command(self, request: web.Request) -> web.Response:
        body = await request.read()
        name = request.match_info["name"]
        who = actor_of(request.headers, request.remote or "")
        run = partial(run_command, self._instance, name, body)
        work = asyncio.create_task(
            self._noting.run(who, name, body, run), name=f"command {name}"
        )
        self._work.add(work)
        work.add_done_callback(self._work.discard)
        # When who asked goes away some end there; anything else is finished, as half
        # of it would be worse.
        return _json(await (work if name in _ENDS else asyncio.shield(work)))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        if len(self._feeds) >= _FEEDS:
            raise Backpressure("the event feed", 0)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        task = asyncio.current_task()
        assert task is not None
        self._feeds.add(task)
        try:
            await response.prepare(request)
            await _feed(response, self._instance.events.follow())
        except ConnectionError:
            logger.debug("a reader of the event feed went away")
        finally:
            self._feeds.discard(task)
        return response


def _is_open(path: str) -> bool:
    """Whether this is for all to see, or asks for tokens of its own."""
    return path in _OPEN or path == PATH or path.startswith(f"{PATH}/")


async def _token(configured: str | Secret) -> str:
    """The token that callers show: the configured one, else a new one."""
    if not configured:
        return make_token()
    found = await reveal_in_thread(configured)
    token = str(found)
    if len(token) < _SHORTEST_TOKEN:
        raise SettingsError(
            "this token is too short",
            key="CONTROL['token']",
            allowed=f"{_SHORTEST_TOKEN} characters and more",
        )
    return token


def _briefly(trouble: Unready) -> dict[str, str]:
    return {"part": trouble.part, "kind": trouble.kind}


def _url(host: str, port: int) -> str:
    # "All addresses" is a place to listen at, not one to connect to.
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}"


async def _feed(response: web.StreamResponse, events: Follower) -> None:
    """Server-sent events; a comment now and then shows that the feed lives."""
    following = asyncio.create_task(events.__anext__(), name="control feed")
    try:
        # Who has read this misses nothing from here on.
        await response.write(b": following\n\n")
        while True:
            done, _ = await asyncio.wait([following], timeout=_PING)
            frame = b": ping\n\n"
            if done:
                frame = _frame(following.result())
                following = asyncio.create_task(events.__anext__(), name="control feed")
            await response.write(frame)
    finally:
        following.cancel()
        await asyncio.wait([following])
        await events.aclose()


def _frame(event: Event) -> bytes:
    data = msgspec.json.encode(
        {"time": format_ticks(event.ticks), **event.facts}, enc_hook=str
    )
    return b"event: " + event.name.encode() + b"\ndata: " + data + b"\n\n"


async def _stamp(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


def _error(status: int, kind: str, message: str) -> web.Response:
    body = {"error": {"type": kind, "message": message}}
    return _json(msgspec.json.encode(body), status)


def _code(error: PichannelsError) -> int:
    if isinstance(error, MessageNotFound | NoSuchName):
        return 404
    if isinstance(error, UsageError | SettingsError):
        return 400
    if isinstance(error, Stopped):
        return 409
    return 503 if isinstance(error, TryAgain) else 500
