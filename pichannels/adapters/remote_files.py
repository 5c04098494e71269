"""Files on a server, whichever protocol it speaks: what is asked, and what fails.

`FileLink` connects when it is used, one request at a time, and again after the
connection was lost. The modules for the libraries say how each request is done.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple, TypeVar

from pichannels.errors import MessageError, NotConnected
from pichannels.secrets import Secret

__all__ = ["FileLink", "FileRefused", "FileServer", "RemoteFile", "TooLarge"]

T = TypeVar("T")


class FileRefused(MessageError):
    """The server does not give, take or delete this file.

    Args:
        target: the server.
        path: of the file.
        reason: in the server's words.
    """

    def __init__(self, target: str, path: str, reason: str) -> None:
        self.target = target
        self.path = path
        self.reason = reason
        super().__init__(f"{target} refuses {path}: {reason}")


class TooLarge(MessageError):
    """A file is larger than the limit; the rest was not read."""

    def __init__(self, path: str, limit: int) -> None:
        self.path = path
        self.limit = limit
        super().__init__(f"{path} is larger than {limit} bytes")


class FileServer(NamedTuple):
    """Where a server is, and how to get in.

    Attributes:
        protocol: `ftp`, `ftps` (TLS asked for on the plain port), `ftps-implicit`
            (TLS from the beginning) or `sftp`.
        host: its name or address.
        port: its port.
        user: the login; anonymous where it is "".
        password: of the user, if there is one.
        verify: for FTPS: True for a checked certificate, False for none, or the path
            of a file with the certificates to trust.
        key: for SFTP: the private key in PEM as a secret, or the path of its file.
        key_password: of the key, where it is encrypted.
        known_hosts: for SFTP: the path of a file with the keys of hosts, as OpenSSH
            has it; by default that of the user.
        host_key: for SFTP: the one key that the server may have, in its place, such
            as `ssh-ed25519 AAAA...`.
        encoding: of file names.
        timeout: seconds that the server may be silent.
    """

    protocol: str
    host: str
    port: int
    user: str | Secret = ""
    password: str | Secret = ""
    verify: bool | str = True
    key: str | Secret = ""
    key_password: str | Secret = ""
    known_hosts: str = ""
    host_key: str = ""
    encoding: str = "utf-8"
    timeout: float = 30.0

    @property
    def target(self) -> str:
        """The server in words."""
        scheme = "ftps" if self.protocol == "ftps-implicit" else self.protocol
        return f"{scheme}://{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"FileServer({self.target})"


class RemoteFile(NamedTuple):
    """What the server says of a file or folder.

    Attributes:
        is_folder: whether it is a folder.
        size: in bytes; -1 where it is not known.
        modified: when it was changed, in the server's words.
        identity: what names the file whatever its name is, if the server tells.
    """

    is_folder: bool
    size: int = -1
    modified: str = ""
    identity: str = ""


class FileLink(ABC):
    """One connection to a file server.

    Every request raises `NotConnected` when the server is away, refuses the login or
    is silent, `FileRefused` when it does not do what is asked, and `SettingsError`
    when a secret is missing.

    Args:
        server: where it is.
    """

    def __init__(self, server: FileServer) -> None:
        self.server = server
        self._lock = asyncio.Lock()

    @property
    def target(self) -> str:
        """The server in words."""
        return self.server.target

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether there is a connection."""

    @abstractmethod
    async def connect(self) -> None:
        """Connect and log in."""

    @abstractmethod
    async def hang_up(self, *, politely: bool) -> None:
        """Disconnect, if there is a connection."""

    @abstractmethod
    async def do_list(self, folder: str) -> dict[str, RemoteFile]:
        """What is in a folder, by name."""

    @abstractmethod
    async def do_read(self, path: str, limit: int) -> bytes:
        """What a file holds."""

    @abstractmethod
    async def do_write(self, path: str, data: bytes) -> None:
        """Let a file hold this, and nothing half in between."""

    @abstractmethod
    async def do_delete(self, path: str) -> None:
        """Delete a file."""

    @abstractmethod
    async def do_look(self, path: str) -> RemoteFile | None:
        """What there is of this name; None when nothing is."""

    async def list(self, folder: str) -> dict[str, RemoteFile]:
        """What is in a folder, by name."""
        found = await self._request(lambda: self.do_list(folder))
        # A name that leads elsewhere is none.
        return {name: file for name, file in found.items() if _is_name(name)}

    async def read(self, path: str, limit: int) -> bytes:
        """What a file holds.

        Raises:
            TooLarge: more than `limit` bytes.
        """
        return await self._request(lambda: self.do_read(path, limit))

    async def write(self, path: str, data: bytes) -> None:
        """Write a file, under another name until it is whole."""
        await self._request(lambda: self.do_write(path, data))

    async def delete(self, path: str) -> None:
        """Delete a file; one that is gone already is no error."""
        await self._request(lambda: self._deleted(path))

    async def look(self, path: str) -> RemoteFile | None:
        """What there is of this name; None when nothing is."""
        return await self._request(lambda: self.do_look(path))

    async def close(self) -> None:
        """Disconnect."""
        async with self._lock:
            await self.hang_up(politely=True)

    async def _deleted(self, path: str) -> None:
        try:
            await self.do_delete(path)
        except FileRefused:
            if await self.do_look(path) is not None:
                raise

    async def _request(self, work: Callable[[], Awaitable[T]]) -> T:
        async with self._lock:
            if self.is_open:
                # Servers hang up on who is idle; that is no failure.
                with suppress(NotConnected):
                    return await self._tried(work)
            await self._tried(self.connect)
            return await self._tried(work)

    async def _tried(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        except FileRefused:
            raise
        except BaseException:
            # Nobody knows what the connection waits for.
            await self.hang_up(politely=False)
            raise


def _is_name(name: str) -> bool:
    return name not in ("", ".", "..") and not any(c in name for c in "/\0\r\n")
