"""What the messages of a stream come from, and how it is opened."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Literal, Protocol, TypeAlias, TypedDict

import msgspec

from pichannels import clock
from pichannels.piwebasync.exceptions import (
    AuthFailed,
    ChannelRefused,
    PIWebAsyncException,
    WebsocketClientError,
    shown,
)
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.polling import UpdateEvent, UpdatesClient
from pichannels.piwebasync.requests import Request
from pichannels.piwebasync.responses import WebsocketMessage
from pichannels.piwebasync.tls import check_tls
from pichannels.piwebasync.transport import Auth, Cert, Headers, Verify
from pichannels.piwebasync.websocket import BACKOFF, WebsocketClient
from pichannels.retry import RetryPolicy

__all__ = [
    "CameBack",
    "FellBack",
    "Opener",
    "Opening",
    "Source",
    "StreamOptions",
    "Transport",
    "is_not_the_path",
]

Transport: TypeAlias = Literal["auto", "channel", "updates"]
"""A websocket, stream updates over HTTP, or these where no websocket opens."""

logger: Final = logging.getLogger("pichannels.piwebasync")

# These answers to a handshake say nothing about websockets.
_NOT_THE_PATH: Final = (401, 429, 503)


class FellBack(msgspec.Struct, frozen=True):
    """The handshake fails where HTTP works: stream updates are polled instead."""

    url: str
    at: int
    """Our own time, ticks."""
    error: Exception


class CameBack(msgspec.Struct, frozen=True):
    """A websocket opens again; stream updates are no longer polled."""

    url: str
    at: int
    """Our own time, ticks."""


Opening: TypeAlias = UpdateEvent | FellBack | CameBack
"""What is told of sources and their connections."""


class StreamOptions(TypedDict, total=False):
    """What `Stream` hands on; see `WebsocketClient` for the meaning."""

    extra_headers: Headers | None
    open_timeout: float
    close_timeout: float
    ping_interval: float | None
    heartbeat: float | None
    max_queue: int
    buffer_bytes: int
    max_block: float
    backoff: RetryPolicy
    verify: Verify
    cert: Cert
    proxy: str | None
    trust_env: bool
    safe_chars: str | None
    origin: str | None
    compression: str | None
    max_size: int | None


class Source(Protocol):
    """Where the messages of a stream come from."""

    @property
    def is_open(self) -> bool: ...
    @property
    def is_closed(self) -> bool: ...
    @property
    def heard(self) -> int | None: ...
    async def recv(self) -> WebsocketMessage: ...
    async def recv_many(self, max_bytes: int = 2**20) -> list[bytes]: ...
    async def update(self, request: Request, rollback: bool = False) -> None: ...
    async def close(self) -> None: ...
    def statistics(self) -> dict[str, int]: ...


class Opener(msgspec.Struct, kw_only=True):
    """Opens sources; see `Stream` for the meaning of its fields."""

    auth: Auth
    dead_after: float | None
    transport: Transport
    poll: float
    limiter: Limiter | None
    on_event: Callable[[Opening], None]
    options: StreamOptions

    def __post_init__(self) -> None:
        check_tls(self.options.get("verify", True), self.options.get("cert"))

    def __repr__(self) -> str:
        # The login is nobody's business.
        return f"<Opener {self.transport}>"

    async def open(self, request: Request) -> Source:
        """Open the one that is wanted, or the one that can be had.

        Raises:
            WebsocketClientError: it cannot be opened; as `Stream.start` says.
        """
        if self.transport == "updates":
            return await self.updates(request)
        try:
            return await self.channel(request)
        except WebsocketClientError as exc:
            if self.transport == "channel" or is_not_the_path(exc):
                raise
            return await self.fall_back(request, exc)

    async def channel(self, request: Request) -> WebsocketClient:
        """Open a websocket."""
        return await WebsocketClient(
            request,
            auth=self.auth,
            reconnect=True,
            dead_channel_timeout=self.dead_after,
            on_event=self.on_event,
            limiter=self.limiter,
            **self.options,
        ).open()

    async def fall_back(self, request: Request, error: Exception) -> UpdatesClient:
        """Poll, as a websocket has failed with this error.

        Raises:
            WebsocketClientError: `error`, as polling fails, too.
        """
        try:
            source = await self.updates(request)
        except PIWebAsyncException as exc:
            error.add_note(f"stream updates instead of a channel failed, too: {exc}")
            raise error from error.__cause__
        url = request.absolute_url
        try:
            self.on_event(FellBack(url, clock.now(), error))
        except BaseException:
            await source.close()
            raise
        logger.warning("%s is polled, as it opens no websocket: %s", shown(url), error)
        return source

    async def updates(self, request: Request) -> UpdatesClient:
        """Sign up for stream updates."""
        options = self.options
        http = HTTPClient(
            self.auth,
            options.get("extra_headers"),
            verify=options.get("verify", True),
            safe_chars=options.get("safe_chars"),
            cert=options.get("cert"),
            proxy=options.get("proxy"),
            timeout=options.get("open_timeout", 10.0),
            trust_env=options.get("trust_env", True),
            limiter=self.limiter,
        )
        try:
            return await UpdatesClient(
                request,
                http,
                poll=self.poll,
                dead_channel_timeout=self.dead_after,
                backoff=options.get("backoff", BACKOFF),
                on_event=self.on_event,
            ).open()
        except BaseException:
            await http.close()
            raise


def is_not_the_path(error: Exception) -> bool:
    """Whether a handshake failed for what would stop polling, too.

    Also where polling works a moment later: 503 says that it will pass.
    """
    if isinstance(error.__cause__, AuthFailed):
        return True
    return isinstance(error, ChannelRefused) and error.status_code in _NOT_THE_PATH
