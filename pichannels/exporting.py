"""What works with every message store: export, import, pruning.

An exported file has one line of JSON for each message: what `Message.to_json` writes,
with its state and what is known of its outcome. It is compressed when its name ends in
`.gz`. Messages go through a few at a time, so that files and stores may be larger than
memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final, Protocol, cast, runtime_checkable

from pichannels import codecs
from pichannels.errors import CodecError, UsageError
from pichannels.holding import replace
from pichannels.message import Message
from pichannels.retention import Outline, Retention
from pichannels.states import Entry, State
from pichannels.store import MessageStore
from pichannels.values import format_ticks

__all__ = [
    "Prunes",
    "entries",
    "export",
    "import_",
    "line_of",
    "prune",
    "read_entries",
    "write_lines",
    "write_parts",
]

_AT_ONCE: Final = 200

StrPath = str | os.PathLike[str]


async def export(store: MessageStore, path: StrPath, **filters: Any) -> int:
    """Write the messages of a store into a file, oldest first; how many.

    The file is complete or not there; folders are made.

    Args:
        store: a started store.
        path: ends in `.gz` for a compressed file.
        filters: as in `MessageStore.search`, without `start` and `order_by`.

    Raises:
        CodecError: a message holds a type without codec.
        OSError: the file cannot be written.
        UsageError: a filter is not one of a search.
    """
    return await write_parts(path, _parts(store, filters))


async def _parts(
    store: MessageStore, filters: Mapping[str, Any]
) -> AsyncIterator[list[str]]:
    lines = list[str]()
    async for entry in entries(store, page=_AT_ONCE, **filters):
        lines.append(line_of(entry))
        if len(lines) >= _AT_ONCE:
            yield lines
            lines = []
    yield lines


async def write_parts(path: StrPath, parts: AsyncIterable[Iterable[str]]) -> int:
    """Write lines as they come, some at once, into a file; how many.

    The file is complete or not there; folders are made.

    Raises:
        OSError: the file cannot be written.
    """
    count = 0
    draft = await asyncio.to_thread(_Draft, Path(path))
    try:
        async for lines in parts:
            count += await asyncio.to_thread(draft.write, lines)
            # Not kept while the next ones are made.
            del lines
        await asyncio.to_thread(draft.finish)
    except BaseException:
        await asyncio.to_thread(draft.discard)
        raise
    return count


async def import_(path: StrPath, store: MessageStore) -> int:
    """Store the messages of a file, as they were and settled; how many.

    Uuid, time and outcome are those of the file. A message that was not settled when
    it was exported is stored as dropped, with what it was in the fact
    `imported_state`; so an instance that starts does not run it.

    Raises:
        CodecError: a line holds no message; those before it are stored.
        OSError: the file cannot be read.
        UsageError: there is no such file.
    """
    count = 0
    found = read_entries(path)
    while part := await asyncio.to_thread(lambda: list(itertools.islice(found, 200))):
        for entry in part:
            await _keep(entry, store)
        count += len(part)
    return count


async def _keep(entry: Entry, store: MessageStore) -> None:
    id = await store.store(entry["message"])
    if id is None:
        return
    state, facts = State(entry["state"]), entry["meta"]
    if not state.is_final:
        facts = {**facts, "imported_state": str(state)}
        state = State.DROPPED
    await store.change_message_state(id, state, facts or None)


async def entries(
    store: MessageStore, *, page: int = _AT_ONCE, **filters: Any
) -> AsyncIterator[Entry]:
    """All messages of a store that a search finds, oldest first, a page at a time.

    Args:
        store: a started store.
        page: how many are in memory at once.
        filters: as in `MessageStore.search`, without `start` and `order_by`; `count`
            is how many at most.

    Raises:
        UsageError: an argument is not of these.
    """
    left = filters.pop("count", None)
    for name in ("start", "order_by"):
        if name in filters:
            raise UsageError(f"{name} has no place here: all come, oldest first")
    skipped, last = 0, None
    while left is None or left > 0:
        count = page if left is None else min(page, left)
        found = await store.search(start=skipped, count=count, **filters)
        for entry in found:
            # Where to go on: at the instant of the last one, behind those of it.
            ticks = entry["message"].ticks
            skipped = skipped + 1 if ticks == last else 1
            last = ticks
            yield entry
        if len(found) < count:
            return
        left = None if left is None else left - count
        filters["start_dt"] = format_ticks(ticks)


@runtime_checkable
class Prunes(Protocol):
    """A store that knows its messages without reading them."""

    async def prune(self, retention: Retention, *, dry_run: bool = False) -> int:
        """Delete what is not to be kept; how many messages that are."""


async def prune(
    store: MessageStore, retention: Retention, *, dry_run: bool = False
) -> int:
    """Delete what is not to be kept; how many messages that are.

    Args:
        store: a started store.
        retention: what is kept; messages that are not settled always are.
        dry_run: only count.

    Raises:
        UsageError: this kind of store cannot delete.
    """
    if isinstance(store, Prunes):
        return await store.prune(retention, dry_run=dry_run)
    gone = retention.expired([_outline(entry) async for entry in entries(store)])
    for id in () if dry_run else gone:
        await store.delete(id)
    return len(gone)


def _outline(entry: Entry) -> Outline[str]:
    msg = entry["message"]
    return Outline(entry["id"], msg.ticks, State(entry["state"]), len(msg.encode()))


def line_of(entry: Message | Entry) -> str:
    """The line that a message has in a file.

    Raises:
        CodecError: the message holds a type without codec.
    """
    if isinstance(entry, Message):
        return entry.to_json()
    data = entry["message"].to_dict()
    return codecs.encode_json(
        {**data, "state": entry["state"], "outcome": entry["meta"]}
    )


def read_entries(path: StrPath) -> Iterator[Entry]:
    """The messages of a file, a line at a time; blocks while it reads.

    Messages that were written without a state are processed ones.

    Raises:
        CodecError: a line holds no message.
        OSError: the file cannot be read.
        UsageError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    with _opened(path, "rt") as file:
        lines = enumerate(file, 1)
        while True:
            number = 0
            try:
                number, line = next(lines, (0, ""))
                if not number:
                    return
                entry = _entry(line) if line.strip() else None
            except (CodecError, UnicodeDecodeError, EOFError, gzip.BadGzipFile) as exc:
                where = f"line {number}" if number else "the rest"
                raise CodecError(f"{path}, {where}: {exc}") from exc
            if entry is not None:
                yield entry


def _entry(line: str) -> Entry:
    data = codecs.decode_json(line)
    if not isinstance(data, dict):
        raise CodecError("this is no stored message: no JSON object")
    msg = Message.from_dict(data)
    state, facts = data.get("state", "processed"), data.get("outcome")
    if state not in list(State):
        raise CodecError(f"{state!r} is no state")
    meta = facts if isinstance(facts, dict) else {}
    return {"id": msg.store_id or "", "state": state, "message": msg, "meta": meta}


def write_lines(path: StrPath, lines: Iterable[str]) -> int:
    """Write lines into a file that is complete or not there; how many. It blocks.

    Raises:
        OSError: the file cannot be written.
    """
    draft = _Draft(Path(path))
    try:
        count = draft.write(lines)
        draft.finish()
    except BaseException:
        draft.discard()
        raise
    return count


class _Draft:
    """A file that gets its name when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._draft = path.with_name(f"{path.name}.new")
        self._raw = self._draft.open("wb")
        self._file = cast(
            IO[bytes],
            # No time in the head, so that the same messages make the same file.
            gzip.GzipFile("", "wb", fileobj=self._raw, mtime=0)
            if _is_compressed(path)
            else self._raw,
        )

    def write(self, lines: Iterable[str]) -> int:
        """Append lines; how many."""
        count = 0
        for line in lines:
            self._file.write(line.encode() + b"\n")
            count += 1
        return count

    def finish(self) -> None:
        """Give the file its name."""
        if self._file is not self._raw:
            self._file.close()
        self._raw.flush()
        os.fsync(self._raw.fileno())
        self._raw.close()
        replace(self._draft, self._path)

    def discard(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError):
            self._raw.close()
        self._draft.unlink(missing_ok=True)


def _is_compressed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _opened(path: Path, mode: str) -> IO[str]:
    if _is_compressed(path):
        return cast(IO[str], gzip.open(path, mode, encoding="utf-8", newline="\n"))
    return cast(IO[str], path.open(mode, encoding="utf-8", newline="\n"))
