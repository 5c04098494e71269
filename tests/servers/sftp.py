"""An SFTP server on loopback, with faults on demand (asyncssh)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncssh

__all__ = ["SFTPServer"]

USER, PASSWORD = "plant", "s3cret"


class SFTPServer:
    """Serves a folder to one user, who has a password and perhaps a key.

    Args:
        folder: what is served.

    Attributes:
        host_key: the public key of the server, as in `known_hosts`.
        client_key: the private key that the user may log in with, in PEM.
        refuse_login: passwords count as wrong.
        refuse: paths that may not be opened.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.refuse_login = False
        self.refuse: set[str] = set()
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._client_key = asyncssh.generate_private_key("ssh-ed25519")
        self.host_key = self._key.export_public_key().decode().strip()
        self.client_key = self._client_key.export_private_key().decode()
        self._acceptor: Any = None
        self._connections: set[Any] = set()

    async def start(self) -> None:
        """Listen, on the port of before."""
        self._acceptor = await asyncssh.create_server(
            lambda: _Login(self),
            "127.0.0.1",
            self.port,
            server_host_keys=[self._key],
            sftp_factory=lambda channel: _Files(self, channel),
        )
        self.port = self._acceptor.get_port()

    async def stop(self) -> None:
        """Close everything, as a server that goes down."""
        self._acceptor.close()
        await self._acceptor.wait_closed()
        for connection in list(self._connections):
            connection.abort()
            await connection.wait_closed()

    def knows(self, key: asyncssh.SSHKey) -> bool:
        """Whether it is the key of the user."""
        return bool(key.public_data == self._client_key.public_data)

    def came(self, connection: Any, is_open: bool) -> None:
        """A connection has opened or closed."""
        (self._connections.add if is_open else self._connections.discard)(connection)


class _Login(asyncssh.SSHServer):
    def __init__(self, server: SFTPServer) -> None:
        self._server = server
        self._connection: Any = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._server.came(conn, True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.came(self._connection, False)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        is_right = (username, password) == (USER, PASSWORD)
        return is_right and not self._server.refuse_login

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == USER and self._server.knows(key)


class _Files(asyncssh.SFTPServer):
    def __init__(self, server: SFTPServer, channel: Any) -> None:
        super().__init__(channel, chroot=str(server.folder).encode())
        self._server = server

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        if path.decode().lstrip("/") in self._server.refuse:
            raise asyncssh.SFTPPermissionDenied("not for you")
        return super().open(path, pflags, attrs)
