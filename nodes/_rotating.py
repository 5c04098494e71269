"""A file of lines that grows, rotates, and never holds half a line for long.

Everything here blocks; it is called in threads, one call at a time.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import Final

import msgspec

from pichannels import clock
from pichannels.holding import is_held
from pichannels.values import TICKS_PER_SECOND, format_ticks

__all__ = ["RotatingFile"]

logger: Final = logging.getLogger("pichannels.nodes")

_BLOCK: Final = 65536


class RotatingFile:
    """Lines appended to a file that is put aside when it is full or old.

    A file put aside has the time in its name: `values-20260801T120000Z-000.jsonl`.

    Args:
        path: the file that grows.
        rotate_bytes: it is put aside before it grows beyond this.
        rotate_interval: seconds; it is put aside when a new interval begins
            (counted from 1970 UTC, so 86400 is midnight UTC).
        keep: how many files put aside are kept.
        fsync: whether a write is on the disk when it returns.
    """

    def __init__(
        self,
        path: Path,
        rotate_bytes: int | None,
        rotate_interval: float | None,
        keep: int | None,
        fsync: bool,
    ) -> None:
        self.path = path
        self.rotations = 0
        self._rotate_bytes = rotate_bytes
        self._interval = rotate_interval and int(rotate_interval * TICKS_PER_SECOND)
        self._keep = keep
        self._fsync = fsync
        self._file: FileIO | None = None
        self._identity: tuple[int, int] | None = None
        self._size = 0
        self._is_torn = False
        self._period = 0
        self._newest = ("", 0)
        self._is_told = False

    def make_folder(self) -> None:
        """Make the folder of the file.

        Raises:
            OSError: that is not possible.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def open(self) -> None:
        """Open the file for appending, and mend its end.

        Raises:
            OSError: that is not possible now.
        """
        file = self.path.open("ab+", buffering=0)
        try:
            facts = os.fstat(file.fileno())
            size = facts.st_size
            if self._is_torn and (facts.st_dev, facts.st_ino) == self._identity:
                size = min(self._size, size)
                file.truncate(size)
            size = _mended(file, size)
            if not facts.st_size and self._fsync:
                _sync_folder(self.path.parent)
        except BaseException:
            file.close()
            raise
        self._file = file
        self._is_torn = False
        self._identity = (facts.st_dev, facts.st_ino)
        self._size = size
        ticks = facts.st_mtime_ns // 100 if size else clock.now()
        self._period = self._period_of(ticks)

    def write(self, chunks: list[bytes]) -> None:
        """Append whole lines; what is written is taken out of the list.

        After an error the file ends where it did before, and calling this again
        goes on with what is left in the list.

        Raises:
            OSError: some could not be written.
        """
        while chunks:
            if self._file is not None and not self._is_in_place():
                self.close()
            if self._file is None:
                self.open()
            count = self._fitting(chunks)
            if (not count or self._is_old()) and self._rotate():
                continue
            # One that cannot be put aside just now grows on: nothing waits for that.
            count = count or len(chunks)
            self._append(b"".join(chunks[:count]))
            del chunks[:count]

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _is_in_place(self) -> bool:
        """Whether the open file is still the one that has this name."""
        try:
            facts = self.path.stat()
        except FileNotFoundError:
            return False
        # Somebody may have cut the file to save room.
        self._size = facts.st_size
        return (facts.st_dev, facts.st_ino) == self._identity

    def _fitting(self, chunks: Sequence[bytes]) -> int:
        """How many chunks still go into this file; an empty file takes any one."""
        if self._rotate_bytes is None:
            return len(chunks)
        size = self._size
        for count, chunk in enumerate(chunks):
            size += len(chunk)
            if size > self._rotate_bytes:
                return count or int(not self._size)
        return len(chunks)

    def _period_of(self, ticks: int) -> int:
        return ticks // self._interval if self._interval else 0

    def _is_old(self) -> bool:
        period = self._period_of(clock.now())
        if not self._size:
            self._period = period
        return period != self._period

    def _append(self, data: bytes) -> None:
        file = self._file
        assert file is not None
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
            if self._fsync:
                os.fsync(file.fileno())
        except OSError:
            self._take_back(file)
            raise
        self._size += len(data)

    def _take_back(self, file: FileIO) -> None:
        """Cut off what was written in part; if it fails, the next `open` does it."""
        self._is_torn = True
        try:
            file.truncate(self._size)
        except OSError as exc:
            logger.warning(
                "%s: half a line stays until the next open: %s", self.path, exc
            )
        finally:
            self.close()

    def _rotate(self) -> bool:
        """Put the file aside; False where another program has it open (Windows)."""
        self.close()
        aside = self._put_aside()
        self._newest = _following(max([self._newest, *(key for key, _ in aside)]))
        stamp, number = self._newest
        name = f"{self.path.stem}-{stamp}-{number:03d}{self.path.suffix}"
        try:
            os.replace(self.path, self.path.with_name(name))
        except OSError as exc:
            if not is_held(exc):
                raise
            self._grow_on(exc)
            return False
        self.rotations += 1
        self._is_told = False
        if self._keep is not None:
            self._remove_old(self._keep)
        if self._fsync:
            _sync_folder(self.path.parent)
        return True

    def _grow_on(self, error: OSError) -> None:
        if not self._is_told:
            logger.warning(
                "%s is put aside when nobody has it open: %s", self.path, error
            )
        self._is_told = True
        self.open()

    def _put_aside(self) -> list[tuple[tuple[str, int], Path]]:
        """The files put aside, oldest first, with the stamp and number of each."""
        stem, suffix = re.escape(self.path.stem), re.escape(self.path.suffix)
        pattern = re.compile(rf"{stem}-(\d{{8}}T\d{{6}}Z)-(\d{{3,}}){suffix}")
        return sorted(
            ((found[1], int(found[2])), path)
            for path in self.path.parent.iterdir()
            if (found := pattern.fullmatch(path.name))
        )

    def _remove_old(self, keep: int) -> None:
        aside = self._put_aside()
        for _, path in aside[: max(0, len(aside) - keep)]:
            try:
                path.unlink()
            except OSError as exc:
                logger.warning("%s cannot be removed: %s", path, exc)


def _following(newest: tuple[str, int]) -> tuple[str, int]:
    """Stamp and number after the newest; also when the clock has gone back."""
    stamp = re.sub("[-:]", "", format_ticks(clock.now())[:19]) + "Z"
    return (newest[0], newest[1] + 1) if newest[0] >= stamp else (stamp, 0)


def _mended(file: FileIO, size: int) -> int:
    """Let the first `size` bytes of the file end with a whole line: how many stay.

    A crash in the middle of a write leaves a torn line. It was not acknowledged and
    comes again, so it is cut off; a whole line without its end gets it.
    """
    start, tail = _last_line(file, size)
    if not tail:
        return size
    try:
        msgspec.json.decode(tail)
    except (msgspec.DecodeError, UnicodeDecodeError):
        logger.warning("%s: a torn last line of %d bytes cut off", file.name, len(tail))
        file.truncate(start)
        return start
    file.write(b"\n")
    return size + 1


def _last_line(file: FileIO, size: int) -> tuple[int, bytes]:
    """Where the last line begins, and what it holds when it has no end."""
    tail = b""
    start = size
    while start:
        begin = max(0, start - _BLOCK)
        file.seek(begin)
        tail = file.read(start - begin) + tail
        found = tail.rfind(b"\n")
        if found >= 0:
            return begin + found + 1, tail[found + 1 :]
        start = begin
    return 0, tail


def _sync_folder(folder: Path) -> None:
    """Make names in the folder durable; Windows does so by itself."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
