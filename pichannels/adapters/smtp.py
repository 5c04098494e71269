"""Mail by SMTP with aiosmtplib, which the extra `mail` brings.

The only module that knows aiosmtplib: a connection that is safe before a password
goes over it, and the errors of the library as ours.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from email.message import EmailMessage
from typing import Any, Final, NamedTuple

from pichannels.errors import MessageError, NotConnected, RetryLater, SettingsError
from pichannels.secrets import Secret, reveal_in_thread

__all__ = ["MailRefused", "MailServer", "Mailer"]

_PORTS: Final = {"tls": 465, "plain": 25, "login": 587}


class MailRefused(MessageError):
    """The server does not take this mail, now or later."""


class MailServer(NamedTuple):
    """Where mails go, and how to get in.

    Attributes:
        host: of the server.
        port: None for the usual one: 465 with `ssl`, 587 with a login, else 25.
        user: who logs in.
        password: best a `Secret`; it is looked up for each connection.
        ssl: speak TLS from the beginning.
        start_tls: begin TLS before anything else; None where the server offers it, or
            where there is a login.
        verify: False for no check of the certificate, the file of an authority, or an
            `ssl.SSLContext`.
        timeout: seconds for the connection, and for each answer.
    """

    host: str = "localhost"
    port: int | None = None
    user: str | Secret | None = None
    password: str | Secret | None = None
    ssl: bool = False
    start_tls: bool | None = None
    verify: bool | str | os.PathLike[str] | ssl.SSLContext = True
    timeout: float = 30.0

    @property
    def target(self) -> str:
        """How errors name it."""
        return f"{'smtps' if self.ssl else 'smtp'}://{self.host}:{self.number}"

    @property
    def number(self) -> int:
        """The port."""
        usual = "tls" if self.ssl else "plain" if self.user is None else "login"
        return self.port or _PORTS[usual]

    @property
    def wants_start_tls(self) -> bool | None:
        """Whether TLS begins after the greeting; None where the server offers it."""
        if self.ssl:
            return False
        return True if self.user is not None else self.start_tls


class Mailer:
    """A connection to a server, for several mails.

    Args:
        server: where it is.

    Raises:
        SettingsError: aiosmtplib is not installed, or a password would go unprotected.
    """

    def __init__(self, server: MailServer) -> None:
        self._library = _library()
        if server.user is not None and server.start_tls is False and not server.ssl:
            raise SettingsError(
                "a password needs TLS: ssl=True, or start_tls",
                key="start_tls",
                found=False,
            )
        self._server = server
        self.target = server.target

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Any]:
        """A connection that is logged in, for `send`.

        Raises:
            NotConnected: the server does not answer, or has no TLS.
            RetryLater: it does not accept the login, or not now.
            SettingsError: a secret or a certificate is missing.
        """
        server = self._server
        logins: Any = [server.user, server.password]
        user, password = await reveal_in_thread(logins)
        client = self._library.SMTP(
            hostname=server.host,
            port=server.number,
            use_tls=server.ssl,
            start_tls=server.wants_start_tls,
            tls_context=await self._context(),
            timeout=server.timeout,
            # Looked up in the DNS, which may take a while.
            local_hostname=await asyncio.to_thread(socket.getfqdn),
        )
        try:
            await self._translated(client.connect())
            if user is not None:
                await self._translated(client.login(user, password or ""))
            yield client
        finally:
            with suppress(self._library.SMTPException, OSError):
                await client.quit(timeout=1)
            client.close()

    async def _context(self) -> ssl.SSLContext:
        verify = self._server.verify
        if isinstance(verify, ssl.SSLContext):
            return verify
        try:
            return await asyncio.to_thread(_made, verify)
        except OSError as exc:
            raise SettingsError(
                f"the certificates cannot be used: {exc}",
                key="verify",
                found=str(verify),
            ) from exc

    async def send(self, client: Any, mail: EmailMessage) -> dict[str, str]:
        """Send a mail; it is the server's then.

        Returns:
            Who does not get it, and why.

        Raises:
            MailRefused: nobody gets it.
            NotConnected: the connection is lost.
            RetryLater: the server may take it later.
        """
        try:
            refused, _ = await self._translated(client.send_message(mail))
        except ValueError as exc:
            raise MailRefused(f"this mail cannot be sent: {exc}") from exc
        return {name: f"{code} {said}" for name, (code, said) in refused.items()}

    async def _translated(self, doing: Any) -> Any:
        aiosmtplib = self._library
        try:
            return await doing
        except aiosmtplib.SMTPRecipientsRefused as exc:
            codes = [each.code for each in exc.recipients]
            said = "; ".join(f"{e.recipient}: {e.message}" for e in exc.recipients)
            raise self._refusal(min(codes, default=500), said) from exc
        except aiosmtplib.SMTPAuthenticationError as exc:
            # A password may be mended; the mail is not to blame.
            text = f"{self.target} does not accept the login: {exc.message}"
            raise RetryLater(text) from exc
        except aiosmtplib.SMTPNotSupported as exc:
            # Letters that the server has no way to take.
            raise MailRefused(f"{self.target}: {exc}") from exc
        except aiosmtplib.SMTPConnectError as exc:
            raise NotConnected(self.target, str(exc)) from exc
        except aiosmtplib.SMTPResponseException as exc:
            raise self._refusal(exc.code, exc.message) from exc
        except (aiosmtplib.SMTPException, OSError) as exc:
            raise NotConnected(self.target, str(exc) or type(exc).__name__) from exc

    def _refusal(self, code: int, said: str) -> MailRefused | RetryLater:
        text = f"{self.target} answered {code}: {said}"
        return MailRefused(text) if code >= 500 else RetryLater(text)


def _library() -> Any:
    # Only when it is needed: it takes a while, and few projects do.
    try:
        return importlib.import_module("aiosmtplib")
    except ImportError as exc:
        raise SettingsError(
            "mail needs the extra `mail`: pip install 'pichannels[mail]'"
        ) from exc


def _made(verify: bool | str | os.PathLike[str]) -> ssl.SSLContext:
    file = None if isinstance(verify, bool) else verify
    context = ssl.create_default_context(cafile=file)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
