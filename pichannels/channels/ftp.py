"""The channel whose source is a folder on a server, by FTP, FTPS or SFTP."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import Any, Final

from pichannels.adapters.remote_files import FileRefused, RemoteFile, TooLarge
from pichannels.adapters.transfers import Credentials, file_server, link_to
from pichannels.channels.file_memory import Found, Listing, Version
from pichannels.channels.watching import Unread, WatchingChannel
from pichannels.delivery import Delivery, Outcome
from pichannels.errors import PichannelsError
from pichannels.message import Message
from pichannels.probes import Finding
from pichannels.secrets import Secret
from pichannels.states import State

__all__ = ["FTPWatcherChannel"]

logger: Final = logging.getLogger("pichannels.channels")

_DONE: Final = (State.PROCESSED, State.DROPPED)


class FTPWatcherChannel(WatchingChannel):
    """Runs a message through its nodes for each file that comes to a server.

    The payload is what the file holds, `meta["filepath"]` its path on the server and
    `meta["filename"]` its name. Each version of a file (path, size and time of change)
    comes once, also over restarts and crashes when there is a journal. A server that
    is away or refuses the login is told (`files.unreachable`) and tried again.

    Args:
        args: the name, and what every channel takes.
        host: the server.
        port: its port; 21 stands for the usual one of the protocol.
        credentials: user and password, as a pair or as `user:password`; anonymous
            without. A password is best a `Secret`.
        basedir: the folder.
        regex: which files, by the beginning of their names.
        interval: seconds between looks at the folder.
        delete_after: delete a file as soon as its message is processed or dropped; what
            is rejected or fails stays.
        encoding: of file names, and of text.
        thread_pool: not needed, as nothing blocks; for projects that give one.
        sort_function: gives the names of new files in the order of reading.
        protocol: `ftp`, `ftps` (asks for TLS), `ftps-implicit` (TLS from the
            beginning) or `sftp`.
        binary_file: the payload is bytes; False for text.
        recursive: also folders below.
        settle: seconds that a file has to stay the same before it is read.
        existing: whether files are read that are there at the very first start.
        max_bytes: a larger file is not read, and told.
        real_extensions: `regex` names acknowledgements (`.ok`); what is read is the
            first file beside it that ends with one of these, such as `.csv`.
        verify: for FTPS: False for no check of the certificate, or the path of a file
            with those to trust.
        key: for SFTP: the path of the private key, or the key itself as a `Secret`.
        key_password: of that key, where it is encrypted.
        known_hosts: for SFTP: the path of a file with the keys of hosts, by default
            `~/.ssh/known_hosts`. A host that is not in it is refused.
        host_key: for SFTP: the one key that the server may have, in its place.
        timeout: seconds that the server may be silent.
        kwargs: those of every channel.

    Attributes:
        deleted: how many files were deleted.

    Raises:
        SettingsError: an option is not usable, or the extra `ftp` or `sftp` is
            missing.
        UsageError: the credentials are none.
    """

    def __init__(
        self,
        *args: Any,
        host: str = "",
        port: int = 21,
        credentials: Credentials = "",
        basedir: str = "",
        regex: str = ".*",
        interval: float = 60,
        delete_after: bool = False,
        encoding: str = "utf-8",
        thread_pool: Executor | None = None,
        sort_function: Callable[[Iterable[str]], Iterable[str]] = sorted,
        protocol: str = "ftp",
        binary_file: bool = True,
        recursive: bool = False,
        settle: float = 2.0,
        existing: bool = True,
        max_bytes: int = 64 * 2**20,
        real_extensions: Sequence[str] | None = None,
        verify: bool | str | os.PathLike[str] = True,
        key: str | os.PathLike[str] | Secret | None = None,
        key_password: str | Secret | None = None,
        known_hosts: str | os.PathLike[str] | None = None,
        host_key: str = "",
        timeout: float = 30.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            *args,
            basedir=basedir,
            regex=regex,
            interval=interval,
            recursive=recursive,
            settle=settle,
            existing=existing,
            max_bytes=max_bytes,
            binary_file=binary_file,
            encoding=encoding,
            real_extensions=real_extensions,
            sort_function=sort_function,
            **kwargs,
        )
        server = file_server(
            host,
            port,
            credentials,
            protocol=protocol,
            verify=verify,
            key=key,
            key_password=key_password,
            known_hosts=known_hosts,
            host_key=host_key,
            encoding=encoding,
            timeout=timeout,
        )
        self.delete_after = delete_after
        self.thread_pool = thread_pool
        self.deleted = 0
        self._link = link_to(server)
        self._listing = Listing({})
        # Whose files are to be deleted: paths by the uuids of their messages, and who
        # settles them.
        self._paths: dict[str, str] = {}
        self._settling: dict[Delivery, str] = {}
        self._undeleted: set[str] = set()

    @property
    def origin(self) -> str:
        folder = self.basedir if self.basedir.startswith("/") else f"/{self.basedir}"
        return f"{self._link.target}{folder}"

    def full_path(self, path: str) -> str:
        return f"{self.basedir.rstrip('/')}/{path}" if self.basedir else path

    def statistics(self) -> dict[str, Any]:
        return super().statistics() | {"deleted": self.deleted}

    async def probe(self) -> list[Finding]:
        """Look whether the server lets us in and has the folder; nothing is read."""
        try:
            count = len(await self._link.list(self.basedir))
        except PichannelsError as exc:
            return [Finding(False, "server", str(exc))]
        finally:
            await self._link.close()
        return [Finding(True, "server", f"{self.origin} has {count} files and folders")]

    async def start_source(self) -> None:
        self._parts.push_async_callback(self._link.close)
        if self.delete_after:
            self._parts.push_async_callback(self._delete_the_last)
        await super().start_source()

    def remember(self) -> None:
        self._settling.clear()
        self._paths = {
            entry.uuid: path
            for path, entry in self.memory.entries.items()
            if entry.uuid and not entry.settled and self.delete_after
        }

    # Files on the server

    async def look(self) -> Listing:
        files: dict[str, Version | None] = {}
        blind: list[str] = []
        below = [""]
        while below:
            place = below.pop()
            try:
                folder = self.full_path(place) if place else self.basedir
                found = await self._link.list(folder)
            except FileRefused:
                if not place:
                    raise
                blind.append(place)
                continue
            for name, file in found.items():
                path = f"{place}/{name}" if place else name
                if not file.is_folder:
                    files[path] = _version(file)
                elif self.recursive:
                    below.append(path)
        self._listing = Listing(files, blind)
        return self._listing

    async def read(self, path: str, version: Version | None) -> bytes:
        try:
            data = await self._link.read(self.full_path(path), self.max_bytes)
        except (FileRefused, TooLarge) as exc:
            raise Unread(str(exc)) from exc
        if version is not None and version.size not in (-1, len(data)):
            raise Unread(f"{len(data)} bytes came of {version.size}")
        return data

    async def download_file(self, filename: str) -> bytes:
        """What a file holds.

        Args:
            filename: from `basedir`.

        Raises:
            FileRefused: the server does not give it.
            TooLarge: it has more than `max_bytes`.
            NotConnected: the server is away, or refuses the login.
        """
        return await self._link.read(self.full_path(filename), self.max_bytes)

    async def get_file_and_process(self, filename: str) -> Message:
        """Process a file now, whether it was processed before or not: the result.

        Args:
            filename: from `basedir`.

        Raises:
            FileRefused: the server does not give it.
            TooLarge: it has more than `max_bytes`.
            NotConnected: the server is away, or refuses the login.
            Exception: what `handle` raises.
        """
        msg = self.message(filename, await self.download_file(filename))
        result = await self.handle(msg)
        if self.delete_after:
            await self._link.delete(self.full_path(filename))
            self.deleted += 1
        return result

    # Deleting what is settled

    async def tick(self) -> None:
        await super().tick()
        if self.delete_after:
            await self._delete_settled()

    async def _accept(self, file: Found, msg: Message) -> None:
        if self.delete_after:
            self._paths[msg.uuid] = file.path
        await super()._accept(file, msg)

    async def attempt(
        self, msg: Message, delivery: Delivery, start: int = 0
    ) -> Outcome:
        if msg.uuid in self._paths:
            self._settling[delivery] = msg.uuid
        return await super().attempt(msg, delivery, start)

    def finish(self, delivery: Delivery, outcome: Outcome) -> Outcome:
        outcome = super().finish(delivery, outcome)
        uuid = self._settling.pop(delivery, None)
        path = None if uuid is None else self._paths.get(uuid)
        if uuid is not None and path is not None and self.journal is not None:
            self.settled(path, uuid, outcome)
        return outcome

    def settled(self, path: str, uuid: str, outcome: Outcome) -> None:
        # In the same commit as the settlement, or before.
        if self.delete_after and outcome.state in _DONE:
            self._paths.pop(uuid, None)
            if self.memory.settle(path, uuid):
                self._news.set()

    async def _delete_settled(self) -> None:
        entries = self.memory.entries
        for path in [path for path, entry in entries.items() if entry.settled]:
            try:
                await self._delete(path)
            except FileRefused as exc:
                self._tell_undeleted(path, exc)

    async def _delete(self, path: str) -> None:
        found = await self._link.look(self.full_path(path))
        known = self.memory.entries[path].version
        if found is not None and not known.is_like(_version(found)):
            # Another one by now, which is still to be read.
            return
        content = self._content_if_there(path)
        if found is not None and content != path:
            await self._link.delete(self.full_path(content))
        await self._link.delete(self.full_path(path))
        self.memory.forget(path)
        self._undeleted.discard(path)
        self.deleted += 1

    def _content_if_there(self, path: str) -> str:
        with suppress(Unread):
            return self._content_of(path, self._listing)
        return path

    def _tell_undeleted(self, path: str, error: FileRefused) -> None:
        if path not in self._undeleted:
            self._undeleted.add(path)
            logger.warning("%s: not deleted: %s", self.name, error)
            self.events.fire(
                "file.undeleted",
                channel=self.name,
                path=self.full_path(path),
                reason=error.reason,
            )

    async def _delete_the_last(self) -> None:
        """Delete what was settled at the stop; the next start would, too."""
        try:
            await self._delete_settled()
        except PichannelsError as exc:
            logger.debug("%s: not deleted yet: %s", self.name, exc)


def _version(file: RemoteFile) -> Version:
    return Version(file.size, file.modified, file.identity)
