"""What has come of a stream and was not read yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pichannels.remote.entities import Gap

__all__ = ["ByteBuffer", "Entry", "ItemBuffer", "Taken"]


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


class _Run(NamedTuple):
    """Items that came together, or one gap."""

    places: Sequence[int]
    data: Sequence[bytes | Gap]
    marks: Sequence[str] | None

    def entry(self, index: int) -> Entry:
        """One of them."""
        mark = self.marks[index] if self.marks else ""
        return Entry(self.places[index], self.data[index], mark)


class Taken(NamedTuple):
    """What has left a buffer: how many items and bytes, and the last one."""

    items: int
    size: int
    last: Entry


class ItemBuffer:
    """Entities, oldest first; kept as they came, many together."""

    def __init__(self) -> None:
        self._runs: deque[_Run] = deque()
        self._start = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put_gap(self, gap: Gap) -> None:
        """Add the place of items that do not come."""
        self._runs.append(_Run((gap.position,), (gap,), None))
        self._count += 1

    def put(
        self,
        places: Sequence[int],
        items: Sequence[bytes],
        marks: Sequence[str] | None,
    ) -> None:
        """Add items at the end, with as many places, and marks where they have any."""
        if items:
            self._runs.append(_Run(places, items, marks))
            self._count += len(items)

    def peek(self, most: int) -> list[Entry]:
        """The oldest ones, which stay."""
        return [
            run.entry(index)
            for run, first, last in self._parts(most)
            for index in range(first, last)
        ]

    def data(self, most: int) -> list[bytes | Gap]:
        """The oldest ones without their places; they stay."""
        found: list[bytes | Gap] = []
        for run, first, last in self._parts(most):
            found += run.data[first:last]
        return found

    def _parts(self, most: int) -> Iterator[tuple[_Run, int, int]]:
        first, left = self._start, most
        for run in self._runs:
            last = min(len(run.data), first + left)
            yield run, first, last
            left -= last - first
            if left <= 0:
                return
            first = 0

    def take(self, count: int) -> Taken:
        """The oldest ones, which leave; at least one, and no more than there are."""
        items = size = 0
        parts = list(self._parts(count))
        for run, first, last in parts:
            if not isinstance(run.data[0], Gap):
                items += last - first
                size += sum(map(len, run.data[first:last]))  # type: ignore[arg-type]
        run, _, last = parts[-1]
        for _ in range(len(parts) - (last < len(run.data))):
            self._runs.popleft()
        self._start = last if last < len(run.data) else 0
        self._count -= count
        return Taken(items, size, run.entry(last - 1))

    def clear(self) -> None:
        """Forget all."""
        self._runs.clear()
        self._start = self._count = 0


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
