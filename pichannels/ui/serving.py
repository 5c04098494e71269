"""Serving the pages and the API until the process is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final, cast

import msgspec
import uvicorn

from pichannels.holding import remove
from pichannels.private_files import write_private
from pichannels.ui.app import Pages, make_app
from pichannels.ui.connections import patient
from pichannels.ui.console import Console, ConsolePlan

__all__ = ["Started", "serve"]

_GRACE: Final = 1
_KEPT: Final = 20
"""Seconds for which a connection that asks nothing is kept: longer than programs keep
theirs (5 or 15), so that none is closed while the next request is on its way."""


class Started(msgspec.Struct, frozen=True):
    """Where it is served, and the token that logs in while there is no administrator.

    Attributes:
        url: where.
        token: "" where there is an administrator.
        file: where the token is, too, which only the owner can read.
    """

    url: str
    token: str = ""
    file: str = ""


class _Server(uvicorn.Server):
    """Tells where it listens, once it does; ends at the first signal, or at once."""

    def __init__(self, config: uvicorn.Config, told: Callable[[int], None]) -> None:
        super().__init__(config)
        self._told = told

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not to be raised again at the end, which would cut off what is cleared away.
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._told(self.servers[0].sockets[0].getsockname()[1])


async def serve(
    plan: ConsolePlan,
    told: Callable[[Started], None],
    stop: asyncio.Event | None = None,
    pages: Pages | None = None,
) -> bool:
    """Serve until SIGTERM, Ctrl-C or `stop`: whether it came to that.

    Args:
        plan: what is served.
        told: called once it listens.
        stop: ends it.
        pages: what is served beside the API.

    Raises:
        SettingsError: it is to be served to other machines, and there are no users.
    """
    config = plan.config
    console = await asyncio.to_thread(Console, plan)
    file = Path(plan.folder) / "token"
    await asyncio.to_thread(_leave, file, console.token)

    def listening(port: int) -> None:
        url = _url(config.host, port, bool(config.cert))
        told(Started(url, console.token, str(file) if console.token else ""))

    server = _Server(
        uvicorn.Config(
            make_app(console, pages),
            host=config.host,
            port=config.port,
            ssl_certfile=config.cert or None,
            ssl_keyfile=config.key or None,
            proxy_headers=False,
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=_GRACE,
            timeout_keep_alive=_KEPT,
            ws="websockets-sansio",
            http=cast(Any, patient),
        ),
        listening,
    )
    ending = asyncio.create_task(_end(server, stop), name="end of the pages")
    try:
        await server.serve()
    except SystemExit:
        # uvicorn has told in the log why it could not listen.
        return False
    finally:
        ending.cancel()
        await asyncio.wait([ending])
        await asyncio.to_thread(_leave, file, "")
    return server.started


async def _end(server: uvicorn.Server, stop: asyncio.Event | None) -> None:
    if stop is not None:
        await stop.wait()
        server.should_exit = True


def _leave(file: Path, token: str) -> None:
    """Leave a token in a file of the owner's; "" takes the file away."""
    if token:
        write_private(file, token.encode())
    else:
        remove(file)


def _url(host: str, port: int, is_tls: bool) -> str:
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    name = f"[{here}]" if ":" in here else here
    return f"{'https' if is_tls else 'http'}://{name}:{port}"
