"""An SMTP server for tests, on loopback."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP as Server, AuthResult, Envelope, LoginPassword, Session

__all__ = ["MailServer"]


class MailServer:
    """Keeps what it gets, and answers as a test wants it.

    Args:
        certificate: a file with certificate and key, for TLS.
        is_tls: speak TLS from the beginning; otherwise it is offered.
        login: user and password, where it asks for them.

    Attributes:
        mails: what it has taken.
        answers: what it answers to the next mails instead.
        refused: recipients whom it does not know.
        port: where it listens.
    """

    def __init__(
        self,
        certificate: Path | None = None,
        *,
        is_tls: bool = False,
        login: tuple[str, str] | None = None,
    ) -> None:
        self.mails: list[Envelope] = []
        self.answers: list[str] = []
        self.refused: set[str] = set()
        self.logins = 0
        self._login = login
        self._options: dict[str, Any] = {}
        self._tls: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None
        self.port = 0
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            if is_tls:
                self._tls = context
            else:
                self._options["tls_context"] = context
        if login is not None:
            self._options |= {"authenticator": self._check, "auth_required": True}
            # Without TLS it would take a password, to see that nobody sends one.
            self._options["auth_require_tls"] = "tls_context" in self._options

    def _check(self, *args: Any) -> AuthResult:
        found = args[-1]
        assert isinstance(found, LoginPassword)
        self.logins += 1
        given = found.login.decode(), found.password.decode()
        return AuthResult(success=given == self._login, handled=False)

    async def handle_RCPT(
        self,
        server: Server,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(
        self, server: Server, session: Session, envelope: Envelope
    ) -> str:
        if self.answers:
            return self.answers.pop(0)
        self.mails.append(envelope)
        return "250 taken"

    async def start(self) -> None:
        """Begin to listen, at the same port as before."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Server(self, **self._options),
            "127.0.0.1",
            self.port,
            ssl=self._tls,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
