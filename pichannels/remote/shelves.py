"""Names that are found when they are asked for: what changes too much to list once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Protocol, runtime_checkable

from pichannels import holding
from pichannels.remote.errors import SourceFailed, StreamBusy, StreamNotFound
from pichannels.remote.files import FileSource
from pichannels.remote.modes import About
from pichannels.remote.sources import Source

__all__ = ["FileShelf", "Folder", "Shelf", "folder"]

_MOST_NAMES: Final = 10_000
_OUTSIDE: Final = "it is no file of this folder"


class Shelf(Protocol):
    """Sources by name, which may come and go; see `Hub.mount`."""

    def find(self, name: str) -> Source | None:
        """The source of this name, or None; returns at once, and asks no disk."""

    async def names(self) -> Sequence[str]:
        """The names that there are just now."""


@runtime_checkable
class FileShelf(Shelf, Protocol):
    """A shelf whose files can be removed and renamed."""

    async def remove(self, name: str) -> None:
        """Remove a file.

        Raises:
            SourceFailed: it cannot be removed.
            StreamNotFound: it is not there.
        """

    async def rename(self, name: str, to: str, *, replace: bool) -> None:
        """Give a file another name.

        Raises:
            SourceFailed: it cannot be renamed.
            StreamBusy: there is a file of that name, and it is not to be replaced.
            StreamNotFound: it is not there.
        """


def folder(
    path: str | os.PathLike[str], *, write: bool = False, poll: float = 0.5
) -> Folder:
    """The files of a folder, and of the folders in it, to mount in a hub.

    Nothing outside of it can be reached, also not by links in it.

    Args:
        path: where it is.
        write: whether files may be written, too, and made (with their folders),
            renamed and removed.
        poll: as for `file`.
    """
    return Folder(Path(path), write, poll)


class Folder:
    """See `folder`."""

    def __init__(self, path: Path, write: bool, poll: float) -> None:
        self.path = path
        self.mode = "w+b" if write else "rb"
        self._poll = poll

    def find(self, name: str) -> Source | None:
        """The file of this name, which need not be there."""
        parts = name.split("/")
        if not all(map(_is_plain, parts)):
            return None
        return _FolderFile(self.path.joinpath(*parts), self.mode, self._poll, self.path)

    async def names(self) -> Sequence[str]:
        """The files that are there, 10,000 at most."""
        return await asyncio.to_thread(self._names)

    def _names(self) -> list[str]:
        found: list[str] = []
        for place, folders, files in os.walk(self.path):
            folders.sort()
            inside = Path(place).relative_to(self.path)
            for each in sorted(files):
                if not (Path(place) / each).is_symlink():
                    found.append((inside / each).as_posix())
            if len(found) >= _MOST_NAMES:
                return found[:_MOST_NAMES]
        return found

    async def remove(self, name: str) -> None:
        await asyncio.to_thread(self._changed, name, self._remove)

    async def rename(self, name: str, to: str, *, replace: bool) -> None:
        def move(path: Path) -> None:
            self._move(path, to, replace)

        await asyncio.to_thread(self._changed, name, move)

    def _changed(self, name: str, change: Callable[[Path], None]) -> None:
        path = self._inside(name)
        if path.is_symlink() or not path.is_file():
            raise StreamNotFound(name, "there is no such file")
        try:
            change(path)
        except OSError as exc:
            raise SourceFailed(name, exc.strerror or type(exc).__name__) from exc
        self._tidy(path.parent)

    def _inside(self, name: str) -> Path:
        path = self.path.joinpath(*name.split("/"))
        if not path.parent.resolve().is_relative_to(self.path.resolve()):
            raise SourceFailed(name, _OUTSIDE)
        return path

    def _remove(self, path: Path) -> None:
        holding.remove(path)

    def _move(self, path: Path, to: str, replace: bool) -> None:
        target = self._inside(to)
        if not replace and target.exists():
            raise StreamBusy(to, "there is a file of that name already")
        target.parent.mkdir(parents=True, exist_ok=True)
        holding.replace(path, target)

    def _tidy(self, place: Path) -> None:
        """Take away folders that have become empty: they are made with their files."""
        with suppress(OSError):
            while place != self.path:
                place.rmdir()
                place = place.parent


def _is_plain(part: str) -> bool:
    """Whether it is a name, and no way to somewhere else (on Windows, too)."""
    is_name = part not in ("", ".", "..") and part.rstrip(". ") == part
    return is_name and part.isprintable() and not set(part) & set('\\:*?"<>|')


class _FolderFile(FileSource):
    """A file that has to be in its folder."""

    def __init__(self, path: Path, mode: str, poll: float, root: Path) -> None:
        super().__init__(path, mode, poll)
        self._root = root

    async def about(self) -> About:
        if not await asyncio.to_thread(self._is_inside):
            raise SourceFailed("", _OUTSIDE)
        return await super().about()

    def _is_inside(self) -> bool:
        return self.path.resolve().is_relative_to(self._root.resolve())

    def _open(self, is_write: bool) -> BinaryIO:
        if not self._is_inside():
            raise PermissionError(0, _OUTSIDE)
        if is_write and self._may_make:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        return super()._open(is_write)
