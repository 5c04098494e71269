"""The truth on disk: JSON lines, one for each change."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from pichannels.errors import SettingsError
from pichannels.simulator.truth import Change, Origin, Truth

__all__ = ["ChangeLog"]


class ChangeLog:
    """An append-only file of changes; its first line is the `Origin`.

    `append` only remembers; `flush` writes and blocks, so call it in a thread.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._waiting: list[bytes] = []
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Change).decode

    def append(self, change: Change) -> None:
        """Have a change written by the next `flush`."""
        self._waiting.append(self._encode(change))

    @property
    def waiting(self) -> int:
        """How many changes are not on disk."""
        return len(self._waiting)

    def flush(self) -> None:
        """Write what is waiting and wait until it is on disk."""
        lines, self._waiting = self._waiting, []
        if not lines:
            return
        with self.path.open("ab") as file:
            file.write(b"\n".join(lines) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def load(self, truth: Truth) -> Origin | None:
        """Do the changes of the file again; returns its origin.

        A last line that was cut off by a crash is removed from the file.

        Raises:
            SettingsError: the file is no such log.
        """
        if not self.path.exists():
            return None
        whole, _, torn = self.path.read_bytes().rpartition(b"\n")
        if torn:
            os.truncate(self.path, len(whole) + 1 if whole else 0)
        changes = [self._read(line, n) for n, line in enumerate(whole.splitlines(), 1)]
        for change in changes:
            truth.apply(change)
        first = changes[0] if changes else None
        return first if isinstance(first, Origin) else None

    def _read(self, line: bytes, number: int) -> Change:
        try:
            change: Change = self._decode(line)
        except msgspec.MsgspecError as exc:
            raise SettingsError(
                f"line {number} is no change of a simulator: {exc}", file=str(self.path)
            ) from exc
        return change
