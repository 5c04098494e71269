"""publish.HTTP: samples and payloads to a web server."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from ssl import SSLContext
from typing import Any, ClassVar, Final
from urllib.parse import quote

import aiohttp

from nodes._lines import encode_payload
from nodes._options import at_least
from nodes._queue import Item, QueueingSink, is_raw
from nodes._web import (
    TEMPORARY,
    RequestRefused,
    answered,
    authorization,
    checked_auth,
    failure_of,
    media_type,
    target_of,
)
from pichannels.errors import (
    NotConnected,
    RetryLater,
    SettingsError,
    TryAgain,
)
from pichannels.message import Message
from pichannels.probes import Finding
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret, reveal_in_thread

__all__ = ["HTTP", "RequestRefused"]

logger: Final = logging.getLogger("pichannels.nodes")

_AGAIN: Final = RetryPolicy(attempts=0, initial=0.5, maximum=60.0)


class HTTP(QueueingSink):
    """Send messages to a web server, one request at a time and in order.

    A batch becomes a JSON array with one object for each sample, and batches that
    wait meanwhile go into one request. Any other payload is a request of its own:
    bytes and text as they are, with the content type of the message, the rest as
    JSON. The server can recognise what it has had already by the `event_id` of each
    sample, and by the header `Idempotency-Key`, which a retry repeats. The header
    `Pichannels-Lane` says which lane the messages came in; a request has only one.

    Connection errors, time-outs, 408, 425, 429 and 5xx are tried again (after
    `Retry-After` where the server says so), and everything waits meanwhile. Any
    other answer but 2xx lets the message fail; redirections are not followed. Where
    a request holds several messages, each is sent again by itself first.

    Args:
        url: `http://` or `https://`.
        method: the request method.
        headers: added to each request.
        batch: how many samples of several messages go into one request.
        timeout: seconds for one request.
        retry: how often and how soon a request is tried again; by default without
            end, so that nothing fails because a server is away.
        retry_statuses: other answers that are tried again too, such as 401 and 403
            where credentials may be mended.
        auth: (user, password), or a bearer token. What is secret in it, or in
            `headers`, is best a `Secret`: it is looked up before each request.
        ssl: False for no check of the certificate, or an `ssl.SSLContext`.
        queue_bytes: how much may wait to be sent.
        options: those of every node.

    Raises:
        CodecError: JSON has nothing for the payload; fails this message only.
        RequestRefused: through the acknowledgement: the server said no.
        SettingsError: the URL is none.
    """

    takes_numbers: ClassVar[bool] = True

    def __init__(
        self,
        url: str,
        method: str = "POST",
        *,
        headers: Mapping[str, str | Secret] | None = None,
        batch: int = 1000,
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        retry_statuses: Sequence[int] = (),
        auth: tuple[str | Secret, str | Secret] | str | Secret | None = None,
        ssl: bool | SSLContext = True,
        queue_bytes: int = 8 * 2**20,
        **options: Any,
    ) -> None:
        super().__init__(queue_bytes=queue_bytes, **options)
        at_least("batch", batch, 1)
        at_least("timeout", timeout, 0.001)
        self.url = url
        self.method = method.upper()
        self.target = target_of(url)
        self._auth = checked_auth(auth)
        self._headers = dict(headers or {})
        self._batch = batch
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._policy = retry or _AGAIN
        self._temporary = TEMPORARY | set(retry_statuses)
        self._ssl = ssl
        self._session: aiohttp.ClientSession | None = None
        self.requests = 0

    async def start(self) -> None:
        """Take messages (again).

        Raises:
            SettingsError: a secret is missing.
        """
        await super().start()
        await reveal_in_thread([self._auth, self._headers])

    def encode(self, msg: Message) -> bytes:
        if not is_raw(msg):
            return encode_payload(msg)
        raw: str | bytes = msg.payload
        return raw.encode() if isinstance(raw, str) else raw

    def statistics(self) -> dict[str, int]:
        """Counts of values, of requests and of those that failed."""
        return super().statistics() | {"requests": self.requests}

    async def probe(self) -> list[Finding]:
        """Look whether the server answers, by HEAD, which changes nothing there."""
        try:
            async with (
                aiohttp.ClientSession(timeout=self._timeout) as session,
                session.head(
                    self.url,
                    headers=await self._credentials(),
                    ssl=self._ssl,
                    allow_redirects=False,
                ) as response,
            ):
                return [answered(self.target, response.status)]
        except (aiohttp.ClientError, OSError, RetryLater) as exc:
            reason = str(exc) or type(exc).__name__
            return [Finding(False, "server", f"{self.target}: {reason}")]

    async def stop(self) -> None:
        """Send what is queued and close the connections."""
        await super().stop()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def take(self) -> list[Item]:
        """One message, or batches of a lane that together are not too many samples."""
        group = [self._queue.popleft()]
        count = group[0].count
        while group[0].is_batch and self._queue:
            following = self._queue[0]
            count += following.count
            fits = following.is_batch and following.lane == group[0].lane
            if not fits or count > self._batch:
                break
            group.append(self._queue.popleft())
        return group

    async def deliver(self, group: Sequence[Item]) -> None:
        try:
            return await self._send(group)
        except RequestRefused:
            if len(group) == 1:
                raise
        for item in group:
            try:
                await self._send([item])
                self.settle([item])
            except RequestRefused as exc:
                self.fail([item], exc)

    async def _send(self, group: Sequence[Item]) -> None:
        body, headers = self._request(group)
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._request_once(body, headers)
            except TryAgain as exc:
                self.not_written(exc)
                delay = self._policy.delay(attempt, exc)
                if delay is None:
                    raise
                logger.warning("%s: again in %.1f s: %s", self.fullpath(), delay, exc)
            await self.pause(delay)

    def _request(self, group: Sequence[Item]) -> tuple[bytes, dict[str, str]]:
        first = group[0]
        body, key = first.data, first.uuid
        if len(group) > 1:
            body = b"[" + b",".join([item.data[1:-1] for item in group]) + b"]"
            uuids = "".join(item.uuid for item in group)
            key = blake2b(uuids.encode(), digest_size=16).hexdigest()
        return body, {
            # Of several messages the first one: a request has one place in a trace.
            **first.trace,
            "Content-Type": media_type(first.content_type),
            "Idempotency-Key": key,
            "Pichannels-Lane": quote(first.lane, errors="replace"),
        }

    async def _request_once(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Send one request.

        Raises:
            RequestRefused: the server does not want it.
            TryAgain: it may want it later.
        """
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        self.requests += 1
        headers = {**headers, **await self._credentials()}
        try:
            async with self._session.request(
                self.method,
                self.url,
                data=body,
                headers=headers,
                ssl=self._ssl,
                allow_redirects=False,
            ) as response:
                if 200 <= response.status < 300:
                    await response.read()
                    return
                answer = await response.content.read(300)
        except (aiohttp.ClientError, OSError) as exc:
            reason = str(exc) or type(exc).__name__
            raise NotConnected(self.target, reason) from exc
        text = answer.decode(errors="replace").strip()
        raise failure_of(self.target, response, text, self._temporary)

    async def _credentials(self) -> dict[str, str]:
        """The headers that the settings add, with the secrets looked up.

        Raises:
            RetryLater: a secret is missing, perhaps because it is being changed.
        """
        try:
            auth, headers = await reveal_in_thread([self._auth, self._headers])
        except SettingsError as exc:
            raise RetryLater(str(exc)) from exc
        return {**authorization(auth), **headers}
