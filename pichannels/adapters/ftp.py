"""FTP and FTPS by aioftp, which the extra `ftp` brings.

The only module that imports aioftp.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import PurePosixPath
from typing import Any, Final

from pichannels.adapters.remote_files import (
    FileLink,
    FileRefused,
    FileServer,
    RemoteFile,
    TooLarge,
)
from pichannels.errors import NotConnected, SettingsError
from pichannels.secrets import reveal_in_thread

try:
    import aioftp
except ImportError:
    aioftp = None  # type: ignore[assignment]

__all__ = ["FTPLink"]

_BLOCK: Final = 2**16
_GOODBYE: Final = 2.0
"""Seconds that a server gets to say goodbye."""
_REFUSED_LOGIN: Final = ("530", "532")


class FTPLink(FileLink):
    """A connection to an FTP server.

    Raises:
        SettingsError: aioftp is not installed.
    """

    def __init__(self, server: FileServer) -> None:
        super().__init__(server)
        if aioftp is None:
            raise SettingsError(
                "FTP needs the extra `ftp`: pip install 'pichannels[ftp]'"
            )
        self._client: Any = None
        # The library loses sight of a data connection whose command is refused.
        self._data: list[asyncio.StreamWriter] = []

    @property
    def is_open(self) -> bool:
        return self._client is not None

    async def connect(self) -> None:
        server = self.server
        user, password = await reveal_in_thread((server.user, server.password))
        context = await asyncio.to_thread(_context, server)
        is_implicit = server.protocol == "ftps-implicit"
        client: Any = aioftp.Client(
            # No time-outs of the library's own: in Python 3.11 they lose cancellations.
            encoding=server.encoding,
            ssl=context if is_implicit else None,
            parse_list_line_custom=self._listed,
        )
        self._client = client
        self._keep_data_connections(client)
        async with self._translated(""):
            await client.connect(server.host, server.port)
            if context is not None and not is_implicit:
                await client.upgrade_to_tls(context)
            elif is_implicit:
                await client.command("PBSZ 0", "200")
                await client.command("PROT P", "200")
            if user:
                await client.login(user, password)
            else:
                await client.login()

    def _keep_data_connections(self, client: Any) -> None:
        opened = client.get_passive_connection
        parsed = client.parse_mlsx_line

        async def open_and_keep(*args: Any, **options: Any) -> Any:
            reader, writer = await opened(*args, **options)
            self._data.append(writer)
            return reader, writer

        client.get_passive_connection = open_and_keep
        client.parse_mlsx_line = lambda line: parsed(_readable(line, client.encoding))

    def _listed(self, b: bytes) -> Any:
        """A line of LIST; what is none (`total 12`) has the name of nothing."""
        encoding = self.server.encoding
        plain = _readable(b, encoding).encode(encoding)
        for parse in (
            self._client.parse_list_line_unix,
            self._client.parse_list_line_windows,
        ):
            with suppress(ValueError, KeyError, IndexError):
                return parse(plain)
        return PurePosixPath("."), {"type": "unknown"}

    async def hang_up(self, *, politely: bool) -> None:
        client, self._client = self._client, None
        writers, self._data = self._data, []
        if client is None:
            return
        with suppress(aioftp.AIOFTPException, OSError, ValueError):
            if politely:
                async with asyncio.timeout(_GOODBYE):
                    await client.quit()
        with suppress(OSError):
            client.close()
            writers.append(client.stream.writer)
        await _closed(writers)

    async def do_list(self, folder: str) -> dict[str, RemoteFile]:
        found: dict[str, RemoteFile] = {}
        async with self._translated(folder) as goes_on:
            async for path, info in self._client.list(folder):
                goes_on()
                if _is_plain(info):
                    found[path.name] = _file(info)
        return found

    async def do_read(self, path: str, limit: int) -> bytes:
        data = bytearray()
        async with self._translated(path) as goes_on:
            async with self._client.download_stream(path) as stream:
                async for block in stream.iter_by_block(_BLOCK):
                    goes_on()
                    data += block
                    if len(data) > limit:
                        raise TooLarge(path, limit)
        return bytes(data)

    async def do_write(self, path: str, data: bytes) -> None:
        part = f"{path}.part"
        async with self._translated(path) as goes_on:
            async with self._client.upload_stream(part) as stream:
                for start in range(0, len(data), _BLOCK):
                    await stream.write(data[start : start + _BLOCK])
                    goes_on()
        try:
            await self._rename(part, path)
        except FileRefused:
            # Some servers put no file in the place of another one.
            await self.do_delete(path)
            await self._rename(part, path)

    async def _rename(self, old: str, new: str) -> None:
        async with self._translated(new):
            await self._client.rename(old, new)

    async def do_delete(self, path: str) -> None:
        async with self._translated(path):
            await self._client.remove_file(path)

    async def do_look(self, path: str) -> RemoteFile | None:
        folder, _, name = path.rpartition("/")
        try:
            async with self._translated(path):
                return _file(await self._client.stat(path))
        except FileRefused:
            # Of a file that is not there servers say much, in as many ways.
            folder = folder or path[: path.startswith("/")]
            return (await self.do_list(folder)).get(name)

    @asynccontextmanager
    async def _translated(self, path: str) -> AsyncIterator[Callable[[], None]]:
        """Errors in our words; gives what to call while the server is not silent."""
        time, timeout = asyncio.get_running_loop().time, self.server.timeout
        try:
            async with asyncio.timeout(timeout) as limit:
                yield lambda: limit.reschedule(time() + timeout)
        except aioftp.StatusCodeError as exc:
            raise self._error(exc, path) from exc
        except aioftp.AIOFTPException as exc:
            raise FileRefused(self.target, path, str(exc)) from exc
        except UnicodeError as exc:
            raise FileRefused(self.target, path, str(exc)) from exc
        except (OSError, EOFError, ValueError) as exc:
            silent = isinstance(exc, TimeoutError)
            why = "it does not answer" if silent else "the connection is lost"
            reason = str(exc) or why
            raise NotConnected(self.target, reason) from exc
        finally:
            writers, self._data = self._data, []
            await _closed(writers)

    def _error(self, exc: Any, path: str) -> FileRefused | NotConnected:
        code = str(exc.received_codes[-1])
        words = exc.info if isinstance(exc.info, str) else " ".join(exc.info)
        reason = f"{code} {words.strip(' -')}"
        if code in _REFUSED_LOGIN:
            return NotConnected(self.target, f"the login is refused: {reason}")
        if code.startswith("5") and path:
            return FileRefused(self.target, path, reason)
        return NotConnected(self.target, reason)


def _context(server: FileServer) -> ssl.SSLContext | None:
    """In a thread: reads the certificates of the system."""
    if server.protocol == "ftp":
        return None
    file = server.verify if isinstance(server.verify, str) else None
    try:
        context = ssl.create_default_context(cafile=file)
    except OSError as exc:
        raise SettingsError(
            f"these certificates cannot be read: {exc}", key="verify", found=file
        ) from exc
    if server.verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def _closed(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        writer.close()
    for writer in writers:
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await writer.wait_closed()


def _readable(line: bytes | str, encoding: str) -> str:
    """The line as text; names in another encoding are shown, and cannot be read."""
    if isinstance(line, str):
        return line
    return line.decode(encoding, "backslashreplace")


def _is_plain(info: dict[str, Any]) -> bool:
    return str(info.get("type", "")).lower() in ("file", "dir")


def _file(info: dict[str, Any]) -> RemoteFile:
    size = str(info.get("size", ""))
    modified = str(info.get("modify", ""))
    if "unix.mode" in info and modified.endswith("000000"):
        # After half a year such servers only tell the day.
        modified = modified[:8]
    return RemoteFile(
        str(info.get("type", "")).lower() == "dir",
        int(size) if size.isdigit() else -1,
        modified,
        str(info.get("unique", "")),
    )
