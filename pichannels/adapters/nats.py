"""NATS by nats-py, which the extra `nats` brings: publishing with acknowledgements."""

from __future__ import annotations

import asyncio
import itertools
import os
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

import msgspec

from pichannels.adapters.later import Later
from pichannels.certificates import tls_context
from pichannels.errors import (
    MessageError,
    NotConnected,
    RetryLater,
    SettingsError,
    TryAgain,
)
from pichannels.secrets import Secret, reveal_in_thread

__all__ = ["Connection", "Login", "Refused", "checked_servers", "ensure_installed"]

client: Final = Later("nats.aio.client")
errors: Final = Later("nats.errors")

_ALLOWED: Final = "nats://host:port, tls://host:port, or several of them"
_PARTS: Final = ("BEGIN NATS USER JWT", "BEGIN USER NKEY SEED")
_GOODBYE: Final = 5.0
_SOON: Final = 0.2
_NO_RESPONDERS: Final = "503"
# Codes of JetStream's own: what concerns one message, and what settings have to mend.
_TOO_LARGE: Final = frozenset({10054, 10097})
_WRONG_STREAM: Final = frozenset({10039, 10060, 10076, 10109})


class Refused(MessageError):
    """The server does not take a message."""


def ensure_installed() -> None:
    """Look whether the library is there.

    Raises:
        SettingsError: it is not.
    """
    if not client.is_there():
        raise SettingsError(
            "NATS needs the extra `nats`: pip install 'pichannels[nats]'"
        )


class Login(NamedTuple):
    """Where the servers are, and how to get in.

    Attributes:
        servers: `nats://host:port`, or `tls://` for TLS, of one or several servers.
        user: name of the user.
        password: best a `Secret`, like the next ones; looked up for each connection.
        token: in place of a user.
        nkey: the seed of an NKey, in place of a user.
        credentials: the text of a file with a JWT and its seed, in place of a user.
        tls: True for TLS, or an `ssl.SSLContext`.
        verify: False for no check of the certificate.
        ca: a file with the certificates that are trusted, in PEM.
        certificate: a file with a certificate of our own, in PEM.
        key: a file with its key, where that is another one.
        client_id: what servers call us in their logs.
        timeout: seconds for a connection.
    """

    servers: str | Sequence[str]
    user: str | Secret | None = None
    password: str | Secret | None = None
    token: str | Secret | None = None
    nkey: str | Secret | None = None
    credentials: str | Secret | None = None
    tls: bool | ssl.SSLContext = False
    verify: bool = True
    ca: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    client_id: str = "pichannels"
    timeout: float = 30.0

    def __repr__(self) -> str:
        return f"Login({self.target})"

    @property
    def secrets(self) -> list[str | Secret | None]:
        """What is looked up for each connection."""
        return [self.user, self.password, self.token, self.nkey, self.credentials]

    @property
    def target(self) -> str:
        """The servers, as errors show them."""
        return "NATS at " + ", ".join(
            urlsplit(each).netloc for each in checked_servers(self.servers)
        )

    async def options(self) -> dict[str, Any]:
        """What the library's client takes.

        Raises:
            SettingsError: a secret or a file is missing.
        """
        found: Any = await reveal_in_thread(self.secrets)
        user, password, token, nkey, credentials = found
        if credentials is not None and not all(m in credentials for m in _PARTS):
            raise SettingsError("there is no JWT with its seed", key="credentials")
        servers = checked_servers(self.servers)
        is_tls = self.tls or any(each.startswith("tls:") for each in servers)
        context = is_tls and await tls_context(
            self.tls,
            verify=self.verify,
            ca=self.ca,
            certificate=self.certificate,
            key=self.key,
        )
        return {
            "servers": servers,
            "name": self.client_id,
            "user": user,
            "password": password,
            "token": token,
            "nkeys_seed_str": nkey,
            "user_credentials": credentials and client.RawCredentials(credentials),
            "tls": context or None,
            "allow_reconnect": False,
            "max_reconnect_attempts": 1,
            "reconnect_time_wait": 0,
            "connect_timeout": self.timeout,
        }


def checked_servers(found: Any) -> list[str]:
    """The URLs of the servers; `host:port` stands for `nats://host:port`.

    Raises:
        SettingsError: one is none, a login is in it, or there are none.
    """
    given = found.split(",") if isinstance(found, str) else found
    texts = [each.strip() for each in given if isinstance(each, str)]
    servers = [each if "://" in each else f"nats://{each}" for each in texts if each]
    for each in servers:
        _check_url(each)
    if not servers:
        raise SettingsError("there are none", key="servers", allowed=_ALLOWED)
    return servers


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    try:
        is_url = parts.scheme in ("nats", "tls") and parts.hostname and parts.port != 0
    except ValueError:
        is_url = False
    if "@" in parts.netloc:
        shown = f"{parts.scheme}://...@{parts.hostname}"
        raise SettingsError(
            "a login is no part of the URL; use user and password",
            key="servers",
            found=shown,
        )
    if not is_url:
        raise SettingsError("not a URL", key="servers", found=url, allowed=_ALLOWED)


class Connection:
    """One connection, from `open` to `close`; it never comes back by itself.

    What is not acknowledged when it is lost fails with `NotConnected`.

    Attributes:
        error: why it is lost; None while it is not.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.error: NotConnected | None = None
        self._client: Any = client.Client()
        self._last_error: BaseException | None = None
        self._inbox = ""
        self._numbers = itertools.count(1)
        self._acks: dict[str, tuple[str, asyncio.Future[None]]] = {}

    @classmethod
    async def open(cls, login: Login) -> Self:
        """Connect.

        Raises:
            NotConnected: no server answers.
            SettingsError: the login is refused, a secret or the extra is missing.
        """
        ensure_installed()
        made = cls(login.target)
        options = await login.options()
        try:
            async with asyncio.timeout(login.timeout):
                await made._connect(options)
        except BaseException as exc:
            # What never was a connection has nothing to say goodbye to.
            await made.close(_SOON)
            if isinstance(exc, ImportError):
                raise SettingsError(
                    "logins by nkey and credentials need nkeys:"
                    " pip install 'nats-py[nkeys]'"
                ) from exc
            if isinstance(exc, Exception):
                raise made._refusal(exc) from exc
            raise
        return made

    async def _connect(self, options: Mapping[str, Any]) -> None:
        await self._client.connect(
            **options, error_cb=self._failed, closed_cb=self._closed
        )
        self._inbox = self._client.new_inbox()
        await self._client.subscribe(f"{self._inbox}.*", cb=self._answered)

    def _refusal(self, exc: BaseException) -> TryAgain | SettingsError:
        """Why there is no connection, as ours."""
        cause = self._last_error if isinstance(exc, errors.NoServersError) else exc
        reason = str(cause or exc) or type(cause or exc).__name__
        # Other errors than these two come of keys and credentials that are none.
        is_key = not isinstance(cause, errors.Error | OSError)
        is_login = isinstance(cause, errors.AuthorizationError) or "uthent" in reason
        if is_key or is_login or "uthori" in reason:
            return SettingsError(f"{self.target}: the login is refused: {reason}")
        if isinstance(cause, ssl.SSLCertVerificationError):
            return SettingsError(f"{self.target}: {reason}", key="ca")
        return NotConnected(self.target, reason)

    async def publish(
        self, subject: str, value: bytes, headers: Mapping[str, str]
    ) -> asyncio.Future[None]:
        """Send a message; the future is done when a stream has it.

        The future fails with `NotConnected`, `RetryLater`, `Refused` or
        `SettingsError`.

        Raises:
            NotConnected: the connection is lost.
            Refused: the message does not fit.
        """
        if self.error is not None:
            raise NotConnected(self.target, self.error.reason)
        number = str(next(self._numbers))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Perhaps nobody comes to it, as another one fails before.
        done.add_done_callback(_seen)
        self._acks[number] = subject, done
        try:
            await self._client.publish(
                subject, value, f"{self._inbox}.{number}", dict(headers)
            )
        except errors.MaxPayloadError as exc:
            del self._acks[number]
            raise Refused(f"{len(value)} bytes are too many for {self.target}") from exc
        except (errors.Error, OSError) as exc:
            raise NotConnected(self.target, str(exc)) from exc
        return done

    async def stream_of(self, subject: str) -> str:
        """The name of the stream that takes a subject.

        Raises:
            NotConnected: the server does not answer.
            RetryLater: none does, or JetStream is not enabled.
        """
        stream = self._client.jetstream()
        try:
            return str(await stream.find_stream_name_by_subject(subject))
        except (errors.Error, OSError) as exc:
            if self._client.is_closed:
                raise NotConnected(self.target, str(exc)) from exc
            raise self._no_stream(subject) from exc

    async def close(self, grace: float = _GOODBYE) -> None:
        """Disconnect within so many seconds; what is not acknowledged fails."""
        with suppress(Exception):
            async with asyncio.timeout(grace):
                await self._client.close()
        self._lose("the connection was closed")

    async def _failed(self, exc: BaseException) -> None:
        """The library tells of a failure."""
        self._last_error = exc

    async def _closed(self) -> None:
        self._lose(str(self._last_error or "the connection was closed"))

    def _lose(self, reason: str) -> None:
        self.error = self.error or NotConnected(self.target, reason)
        waiting, self._acks = self._acks, {}
        for _, done in waiting.values():
            if not done.done():
                done.set_exception(NotConnected(self.target, reason))

    async def _answered(self, answer: Any) -> None:
        """What a stream says of a message."""
        subject, done = self._acks.pop(answer.subject.rpartition(".")[2], ("", None))
        if done is None or done.done():
            return
        status = (answer.headers or {}).get("Status")
        if status == _NO_RESPONDERS:
            done.set_exception(self._no_stream(subject))
            return
        error = _Answer() if status else msgspec.json.decode(answer.data, type=_Answer)
        if error.error is None:
            done.set_result(None)
        else:
            done.set_exception(self._error(error.error, subject))

    def _no_stream(self, subject: str) -> RetryLater:
        return RetryLater(
            f"{self.target} has no stream that takes {subject!r}; add one, or the"
            " subject to one, or enable JetStream"
        )

    def _error(self, error: _Error, subject: str) -> Exception:
        told = f"{self.target}: {subject}: {error.description}"
        if error.err_code in _TOO_LARGE:
            return Refused(told)
        if error.err_code in _WRONG_STREAM:
            return SettingsError(told)
        return RetryLater(told)


class _Error(msgspec.Struct):
    description: str = ""
    err_code: int = 0


class _Answer(msgspec.Struct):
    error: _Error | None = None


def _seen(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()
