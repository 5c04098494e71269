"""publish.File: JSON lines in a file that rotates."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from nodes._lines import encode_lines
from nodes._options import at_least, one_of
from nodes._queue import Item, QueueingSink
from nodes._rotating import RotatingFile
from pichannels.errors import SettingsError, UsageError
from pichannels.holding import is_held
from pichannels.message import Message
from pichannels.probes import Finding
from pichannels.retry import RetryPolicy

__all__ = ["File"]

logger: Final = logging.getLogger("pichannels.nodes")

_AGAIN: Final = RetryPolicy(attempts=0, initial=0.1, maximum=30.0)


class File(QueueingSink):
    """Append JSON lines to a file that rotates, one line for each sample.

    A message that is no batch gives one line with its payload. Messages are settled
    when their lines are on the disk; all that wait are written with one sync. A
    write that fails (disk full, folder gone) leaves no half line behind and is tried
    again until it works, while the messages stay unsettled. A line torn by a crash is
    cut off at the next start. Only one node may write to a file.

    Args:
        path: the file that grows; its folder is made at the start.
        rotate_bytes: put the file aside before it grows beyond this.
        rotate_interval: put it aside every so many seconds, counted from 1970 UTC
            (3600 is every full hour, 86400 every midnight UTC).
        keep: how many files put aside are kept; by default all.
        fsync: wait for the disk; without it a power failure can lose lines that
            count as settled.
        format: `jsonl`.
        queue_bytes: how much may wait to be written.
        options: those of every node.

    Raises:
        CodecError: JSON has nothing for the payload; fails this message only.
        SampleErrors: the same for some samples; the others are written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        rotate_bytes: int | None = None,
        rotate_interval: float | None = None,
        keep: int | None = None,
        fsync: bool = True,
        format: str = "jsonl",
        queue_bytes: int = 8 * 2**20,
        **options: Any,
    ) -> None:
        super().__init__(queue_bytes=queue_bytes, **options)
        if not isinstance(path, str | os.PathLike) or not os.fspath(path):
            raise UsageError(f"publish.File takes a path, not {path!r}")
        at_least("rotate_bytes", rotate_bytes, 1)
        at_least("rotate_interval", rotate_interval, 1)
        at_least("keep", keep, 0)
        one_of("format", format, ("jsonl",))
        self.path = Path(path)
        self._file = RotatingFile(self.path, rotate_bytes, rotate_interval, keep, fsync)
        self._is_failing = False
        self._has_folder = False

    def encode(self, msg: Message) -> bytes:
        return encode_lines(msg)

    def statistics(self) -> dict[str, int]:
        """Counts of values, of failed writes and of files put aside."""
        return super().statistics() | {"rotations": self._file.rotations}

    async def start(self) -> None:
        """Open the file and mend its last line.

        Raises:
            SettingsError: the path cannot be written to, which time does not heal.
        """
        await super().start()
        try:
            await asyncio.to_thread(self._open)
        except (
            PermissionError,
            IsADirectoryError,
            NotADirectoryError,
            FileExistsError,
        ) as exc:
            if await asyncio.to_thread(is_held, exc):
                self._tell_closed(exc)
                return
            raise SettingsError(
                f"cannot be written: {exc.strerror}", file=str(self.path)
            ) from exc
        except OSError as exc:
            self._tell_closed(exc)

    def _tell_closed(self, error: OSError) -> None:
        logger.warning("%s: not open yet: %s", self.fullpath(), error)

    async def probe(self) -> list[Finding]:
        """Look whether the file can be written to; it is not touched."""
        return [await asyncio.to_thread(_looked_at, self.path)]

    async def stop(self) -> None:
        """Write what is queued and close the file."""
        await super().stop()
        await asyncio.to_thread(self._file.close)

    def _open(self) -> None:
        # Later the folder is not made again: where a disk has gone, its folder
        # would otherwise be filled on the disk below.
        if not self._has_folder:
            self._file.make_folder()
            self._has_folder = True
        self._file.open()

    def _write(self, chunks: list[bytes]) -> None:
        if not self._has_folder:
            self._open()
        self._file.write(chunks)

    async def deliver(self, group: Sequence[Item]) -> None:
        chunks = [item.data for item in group]
        attempt = 0
        while True:
            try:
                await asyncio.to_thread(self._write, chunks)
            except OSError as exc:
                attempt += 1
                await self._wait_after(attempt, exc)
            else:
                break
        if attempt:
            logger.info("%s: writing again", self.fullpath())

    async def _wait_after(self, attempt: int, error: OSError) -> None:
        self.not_written(error)
        delay = _AGAIN.delay(attempt, error)
        assert delay is not None
        logger.warning(
            "%s: cannot write, again in %.1f s: %s", self.fullpath(), delay, error
        )
        await self.pause(delay)


def _looked_at(path: Path) -> Finding:
    """Whether the file, or the nearest folder that exists, can be written to."""
    place = path
    while not place.exists():
        place = place.parent
    is_right_kind = place.is_file() if place == path else place.is_dir()
    if not is_right_kind:
        kind = "no file" if place == path else "no folder"
        return Finding(False, "file", f"{path}: {place} is {kind}")
    if not os.access(place, os.W_OK):
        return Finding(False, "file", f"{path}: {place} is not writable for this user")
    return Finding(True, "file", f"{path} can be written")
