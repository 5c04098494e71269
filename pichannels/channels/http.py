"""The channel whose source is HTTP: a message for each request, and its answer."""

from __future__ import annotations

import asyncio
import codecs
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from pichannels.channels.http_bodies import (
    Lost,
    Refused,
    answer_of,
    read_body,
    unavailable,
)
from pichannels.channels.listening import Handlers, ListeningChannel
from pichannels.channels.ticking import seconds
from pichannels.delivery import Outcome
from pichannels.endpoints.base import Listen, Place
from pichannels.endpoints.http import (
    HEADERS,
    METHODS,
    HTTPEndpoint,
    places_of,
    problem,
)
from pichannels.errors import (
    ChannelPaused,
    ChannelStopped,
    JournalError,
    SettingsError,
    TryAgain,
    UsageError,
    nearest,
)
from pichannels.message import Message
from pichannels.tracing import incoming

__all__ = ["HttpChannel"]

logger: Final = logging.getLogger("pichannels.channels")

_ALL_METHODS: Final = ("*", *METHODS, "OPTIONS")
_PARAMETER: Final = re.compile(r"\{([_a-zA-Z]\w*)[:}]")
_RESERVED: Final = (
    "cookies get_params headers lane match_info method path remote replay_of"
    " response_cookies response_headers status status_code url"
).split()
_CREDENTIALS: Final = ("authorization", "proxy-authorization")


class HttpChannel(ListeningChannel):
    """Runs a message through its nodes for each request, and answers with the result.

    The payload is the body. `meta` has `method`, `url`, `path`, `get_params` (a value,
    or a list of those that came), `remote`, `match_info`, and each parameter of the URL
    under its own name.

    The answer follows from the outcome. Processed: the payload of the result (bytes,
    text, or JSON of anything else) with its content type; `meta["status"]`,
    `meta["response_headers"]` and `meta["response_cookies"]` change it. Dropped: 204.
    Rejected: 422 with the reason. To be tried again later: 503. Failed: 500, without
    what happened inside. Stopped, or full: 503. Paused: 202, as with `accepted`.

    Args:
        args: the name, and what every channel takes.
        endpoint: what listens; several channels share one. In YAML a mapping with
            `host`, `port`, `certificate`, `key`; equal ones are one endpoint.
        method: `GET` (with `HEAD`), `POST` or another one; `*` for all.
        url: the path, with parameters: `/plants/{name}`, `/files/{path:.+}`.
        encoding: of the body, whose text then is the payload, and of answers; bytes
            without.
        add_headers: put `headers` (names and values, without those of logins) and
            `cookies` into `meta`, and so into the store.
        accepted: answer 202 as soon as the message is durable in the journal, with
            its id in the header `Pichannels-Message-Id`; nobody hears of the result.
        body_limit: largest body in bytes; 413 for others. By default that of the
            endpoint, 1 MiB.
        read_timeout: seconds that a client may take to send the body; 408 then.
        max_requests: how many may be under way at once; 503 for more.
        kwargs: those of every channel.

    Raises:
        SettingsError: an option is not usable.
    """

    def __init__(
        self,
        *args: Any,
        endpoint: HTTPEndpoint | Listen | None = None,
        method: str = "*",
        url: str = "/",
        encoding: str | None = None,
        add_headers: bool = False,
        accepted: bool = False,
        body_limit: int | None = None,
        read_timeout: float = 30.0,
        max_requests: int = 1000,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, endpoint=_endpoint(endpoint), **kwargs)
        self.method = _method(method)
        self.url = _url(url, self.method)
        self.encoding = None if encoding is None else _encoding(encoding)
        self.add_headers = add_headers
        self.accepted = accepted
        self.body_limit = None if body_limit is None else _count(body_limit)
        self.read_timeout = seconds("read_timeout", read_timeout)
        self.max_requests = _count(max_requests, "max_requests")
        self.requests = 0
        self.refused = 0
        self.unavailable = 0
        self.lost = 0
        self._handlers = Handlers()

    def places(self) -> Sequence[Place]:
        return places_of(self.method, self.url)

    @property
    def origin(self) -> str:
        return f"{self.method} {self._location}"

    @property
    def _location(self) -> str:
        endpoint = self.endpoint
        assert isinstance(endpoint, HTTPEndpoint)
        return f"{endpoint.url}{self.url}"

    @property
    def under_way(self) -> int:
        """How many requests are not answered yet."""
        return len(self._handlers)

    def statistics(self) -> dict[str, Any]:
        """Where it is, how many requests came, and those that became no message."""
        return {
            "url": self._location,
            "requests": self.requests,
            "under_way": self.under_way,
            "refused": self.refused,
            "unavailable": self.unavailable,
            "lost": self.lost,
        }

    async def start_source(self) -> None:
        if self.accepted and self.journal is None:
            raise UsageError(
                f"channel {self.name!r} answers what is durable, and has no journal;"
                " run it in an engine, or without accepted=True"
            )
        await super().start_source()

    async def respond(
        self, request: web.Request, match: Mapping[str, str]
    ) -> web.StreamResponse:
        """The answer to a request, called by the endpoint."""
        self.requests += 1
        if not self._is_listening:
            return self._unavailable("the channel is stopped")
        if self.under_way >= self.max_requests:
            return self._unavailable("too many requests are under way")
        handler = self._handlers.begin()
        try:
            return await self._answer(request, match)
        except Refused as exc:
            return self._refusal(request, exc)
        except ChannelStopped:
            return self._unavailable("the channel is stopped")
        except asyncio.CancelledError:
            if not self._handlers.is_given_up(handler):
                raise
            return self._unavailable("the channel has stopped")
        except Lost:
            self.lost += 1
            # Nobody is there any more to get it.
            return web.Response(status=400)
        except (JournalError, TryAgain, OSError) as exc:
            logger.error("%s: a request is put off: %s", self.name, exc)
            return self._unavailable("nothing can be stored just now")
        except Exception as exc:
            logger.exception("%s: a request is not taken: %s", self.name, exc)
            return problem(500, "the request cannot be taken")
        finally:
            self._handlers.end(handler)

    async def _release(self) -> None:
        # What could not be drained; the endpoint may stay open for other channels.
        self._handlers.give_up()
        await super()._release()

    def _refusal(self, request: web.Request, refused: Refused) -> web.Response:
        self.refused += 1
        answer = problem(refused.status, refused.reason)
        if not request.content.at_eof():
            # What is left of the body is not worth reading.
            answer.force_close()
        return answer

    def _unavailable(self, reason: str) -> web.Response:
        self.unavailable += 1
        return unavailable(reason)

    async def _answer(
        self, request: web.Request, match: Mapping[str, str]
    ) -> web.Response:
        if self.accepted and self._is_full():
            return self._unavailable("no room is left for messages just now")
        msg = await self._message(request, match)
        if self.accepted:
            await self.accept(msg)
            return _taken(msg)
        try:
            outcome = await self.run(msg)
        except ChannelPaused as exc:
            return self._paused(msg, exc)
        try:
            return self.answer(outcome, msg)
        except Exception as exc:
            logger.exception("%s: %s has no answer: %s", self.name, msg.uuid, exc)
            return problem(500, "the answer cannot be made", id=msg.uuid)

    def answer(self, outcome: Outcome, msg: Message) -> web.Response:
        """What is answered when `msg` is settled; errors inside are not told.

        Raises:
            Exception: the result cannot be written, or says what no answer can have.
        """
        return answer_of(outcome, msg, self.encoding or "utf-8")

    def _paused(self, msg: Message, paused: ChannelPaused) -> web.Response:
        if paused.is_stored:
            return _taken(msg)
        return self._unavailable("the channel is paused")

    def _is_full(self) -> bool:
        return self._inlet is not None and self._inlet.is_full

    # Messages

    async def _message(self, request: web.Request, match: Mapping[str, str]) -> Message:
        endpoint = self.endpoint
        assert isinstance(endpoint, HTTPEndpoint)
        limit = endpoint.body_limit if self.body_limit is None else self.body_limit
        body = await read_body(request, limit, self.read_timeout)
        payload = body if self.encoding is None else self._decoded(body)
        return Message(request.content_type, payload, self._meta(request, match))

    def _decoded(self, body: bytes) -> str:
        assert self.encoding is not None
        try:
            return body.decode(self.encoding)
        except UnicodeDecodeError as exc:
            raise Refused(400, f"the body is not {self.encoding}") from exc

    def _meta(self, request: web.Request, match: Mapping[str, str]) -> dict[str, Any]:
        parameters = dict(match)
        meta: dict[str, Any] = {
            **parameters,
            "method": request.method,
            "url": f"{request.scheme}://{request.host}{request.path_qs}",
            "path": request.path,
            "get_params": _parameters(request),
            "match_info": parameters,
            "remote": request.remote,
        }
        if self.tracer is not None:
            meta |= incoming(request.headers)
        if self.add_headers:
            meta["headers"] = [
                [name, value]
                for name, value in request.headers.items()
                if name.lower() not in _CREDENTIALS
            ]
            meta["cookies"] = dict(request.cookies)
        return meta


def _taken(msg: Message) -> web.Response:
    """202: the message is durable, and there is no result of it yet."""
    told = {**HEADERS, "Pichannels-Message-Id": msg.uuid}
    return web.Response(status=202, headers=told)


def _parameters(request: web.Request) -> dict[str, Any]:
    if not request.rel_url.raw_query_string:
        return {}
    query = request.query
    found = {name: query.getall(name) for name in query}
    return {name: v[0] if len(v) == 1 else v for name, v in found.items()}


# Options


def _endpoint(found: Any) -> HTTPEndpoint:
    if isinstance(found, HTTPEndpoint):
        return found
    if isinstance(found, Listen):
        return HTTPEndpoint(
            host=found.host,
            port=found.port,
            reuse_port=found.reuse_port,
            certificate=found.certificate,
            key=found.key,
        )
    raise SettingsError(
        "this is no endpoint for HTTP",
        key="endpoint",
        found=type(found).__name__,
        allowed="an HTTPEndpoint, such as HTTPEndpoint(port=8080)",
    )


def _method(found: Any) -> str:
    name = str(found).upper()
    if name not in _ALL_METHODS:
        raise SettingsError(
            f"no such method{nearest(name, _ALL_METHODS)}",
            key="method",
            found=found,
            allowed=", ".join(_ALL_METHODS),
        )
    return name


def _url(found: Any, method: str) -> str:
    try:
        web.UrlDispatcher().add_route(method, found, _nothing)
    except (ValueError, TypeError, AttributeError) as exc:
        raise SettingsError(
            f"this is no path: {exc}",
            key="url",
            found=found,
            allowed="a path such as /plants/{name}",
        ) from exc
    for name in _PARAMETER.findall(found):
        if name in _RESERVED:
            raise SettingsError(
                f"a parameter may not be called {name!r}: meta has it already",
                key="url",
                found=found,
            )
    return str(found)


async def _nothing(request: web.Request) -> web.StreamResponse:
    """What stands for the answer while a path is checked."""
    return web.Response(status=404)


def _encoding(found: Any) -> str:
    try:
        return codecs.lookup(found).name
    except (LookupError, TypeError) as exc:
        raise SettingsError(
            "there is no such encoding",
            key="encoding",
            found=found,
            allowed="names such as utf-8",
        ) from exc


def _count(found: Any, key: str = "body_limit") -> int:
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise SettingsError(
            "not a usable number", key=key, found=found, allowed="1 or more"
        )
    return found
