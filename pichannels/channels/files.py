"""The channel whose source is a folder: a message for each version of each file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pichannels import clock
from pichannels.adapters.notify import Notifier
from pichannels.channels.file_memory import Listing, Version
from pichannels.channels.watching import Unread, WatchingChannel
from pichannels.errors import SettingsError
from pichannels.probes import Finding

__all__ = ["FileWatcherChannel"]

_TRIED_AGAIN: Final = 60.0
"""Seconds until somebody who told of no changes is asked again."""


class FileWatcherChannel(WatchingChannel):
    """Runs a message through its nodes for each file that comes or changes.

    The payload is what the file holds; `meta["filepath"]` is its path and
    `meta["filename"]` its name. Each version of a file (path, size, time of change
    and inode) comes once, also over restarts and crashes when there is a journal; a
    file that is being written is left alone until it stays the same.

    A file that is too large, cannot be read or goes away is told (`file.unread`), and
    a file that is no text in the encoding is a dead letter; the others go on.

    Args:
        args: the name, and what every channel takes.
        basedir: the folder.
        regex: which files, by the beginning of their names.
        interval: seconds between looks at the folder. With the extra `files` the
            system tells of changes meanwhile, where it can.
        binary_file: the payload is bytes, not text.
        path: an older name of `basedir`.
        recursive: also folders below.
        settle: seconds that a file has to stay the same before it is read; 0 for
            folders into which files are only moved.
        existing: whether files are read that are there at the very first start.
        encoding: of text; UTF-8 by default.
        max_bytes: a larger file is not read, and told.
        real_extensions: `regex` names acknowledgements (`.ok`); what is read is the
            first file beside it that ends with one of these, such as `.csv`.
        watch: let the system tell of changes; False where it tells too many.
        kwargs: those of every channel.

    Raises:
        SettingsError: an option is not usable.
    """

    def __init__(
        self,
        *args: Any,
        basedir: str | os.PathLike[str] = "",
        regex: str = ".*",
        interval: float = 1,
        binary_file: bool = False,
        path: str | os.PathLike[str] = "",
        recursive: bool = False,
        settle: float = 1.0,
        existing: bool = True,
        encoding: str | None = None,
        max_bytes: int = 64 * 2**20,
        real_extensions: Sequence[str] | None = None,
        watch: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            *args,
            basedir=_folder(basedir or path),
            regex=regex,
            interval=interval,
            recursive=recursive,
            settle=settle,
            existing=existing,
            max_bytes=max_bytes,
            binary_file=binary_file,
            encoding=encoding,
            real_extensions=real_extensions,
            **kwargs,
        )
        self.watch = watch
        self._notifier = Notifier(
            self.basedir, recursive=recursive, changed=self._news.set
        )
        self._asked = -_TRIED_AGAIN

    @property
    def origin(self) -> str:
        return self.basedir

    def full_path(self, path: str) -> str:
        return os.path.join(self.basedir, *path.split("/"))

    async def probe(self) -> list[Finding]:
        """Look whether the folder is there; no file is read."""
        try:
            count = len((await self.look()).files)
        except OSError as exc:
            text = f"{self.basedir}: {exc.strerror}"
            return [Finding(False, "folder", text)]
        return [Finding(True, "folder", f"{self.basedir} has {count} files")]

    async def start_source(self) -> None:
        self._parts.push_async_callback(self._notifier.close)
        self._asked = -_TRIED_AGAIN
        await super().start_source()

    async def look(self) -> Listing:
        self._ask_the_system()
        return await asyncio.to_thread(
            _listed, self.basedir, self.recursive, self.wants, self._is_content
        )

    def _ask_the_system(self) -> None:
        # Before the look, so that no change between the two is missed.
        now = clock.monotonic()
        is_wanted = self.watch and self._watcher is not None
        if is_wanted and not self._notifier.is_alive and now >= self._asked:
            self._asked = now + _TRIED_AGAIN
            self._notifier.start()

    def _is_content(self, name: str) -> bool:
        return name.endswith(self.real_extensions) if self.real_extensions else False

    async def read(self, path: str, version: Version | None) -> bytes:
        try:
            data, found = await asyncio.to_thread(
                _read, self.full_path(path), self.max_bytes + 1
            )
        except FileNotFoundError as exc:
            raise Unread("it is gone") from exc
        except OSError as exc:
            raise Unread(exc.strerror or str(exc)) from exc
        if len(data) > self.max_bytes:
            raise self.too_large(max(found.size, len(data)))
        if version is not None and found != version:
            raise Unread("it changes", is_told=False)
        return data


def _folder(found: Any) -> str:
    try:
        folder = os.fspath(found)
    except TypeError as exc:
        raise SettingsError("this is no path", key="basedir", found=found) from exc
    if not folder or not isinstance(folder, str):
        raise SettingsError(
            "there is no folder to watch", key="basedir", allowed="the path of one"
        )
    return folder


# In threads


def _listed(folder: str, recursive: bool, *wanted: Callable[[str], bool]) -> Listing:
    """What is in a folder; versions only of the files with wanted names."""
    files: dict[str, Version | None] = {}
    blind: list[str] = []
    below = [""]
    while below:
        place = below.pop()
        try:
            entries = _entries(Path(folder, place))
        except OSError:
            if not place:
                raise
            blind.append(place)
            continue
        for entry, is_folder in entries:
            path = f"{place}/{entry.name}" if place else entry.name
            if not is_folder:
                is_wanted = any(wants(entry.name) for wants in wanted)
                files[path] = _version_at(entry.path) if is_wanted else None
            elif recursive:
                below.append(path)
    return Listing(files, blind)


def _entries(folder: Path) -> Iterator[tuple[os.DirEntry[str], bool]]:
    """The files and folders in a folder, and whether it is a folder."""
    with os.scandir(folder) as entries:
        found = list(entries)
    return ((e, e.is_dir(follow_symlinks=False)) for e in found if not _is_odd(e))


def _is_odd(entry: os.DirEntry[str]) -> bool:
    """Whether it is neither a file nor a folder, or a link that leads nowhere."""
    try:
        return not entry.is_dir(follow_symlinks=False) and not entry.is_file()
    except OSError:
        return True


def _version_at(path: str) -> Version | None:
    try:
        # What a listing says of a file is less, or old, on Windows.
        return _version(os.stat(path))
    except OSError:
        return None


def _version(stat: os.stat_result) -> Version:
    return Version(stat.st_size, str(stat.st_mtime_ns), str(stat.st_ino))


def _read(path: str, limit: int) -> tuple[bytes, Version]:
    """The beginning of a file, and which version that is at the end of reading."""
    with open(path, "rb") as file:
        data = file.read(limit)
        return data, _version(os.fstat(file.fileno()))
