"""A file as a stream of bytes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, Final, TypeVar

from pichannels.errors import UsageError
from pichannels.remote.errors import PositionLost, SourceFailed, StreamPositionError
from pichannels.remote.modes import About, Ends, Kind, Mode, Place, Whence
from pichannels.remote.sources import ByteCursor

__all__ = ["FileSource", "file"]

T = TypeVar("T")

_READS: Final = Mode.READ | Mode.SEEK | Mode.END_UP | Mode.END_DOWN
_WRITES: Final = Mode.WRITE | Mode.SEEK | Mode.END_UP | Mode.END_DOWN | Mode.EXTEND
_MODES: Final = {
    "rb": _READS,
    "r+b": _READS | _WRITES | Mode.TRUNCATE,
    "w+b": _READS | _WRITES | Mode.TRUNCATE,
    "wb": _WRITES | Mode.TRUNCATE,
    "ab": Mode.WRITE | Mode.END_UP | Mode.EXTEND,
}


def file(
    path: str | os.PathLike[str], mode: str = "rb", *, poll: float = 0.5
) -> FileSource:
    """A file that may be read, written, or both.

    Each reader and writer opens it anew. What others do to the file is seen: readers
    that follow get what is appended, and `PositionLost` where it is cut before their
    place. Writers should be few (`Hub.publish(..., writers=1)`).

    Args:
        path: where it is.
        mode: `rb`, `r+b` (the file must exist), `w+b`, `wb` (it is made where it does
            not; never emptied by opening it) or `ab` (only at the end).
        poll: seconds between looks at what other programs do to it, while a reader
            follows.

    Raises:
        UsageError: the mode is none of these.
    """
    return FileSource(Path(path), mode, poll)


class FileSource:
    """See `file`.

    Attributes:
        path: where it is.
        mode: what can be done with it.
    """

    kind = Kind.BYTES

    def __init__(self, path: Path, mode: str, poll: float) -> None:
        if mode not in _MODES:
            raise UsageError(f"a file is opened as {', '.join(_MODES)}, not {mode!r}")
        self.path = path
        self.mode = _MODES[mode]
        self.poll = poll
        self._may_make = mode in ("w+b", "wb", "ab")
        self._changed = asyncio.Event()

    async def about(self) -> About:
        """Its size, and what changes with each change of it."""
        try:
            found = await asyncio.to_thread(os.stat, self.path)
        except FileNotFoundError:
            return About(Ends(0, 0))
        except OSError as exc:
            raise _failed(exc) from exc
        version = f"{found.st_mtime_ns:x}-{found.st_size:x}"
        return About(Ends(0, found.st_size), version, _epoch(found))

    async def open(self, mode: Mode) -> ByteCursor:
        """A cursor with a file object of its own.

        Raises:
            SourceFailed: the file cannot be opened.
        """
        is_write = bool(mode & Mode.WRITE)
        opening = asyncio.create_task(
            asyncio.to_thread(self._open, is_write), name=f"remote: open {self.path}"
        )
        try:
            opened = await asyncio.shield(opening)
        except OSError as exc:
            raise _failed(exc) from exc
        except asyncio.CancelledError:
            # The thread goes on, and nobody would close what it opens.
            await asyncio.wait([opening])
            if not opening.cancelled() and opening.exception() is None:
                await _FileCursor(self, opening.result()).aclose()
            raise
        return _FileCursor(self, opened)

    def _open(self, is_write: bool) -> BinaryIO:
        if not is_write:
            return open(self.path, "rb", buffering=0)
        flags = os.O_RDWR | getattr(os, "O_BINARY", 0)
        if self._may_make:
            flags |= os.O_CREAT
        return os.fdopen(os.open(self.path, flags, 0o666), "r+b", buffering=0)

    def changed(self) -> None:
        """Who follows looks for more at once."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait_for_change(self) -> None:
        """Until a writer of this source has written, or for `poll` seconds."""
        try:
            async with asyncio.timeout(self.poll):
                await self._changed.wait()
        except TimeoutError:
            return


class _FileCursor(ByteCursor):
    """Calls that touch the file run in threads, one after the other.

    One that nobody waits for any more goes on to its end; the position moves only in
    the event loop.
    """

    def __init__(self, source: FileSource, opened: BinaryIO) -> None:
        self._source = source
        self._file = opened
        self._lock = Lock()
        self._position = 0

    async def _run(self, call: Callable[..., T], *args: Any) -> T:
        return await asyncio.to_thread(self._locked, call, args)

    def _locked(self, call: Callable[..., T], args: tuple[Any, ...]) -> T:
        with self._lock:
            return call(*args)

    async def ends(self) -> Ends:
        return Ends(0, await self._run(self._size))

    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    async def seek(self, place: Place) -> int:
        size = await self._run(self._size)
        base = size if place.whence is Whence.END else 0
        position = base + place.position
        most = position if place.is_write else size
        if place.whence is Whence.TIME or not 0 <= position <= most:
            reason = f"there is no position {position}; the file has {size} bytes"
            raise StreamPositionError("", reason, first=0, end=size)
        self._position = position
        return position

    async def read(self, size: int) -> bytes:
        data, end = await self._run(self._read, self._position, size)
        if not data and end < self._position:
            reason = f"the file was cut to {end} bytes, before {self._position}"
            raise PositionLost("", reason, first=0, end=end)
        self._position += len(data)
        return data

    def _read(self, position: int, size: int) -> tuple[bytes, int]:
        self._file.seek(position)
        data = self._file.read(size)
        return data, 0 if data else self._size()

    async def wait(self) -> None:
        while await self._run(self._size) == self._position:
            await self._source.wait_for_change()

    async def write(self, data: bytes) -> None:
        await self._run(self._write, self._position, data)
        self._position += len(data)
        self._source.changed()

    def _write(self, position: int, data: bytes) -> None:
        self._file.seek(position)
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]

    async def flush(self, durable: bool) -> None:
        if durable:
            await self._run(os.fsync, self._file.fileno())

    async def truncate(self) -> None:
        await self._run(self._file.truncate, self._position)
        self._source.changed()

    async def aclose(self) -> None:
        await self._run(self._file.close)


def _epoch(found: os.stat_result) -> str:
    return f"{found.st_dev:x}-{found.st_ino:x}"


def _failed(exc: OSError) -> SourceFailed:
    # Without the path, which is nobody's business elsewhere.
    return SourceFailed("", exc.strerror or type(exc).__name__)
