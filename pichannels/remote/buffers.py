"""What has come of a stream and was not read yet."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from pichannels.remote.entities import Gap

__all__ = ["ByteBuffer", "Entry", "ItemBuffer"]


class Entry(NamedTuple):
    """A packed item (or a gap), its place, and the place behind it."""

    position: int
    data: bytes | Gap
    mark: str

    @property
    def after(self) -> int:
        """The next position."""
        lost = self.data.count if isinstance(self.data, Gap) else 1
        return self.position + lost


class ItemBuffer:
    """Entities, oldest first."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, entry: Entry) -> None:
        """Add one at the end."""
        self._entries.append(entry)

    def peek(self, most: int) -> list[Entry]:
        """The oldest ones, which stay."""
        if most >= len(self._entries):
            return list(self._entries)
        return [self._entries[i] for i in range(most)]

    def take(self) -> Entry:
        """The oldest one, which leaves."""
        return self._entries.popleft()

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()


class ByteBuffer:
    """Bytes, in the pieces in which they came."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._start = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def put(self, data: bytes) -> None:
        """Add at the end."""
        if data:
            self._pieces.append(data)
            self._size += len(data)

    def take(self, most: int) -> bytes:
        """The first bytes, which leave."""
        wanted = min(most, self._size)
        if wanted == 0:
            return b""
        first = self._pieces[0]
        if self._start == 0 and wanted == len(first):
            self._size -= wanted
            return self._pieces.popleft()
        return self._join(wanted)

    def put_back(self, data: bytes) -> None:
        """What was taken comes first again."""
        if not data:
            return
        if self._start:
            self._pieces[0] = self._pieces[0][self._start :]
            self._start = 0
        self._pieces.appendleft(data)
        self._size += len(data)

    def _join(self, wanted: int) -> bytes:
        parts: list[bytes] = []
        self._size -= wanted
        while wanted:
            first = self._pieces[0]
            part = first[self._start : self._start + wanted]
            parts.append(part)
            wanted -= len(part)
            self._start += len(part)
            if self._start == len(first):
                self._pieces.popleft()
                self._start = 0
        return b"".join(parts)

    def clear(self) -> None:
        """Forget all."""
        self._pieces.clear()
        self._start = self._size = 0
