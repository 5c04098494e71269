"""Asking others on the way: what a web server answers becomes the payload."""

from __future__ import annotations

import json as plain_json
import os
from collections.abc import Callable, Mapping, Sequence
from ssl import SSLContext
from typing import Any, ClassVar, Final, NamedTuple
from urllib.parse import urljoin, urlsplit

import aiohttp
from yarl import URL

from nodes._lines import encode_payload
from nodes._options import at_least
from nodes._queue import is_raw
from nodes._texts import filled, has_pattern, in_url, pattern_of
from nodes._web import (
    RequestRefused,
    answered,
    authorization,
    checked_auth,
    failure_of,
    media_type,
    target_of,
)
from pichannels.errors import (
    CodecError,
    DecodeError,
    MessageError,
    NotConnected,
    RetryLater,
    SettingsError,
)
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.piwebasync.tls import check_tls, reason_of, tls_context
from pichannels.probes import Finding
from pichannels.secrets import Secret, reveal_in_thread
from pichannels.tracing import outgoing

__all__ = ["HTTP", "RequestRefused"]

_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_METHODS: Final = frozenset({*_WITH_BODY, "GET", "HEAD", "DELETE", "OPTIONS"})
_KEEPS_METHOD: Final = frozenset({307, 308})
_PIECE: Final = 65536

Texts = Mapping[str, str | Secret]
Parameter = str | int | float | Sequence[str] | Callable[[Message], Any]


class _Ask(NamedTuple):
    """One request."""

    method: str
    url: str
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    body: bytes | None


class _Answer(NamedTuple):
    """What came back."""

    status: int
    url: str
    headers: list[list[str]]
    cookies: dict[str, str]
    content_type: str
    charset: str
    body: bytes


class HTTP(BaseNode):
    """Ask a web server; its answer becomes the payload of the message.

    In `url`, `params` and `headers` a pattern such as `%(meta.plant)s` or
    `%(payload.order.id)s` is a value of the message, escaped where it is in the URL.
    POST, PUT and PATCH send the payload: bytes and text with the content type of the
    message, anything else as JSON.

    Connection errors, time-outs, 408, 425, 429 and 5xx are worth another try: by the
    `retry` of the node, then by that of the channel. Any other answer but 2xx lets the
    message fail. Connections are kept open for the next request.

    Args:
        url: `http://` or `https://`.
        method: the request method.
        headers: added to each request. What is secret is best a `Secret`, which is
            looked up before each request.
        auth: (user, password), or a bearer token.
        params: what stands behind the `?`: texts, lists, or functions of the message.
        cookies: sent with each request.
        keep_cookies: send cookies that the server has set back to it.
        json: the answer is JSON, and the payload what it says.
        binary: the payload is bytes; otherwise text, in the encoding of the answer.
        send_as_json: send also text as JSON.
        any_status: take any answer for a result, whatever its status.
        redirects: how many redirections are followed; none by default. Logins, headers,
            cookies and payloads go to no other server.
        add_meta: keep `status`, `url`, `headers` and `cookies` of the answer in the
            meta, as `response`.
        verify: False for no check of the certificate, the file of an authority, or an
            `ssl.SSLContext`.
        client_cert: a file with a certificate of our own, or (certificate, key).
        timeout: seconds for one request.
        max_bytes: how large an answer may be.
        options: those of every node.

    Raises:
        CodecError: JSON has nothing for the payload; fails this message only.
        DecodeError: the answer is not JSON, or not in its encoding.
        MessageError: the answer is too large, or the message lacks a value.
        NotConnected: the server does not answer.
        RequestRefused: it said no.
        RetryLater: it may say yes later.
        SettingsError: the URL or another option is not usable.
    """

    changes: ClassVar = frozenset({"content_type", "meta", "payload"})
    is_sink: ClassVar[bool] = True

    def __init__(
        self,
        url: str,
        method: str = "GET",
        *,
        headers: Texts | None = None,
        auth: tuple[str | Secret, str | Secret] | str | Secret | None = None,
        params: Mapping[str, Parameter] | None = None,
        cookies: Texts | None = None,
        keep_cookies: bool = False,
        json: bool = False,
        binary: bool = False,
        send_as_json: bool = False,
        any_status: bool = False,
        redirects: int = 0,
        add_meta: bool = False,
        verify: bool | str | os.PathLike[str] | SSLContext = True,
        client_cert: str | tuple[str, ...] | None = None,
        timeout: float = 30.0,
        max_bytes: int = 16 * 2**20,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._auth = checked_auth(auth)
        self.ask_for(url, method, headers, cookies, params)
        self.json = json
        self.binary = binary
        self.send_as_json = send_as_json
        self.any_status = any_status
        self.redirects = redirects
        self.add_meta = add_meta
        at_least("redirects", redirects, 0)
        at_least("timeout", timeout, 0.001)
        at_least("max_bytes", max_bytes, 1)
        check_tls(verify, client_cert)
        self._tls = (verify, client_cert)
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._max_bytes = max_bytes
        self._keep_cookies = keep_cookies
        self._session: aiohttp.ClientSession | None = None
        self.requests = 0
        self.errors = 0

    def ask_for(
        self,
        url: str,
        method: str,
        headers: Texts | None,
        cookies: Texts | None,
        params: Mapping[str, Parameter] | None,
    ) -> None:
        """Ask so from the next message on; the connections stay.

        Raises:
            SettingsError: one of them is not usable.
        """
        self.method = _method(method)
        self.target = _checked_url(url)
        self.url = url
        self._secrets: Any = [self._auth, dict(headers or {}), cookies or {}]
        self._filled = [
            name
            for name, text in (headers or {}).items()
            if isinstance(text, str) and has_pattern(text)
        ]
        self._params = dict(params or {})
        for name, text in [*self._params.items(), *(headers or {}).items()]:
            if isinstance(text, str):
                pattern_of(name, text)

    async def start(self) -> None:
        """Take messages (again).

        Raises:
            SettingsError: a secret is missing.
            UsageError: a certificate is.
        """
        await reveal_in_thread(self._secrets)
        self._session = await self._opened()

    async def stop(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _opened(self) -> aiohttp.ClientSession:
        tls = await tls_context(*self._tls)
        jar = aiohttp.CookieJar(unsafe=True)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls),
            cookie_jar=jar if self._keep_cookies else aiohttp.DummyCookieJar(),
            timeout=self._timeout,
        )

    def statistics(self) -> dict[str, int]:
        """Counts of requests, and of those that failed."""
        return {"requests": self.requests, "errors": self.errors}

    async def probe(self) -> list[Finding]:
        """Look whether the server answers, by HEAD, which changes nothing there."""
        try:
            auth, headers, cookies = await reveal_in_thread(self._secrets)
            plain = {k: v for k, v in headers.items() if k not in self._filled}
            async with (
                await self._opened() as session,
                session.head(
                    self.target,
                    headers={**authorization(auth), **plain},
                    cookies=cookies,
                    allow_redirects=False,
                ) as response,
            ):
                return [answered(self.target, response.status)]
        except (aiohttp.ClientError, OSError, SettingsError) as exc:
            return [Finding(False, "server", f"{self.target}: {reason_of(exc)}")]

    async def process(self, msg: Message) -> Message:
        ask = await self._ask(msg)
        try:
            answer = await self._answer(ask)
            self._take(msg, answer)
        except Exception:
            self.errors += 1
            raise
        return msg

    # Asking

    async def _ask(self, msg: Message) -> _Ask:
        try:
            auth, headers, cookies = await reveal_in_thread(self._secrets)
        except SettingsError as exc:
            raise RetryLater(str(exc)) from exc
        headers |= {name: filled(headers[name], msg) for name in self._filled}
        body = None
        if self.method in _WITH_BODY:
            body, content_type = self._body(msg)
            headers = {"Content-Type": content_type, **headers}
        headers = {**outgoing(), **authorization(auth), **headers}
        return _Ask(self.method, self._url(msg), headers, cookies, body)

    def _url(self, msg: Message) -> str:
        url = filled(self.url, msg, in_url)
        query = [
            (name, each)
            for name, value in self._params.items()
            for each in _parameter(value, msg)
        ]
        return str(URL(url).extend_query(query))

    def _body(self, msg: Message) -> tuple[bytes, str]:
        if is_raw(msg) and not self.send_as_json:
            raw: str | bytes = msg.payload
            body = raw.encode() if isinstance(raw, str) else raw
            return body, media_type(msg.content_type)
        try:
            return encode_payload(msg), "application/json"
        except (TypeError, ValueError) as exc:
            raise CodecError(f"{self.fullpath()}: {exc}") from exc

    async def _answer(self, ask: _Ask) -> _Answer:
        for _ in range(self.redirects + 1):
            answer, failure, place = await self._once(ask)
            following = _redirected(ask, answer.status, place) if place else None
            if following is None:
                break
            ask = following
        if failure is not None and not self.any_status:
            raise failure
        return answer

    async def _once(
        self, ask: _Ask
    ) -> tuple[_Answer, RetryLater | RequestRefused | None, str | None]:
        """The answer, what would be raised for it, and where it redirects to."""
        if self._session is None:
            self._session = await self._opened()
        self.requests += 1
        try:
            async with self._session.request(
                ask.method,
                URL(ask.url),
                data=ask.body,
                headers=ask.headers,
                cookies=ask.cookies,
                allow_redirects=False,
            ) as response:
                answer = _Answer(
                    response.status,
                    ask.url,
                    [[name, value] for name, value in response.headers.items()],
                    {name: each.value for name, each in response.cookies.items()},
                    response.content_type,
                    response.charset or "utf-8",
                    await self._read(response),
                )
        except (aiohttp.ClientError, OSError) as exc:
            raise NotConnected(self.target, reason_of(exc)) from exc
        except ValueError as exc:
            # A header or a URL that a value of the message has made unusable.
            raise MessageError(f"{self.fullpath()}: {exc}") from exc
        if 200 <= answer.status < 300:
            return answer, None, None
        said = answer.body[:300].decode(errors="replace").strip()
        place = response.headers.get("Location") if answer.status < 400 else None
        return answer, failure_of(self.target, response, said), place

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for piece in response.content.iter_chunked(_PIECE):
            body += piece
            if len(body) > self._max_bytes:
                text = f"{self.target} answered more than {self._max_bytes} bytes"
                raise MessageError(text)
        return bytes(body)

    # Answers

    def _take(self, msg: Message, answer: _Answer) -> None:
        msg.payload = self._payload(answer)
        is_python = self.json and not self.binary
        msg.content_type = "application/python" if is_python else answer.content_type
        if self.add_meta:
            msg.meta["response"] = {
                "status": answer.status,
                "url": answer.url,
                "headers": answer.headers,
                "cookies": answer.cookies,
            }

    def _payload(self, answer: _Answer) -> Any:
        if self.binary:
            return answer.body
        try:
            text = answer.body.decode(answer.charset)
        except (UnicodeDecodeError, LookupError) as exc:
            raise DecodeError("text", str(exc), answer.body) from exc
        if not self.json:
            return text
        try:
            return plain_json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise DecodeError("JSON", str(exc), text) from exc


def _parameter(value: Parameter, msg: Message) -> list[str]:
    found = value(msg) if callable(value) else value
    if isinstance(found, str):
        return [found if callable(value) else filled(found, msg)]
    if isinstance(found, Sequence):
        return [str(each) for each in found]
    return [str(found)]


def _redirected(ask: _Ask, status: int, place: str) -> _Ask | None:
    """The request that a redirection asks for; None for one that is not followed."""
    url = urljoin(ask.url, place)
    if status not in _KEEPS_METHOD and ask.method != "HEAD":
        headers = {k: v for k, v in ask.headers.items() if k != "Content-Type"}
        ask = ask._replace(method="GET", headers=headers, body=None)
    if _origin(url) != _origin(ask.url):
        if ask.body is not None:
            return None
        ask = ask._replace(headers={}, cookies={})
    return ask._replace(url=url)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _method(found: Any) -> str:
    name = str(found).upper()
    if name not in _METHODS:
        raise SettingsError(
            "no such method",
            key="method",
            found=found,
            allowed=", ".join(sorted(_METHODS)),
        )
    return name


def _checked_url(url: Any) -> str:
    """The URL without what may be secret, and without patterns."""
    target = target_of(url)
    parts = urlsplit(url)
    if has_pattern(parts.netloc) or "@" in parts.netloc:
        raise SettingsError(
            "neither a login nor a pattern can be in the place of the server",
            key="url",
            found=target,
            allowed="http://server/..., with auth=(user, password)",
        )
    pattern_of("url", url)
    return f"{parts.scheme}://{parts.netloc}/" if has_pattern(target) else target
