"""A power cut: of what a process has written and not synced, any part may be gone."""

from __future__ import annotations

import random
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["cut_power"]

_HEADER: Final = struct.Struct("@6q")
_WRITTEN, _TRUNCATED, _SYNC_BEGINS, _SYNC_ENDED = 1, 2, 3, 4
_SECTOR: Final = 512


class _Note(NamedTuple):
    """`struct note` of the library."""

    kind: int
    path: Path
    offset: int
    size_before: int
    before: bytes
    after: bytes


def cut_power(notes: Path, rng: random.Random) -> int:
    """Leave the files as a power cut might; how many writes were not synced.

    Each of them is on the disk, or not, or in part. The notes are taken away.
    """
    unsynced = _unsynced(_read(notes))
    for path, pending in unsynced.items():
        # Of folders, which are synced too, nothing is written.
        if pending and path.exists():
            _leave_some(path, pending, rng)
    notes.unlink(missing_ok=True)
    return sum(map(len, unsynced.values()))


def _read(path: Path) -> Iterator[_Note]:
    data = path.read_bytes() if path.exists() else b""
    place = 0
    while place + _HEADER.size <= len(data):
        kind, offset, size, *lengths = _HEADER.unpack_from(data, place)
        place += _HEADER.size
        parts = []
        for length in lengths:
            parts.append(data[place : place + length])
            place += length
        yield _Note(kind, Path(parts[0].decode()), offset, size, parts[1], parts[2])


def _unsynced(notes: Iterator[_Note]) -> dict[Path, list[_Note]]:
    """By file, what no sync that began later has ended for."""
    pending: dict[Path, list[_Note]] = defaultdict(list)
    syncing: dict[Path, int] = {}
    for each in notes:
        if each.path.name.endswith("-shm"):
            continue
        if each.kind == _SYNC_BEGINS:
            syncing[each.path] = len(pending[each.path])
        elif each.kind == _SYNC_ENDED:
            del pending[each.path][: syncing[each.path]]
        else:
            pending[each.path].append(each)
    return pending


def _leave_some(path: Path, pending: list[_Note], rng: random.Random) -> None:
    with path.open("r+b") as file:
        for each in reversed(pending):
            file.seek(each.offset)
            file.write(each.before)
            file.truncate(each.size_before)
        for each in pending:
            if rng.random() < 0.5:
                continue
            if each.kind == _TRUNCATED:
                file.truncate(each.offset)
                continue
            is_torn = rng.random() < 0.2
            sectors = len(each.after) // _SECTOR
            size = rng.randrange(sectors + 1) * _SECTOR if is_torn else None
            file.seek(each.offset)
            file.write(each.after[:size])
