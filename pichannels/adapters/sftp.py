"""SFTP by asyncssh, which the extra `sftp` brings; the only module that imports it."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from pichannels.adapters.remote_files import (
    FileLink,
    FileRefused,
    FileServer,
    RemoteFile,
    TooLarge,
)
from pichannels.errors import NotConnected, SettingsError
from pichannels.secrets import Secret, reveal_in_thread

__all__ = ["SFTPLink"]

_GOODBYE: Final = 2.0
"""Seconds that a server gets to say goodbye."""
_LEAST: Final = 0.1


class SFTPLink(FileLink):
    """A connection to an SFTP server.

    Raises:
        SettingsError: asyncssh is not installed.
    """

    def __init__(self, server: FileServer) -> None:
        super().__init__(server)
        if importlib.util.find_spec("asyncssh") is None:
            raise SettingsError(
                "SFTP needs the extra `sftp`: pip install 'pichannels[sftp]'"
            )
        # It takes a while, which only projects with SFTP should wait for.
        self._ssh: Any = importlib.import_module("asyncssh")
        self._connection: Any = None
        self._client: Any = None

    @property
    def is_open(self) -> bool:
        return self._client is not None

    async def connect(self) -> None:
        server = self.server
        user, password = await reveal_in_thread((server.user, server.password))
        options = await asyncio.to_thread(self._keys)
        if password:
            options["password"] = password
        async with self._translated(""), asyncio.timeout(server.timeout):
            self._connection = await self._ssh.connect(
                server.host,
                server.port,
                username=user or "anonymous",
                # Nothing of the user's own files and agents: a service has none.
                config=None,
                agent_path=None,
                # Those of the library lose cancellations in Python 3.11.
                login_timeout=0,
                keepalive_interval=max(server.timeout / 3, _LEAST),
                keepalive_count_max=2,
                **options,
            )
            self._client = await self._connection.start_sftp_client(
                path_encoding=server.encoding, path_errors="backslashreplace"
            )

    def _keys(self) -> dict[str, Any]:
        """In a thread: reads files, and decrypts keys.

        Raises:
            NotConnected: the key of the host cannot be known.
            SettingsError: a key cannot be read.
        """
        server = self.server
        options: dict[str, Any] = {"client_keys": None}
        try:
            if server.key:
                options["client_keys"] = [self._private_key()]
            if server.host_key:
                key = self._ssh.import_public_key(server.host_key)
                options["known_hosts"] = ([key], [], [])
                return options
        except (self._ssh.KeyImportError, self._ssh.KeyEncryptionError) as exc:
            raise SettingsError(f"this key cannot be used: {exc}", key="key") from exc
        path = Path(server.known_hosts or Path.home() / ".ssh" / "known_hosts")
        try:
            hosts = self._ssh.import_known_hosts(path.read_text("utf-8"))
        except (OSError, ValueError) as exc:
            reason = f"the keys of known hosts cannot be read from {path}: {exc}"
            raise NotConnected(self.target, reason) from exc
        return {**options, "known_hosts": hosts}

    def _private_key(self) -> Any:
        key, password = self.server.key, self.server.key_password
        try:
            text = key.reveal() if isinstance(key, Secret) else Path(key).read_text()
        except OSError as exc:
            problem = f"this key cannot be read: {exc.strerror}"
            raise SettingsError(problem, key="key", found=key) from exc
        if isinstance(password, Secret):
            password = password.reveal()
        return self._ssh.import_private_key(text, password or None)

    async def hang_up(self, *, politely: bool) -> None:
        connection, self._connection = self._connection, None
        self._client = None
        if connection is None:
            return
        connection.close() if politely else connection.abort()
        with suppress(self._ssh.Error, OSError, TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await connection.wait_closed()

    async def do_list(self, folder: str) -> dict[str, RemoteFile]:
        found: dict[str, RemoteFile] = {}
        async with self._translated(folder):
            async for entry in self._client.scandir(folder or "."):
                file = _file(entry.attrs)
                if file is None and _is_link(entry.attrs):
                    file = await self._behind(f"{folder}/{entry.filename}")
                if file is not None:
                    found[entry.filename] = file
        return found

    async def _behind(self, link: str) -> RemoteFile | None:
        """The file that a link leads to; folders are not followed."""
        try:
            file = _file(await self._client.stat(link))
        except self._ssh.SFTPError:
            return None
        return None if file is None or file.is_folder else file

    async def do_read(self, path: str, limit: int) -> bytes:
        async with self._translated(path), self._client.open(path, "rb") as file:
            data: bytes = await file.read(limit + 1)
        if len(data) > limit:
            raise TooLarge(path, limit)
        return data

    async def do_write(self, path: str, data: bytes) -> None:
        part = f"{path}.part"
        async with self._translated(path):
            async with self._client.open(part, "wb") as file:
                await file.write(data)
                with suppress(self._ssh.SFTPOpUnsupported):
                    await file.fsync()
            try:
                await self._client.posix_rename(part, path)
            except self._ssh.SFTPOpUnsupported:
                with suppress(self._ssh.SFTPNoSuchFile):
                    await self._client.remove(path)
                await self._client.rename(part, path)

    async def do_delete(self, path: str) -> None:
        async with self._translated(path):
            await self._client.remove(path)

    async def do_look(self, path: str) -> RemoteFile | None:
        async with self._translated(path):
            try:
                return _file(await self._client.stat(path))
            except (self._ssh.SFTPNoSuchFile, self._ssh.SFTPNoSuchPath):
                return None

    @asynccontextmanager
    async def _translated(self, path: str) -> AsyncIterator[None]:
        ssh = self._ssh
        try:
            yield
        except (ssh.SFTPNoConnection, ssh.SFTPConnectionLost) as exc:
            raise NotConnected(self.target, exc.reason) from exc
        except ssh.SFTPError as exc:
            raise FileRefused(self.target, path, exc.reason) from exc
        except ssh.PermissionDenied as exc:
            reason = f"the login is refused: {exc.reason}"
            raise NotConnected(self.target, reason) from exc
        except ssh.HostKeyNotVerifiable as exc:
            reason = f"its key is not that of a known host: {exc.reason}"
            raise NotConnected(self.target, reason) from exc
        except (ssh.Error, OSError, EOFError) as exc:
            reason = str(exc) or "it does not answer"
            raise NotConnected(self.target, reason) from exc


def _is_link(attrs: Any) -> bool:
    return attrs.permissions is not None and stat.S_ISLNK(attrs.permissions)


def _file(attrs: Any) -> RemoteFile | None:
    """A file or folder; None for anything else."""
    mode = attrs.permissions
    is_folder = mode is not None and stat.S_ISDIR(mode)
    if mode is not None and not is_folder and not stat.S_ISREG(mode):
        return None
    size = -1 if attrs.size is None else attrs.size
    nanoseconds = getattr(attrs, "mtime_ns", None)
    modified = "" if attrs.mtime is None else f"{attrs.mtime}.{nanoseconds or 0:09}"
    return RemoteFile(is_folder, size, modified)
