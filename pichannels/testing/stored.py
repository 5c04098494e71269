"""Stored messages, from wherever they are kept: to a file, and back from one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from pichannels.errors import UsageError
from pichannels.exporting import line_of, read_entries, write_lines
from pichannels.journal.reader import Reader
from pichannels.journal.search import search
from pichannels.message import Message
from pichannels.query import Query
from pichannels.states import Entry
from pichannels.store import MessageStore

__all__ = ["Source", "export_messages", "read_messages"]

Source = str | os.PathLike[str] | MessageStore | Iterable[Message | Entry]
"""An exported file, a journal, a data folder, a started store, or messages."""

JOURNAL_FILE: Final = "journal.sqlite"
"""The journal in the data folder of an instance."""

_SQLITE: Final = b"SQLite format 3\0"
_ALL: Final = 2**31


def export_messages(
    entries: Iterable[Message | Entry], path: str | os.PathLike[str]
) -> int:
    """Write messages into a file, one line of JSON each; how many.

    The file is complete or not there, compressed if its name ends in `.gz`; folders
    are made. `pichannels.exporting.export` writes all of a store.

    Raises:
        CodecError: a message holds a type without codec.
        OSError: the file cannot be written.
    """
    return write_lines(path, (line_of(entry) for entry in entries))


async def read_messages(
    source: Source, channel: str | None = None, **filters: Any
) -> list[Message]:
    """The messages of a source, oldest first.

    Args:
        source: the path of an exported file (JSON lines), of a journal, or of a data
            folder, also of an instance that runs; a store; or messages.
        channel: whose messages, where the source is a journal.
        filters: as in `MessageStore.search`, and `ids=[...]` for a journal. Without
            `count` all are read.

    Raises:
        CodecError: a message cannot be read.
        JournalError: the journal cannot be read.
        UsageError: there is no such file, or filters were given for one.
    """
    if isinstance(source, MessageStore):
        entries = await source.search(**{"count": _ALL, **filters})
        return [entry["message"] for entry in entries]
    if isinstance(source, str | os.PathLike):
        path = await asyncio.to_thread(_found, Path(source))
        if await asyncio.to_thread(_is_journal, path):
            return await _from_journal(path, channel, filters)
        _refuse(filters, path)
        return await asyncio.to_thread(_from_file, path)
    _refuse(filters, "a list of messages")
    return [message_of(entry) for entry in source]


def message_of(entry: Message | Entry) -> Message:
    """The message, or the one in the entry."""
    return entry if isinstance(entry, Message) else entry["message"]


def _refuse(filters: dict[str, Any], source: object) -> None:
    if filters:
        raise UsageError(
            f"{', '.join(filters)}: only a store can be searched, not {source}"
        )


def _found(path: Path) -> Path:
    if path.is_dir():
        path /= JOURNAL_FILE
    if path.is_file():
        return path
    raise UsageError(
        f"there are no stored messages at {path}; write some there with"
        " export_messages(entries, path)"
    )


def _is_journal(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


async def _from_journal(
    path: Path, channel: str | None, filters: dict[str, Any]
) -> list[Message]:
    query = Query.of(**{"count": _ALL, **filters})
    reader = Reader(path)
    try:
        records = await reader.run(lambda conn: search(conn, channel, query))
    finally:
        await reader.close()
    return [record.message() for record in records]


def _from_file(path: Path) -> list[Message]:
    return [entry["message"] for entry in read_entries(path)]
