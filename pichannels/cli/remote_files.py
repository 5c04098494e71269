"""Copies from and to an instance, with what is shown of them meanwhile."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from pichannels import codecs
from pichannels.cli.linking import read_leniently
from pichannels.cli.output import complain, say_bytes
from pichannels.errors import CodecError, UsageError
from pichannels.exporting import line_of
from pichannels.holding import replace
from pichannels.message import Message
from pichannels.remote import (
    ByteStream,
    EntityStream,
    Gap,
    Item,
    Kind,
    Link,
    Listing,
    StreamNotFound,
)

__all__ = ["Part", "download", "upload"]

_PIECE: Final = 2**20
_COMPARED: Final = 2**16
_LINES: Final = 500

Advance = Callable[[int], None]


class Part(NamedTuple):
    """Which bytes or positions are meant.

    Attributes:
        first: the first one.
        end: behind the last one; None for all that there is.
        tail: in their place, how many of the last; 0 for none.
    """

    first: int = 0
    end: int | None = None
    tail: int = 0


async def download(
    link: Link, name: str, file: Path | None, part: Part, *, replace: bool
) -> tuple[Path, str]:
    """Copy a stream to a file: where it is, and what it was, in words.

    Args:
        link: to the hub.
        name: as it is published.
        file: `-` for the output; None for one that is named as the stream is.
        part: how much of it.
        replace: whether a file that exists is replaced.

    Raises:
        OSError: the file cannot be written.
        RemoteError: it is not there, or not allowed.
        UsageError: the file exists, or there is no such part.
    """
    listing = await _listed(link, name)
    if listing is None:
        raise StreamNotFound(name, "nothing is published under this name")
    place = file or _place_of(listing)
    if str(place) != "-" and not replace and await asyncio.to_thread(place.exists):
        raise UsageError(f"{place} exists; name another file, or --replace it")
    if listing.kind is not Kind.BYTES:
        return place, await _download_lines(link, listing, place, part)
    async with link.bytes(name, resume=True) as stream:
        return place, await _download_bytes(stream, place, part)


def _place_of(listing: Listing) -> Path:
    last = listing.name.rpartition("/")[2]
    return Path(last if listing.kind is Kind.BYTES else f"{last}.jsonl")


async def _listed(link: Link, name: str) -> Listing | None:
    found = await link.list(name)
    return next((each for each in found if each.name == name), None)


# Bytes


async def _download_bytes(stream: ByteStream, file: Path, part: Part) -> str:
    size = (await stream.ends()).end or 0
    first = max(size - part.tail, 0) if part.tail else part.first
    end = size if part.end is None else min(part.end, size)
    if first > end:
        raise UsageError(f"{stream.name} has {size:,} bytes, none from {first:,} on")
    if str(file) == "-":
        await _copy_to(sys.stdout.buffer, stream, first, end)
        return ""
    draft = _draft_of(file, stream, first, end)
    with _opened(draft) as (out, done):
        if done:
            complain(f"going on behind {done:,} bytes")
        await _copy_to(out, stream, first + done, end, first)
        await asyncio.to_thread(_sync, out)
    await asyncio.to_thread(replace, draft, file)
    return f"{end - first:,} bytes"


def _draft_of(file: Path, stream: ByteStream, first: int, end: int) -> Path:
    """Where an incomplete copy is: only of the same version is another part added."""
    told = f"{stream.name} {stream.version} {first} {end}"
    digest = hashlib.sha256(told.encode()).hexdigest()[:12]
    return file.with_name(f"{file.name}.{digest}.part")


@contextmanager
def _opened(draft: Path) -> Iterator[tuple[BinaryIO, int]]:
    """An incomplete copy, and how much of it is there."""
    for other in draft.parent.glob(f"{draft.name.rpartition('.')[0][:-12]}*.part"):
        if other != draft and len(other.name) == len(draft.name):
            other.unlink(missing_ok=True)
    with draft.open("ab") as out:
        yield out, out.tell()


async def _copy_to(
    out: BinaryIO, stream: ByteStream, first: int, end: int, base: int = 0
) -> None:
    await stream.seek(first)
    with _progress(stream.name, end - base, first - base) as advance:
        left = end - first
        while left and (data := await stream.receive(min(left, _PIECE))):
            await asyncio.to_thread(out.write, data)
            advance(len(data))
            left -= len(data)
    if left:
        raise UsageError(f"{stream.name} became shorter while it was read")


def _sync(out: BinaryIO) -> None:
    out.flush()
    os.fsync(out.fileno())


# Entities


async def _download_lines(link: Link, listing: Listing, file: Path, part: Part) -> str:
    first, end = _positions(listing, part)
    async with link.entities(listing.name, start=first, resume=True) as stream:
        if str(file) == "-":
            async for lines in _lines(stream, end):
                say_bytes(lines.encode())
            return ""
        draft, count = file.with_name(f"{file.name}.part"), 0
        out = await asyncio.to_thread(draft.open, "w", encoding="utf-8", newline="\n")
        with out:
            async for lines in _lines(stream, end):
                await asyncio.to_thread(out.write, lines)
                count += lines.count("\n")
    await asyncio.to_thread(replace, draft, file)
    return f"{count:,} lines"


def _positions(listing: Listing, part: Part) -> tuple[int, int | None]:
    first, end = listing.first or 0, listing.end
    if part.tail:
        return max((end or 0) - part.tail, first), None
    return max(part.first, first), part.end


async def _lines(stream: EntityStream, end: int | None) -> AsyncIterator[str]:
    """What there is, as lines of JSON, many at once."""
    while items := await stream.receive_packed(_LINES):
        wanted = [each for each in items if end is None or each.position < end]
        if lines := [_line(each) for each in wanted]:
            yield "\n".join(lines) + "\n"
        if len(wanted) < len(items):
            return


def _line(item: Item) -> str:
    try:
        value = read_leniently(item)
    except CodecError as exc:
        return codecs.encode_json({"unreadable": str(exc), "position": item.position})
    if isinstance(value, Gap):
        return codecs.encode_json({"gap": value.count, "position": value.position})
    return line_of(value) if isinstance(value, Message) else codecs.encode_json(value)


# To an instance


async def upload(
    link: Link, file: Path, name: str, *, replace: bool, resume: bool
) -> int:
    """Copy a file to a stream of bytes: how many bytes it has there.

    Args:
        link: to the hub.
        file: what is copied.
        name: as it is published.
        replace: whether what is there is replaced.
        resume: whether to go on behind what is there, if it is a part of this.

    Raises:
        OSError: the file cannot be read.
        RemoteError: it is not allowed, or could not be stored.
        UsageError: it is there, or is no part of this file.
    """
    size = (await asyncio.to_thread(file.stat)).st_size
    source = await asyncio.to_thread(file.open, "rb")
    with source:
        async with link.bytes(name, "r+b" if resume else "wb") as stream:
            done = await _place(stream, source, size, replace=replace, resume=resume)
            with _progress(name, size, done) as advance:
                while data := await asyncio.to_thread(source.read, _PIECE):
                    await stream.write(data)
                    advance(len(data))
            await stream.flush(durable=True)
            return (await stream.ends()).end or 0


async def _place(
    stream: ByteStream, source: BinaryIO, size: int, *, replace: bool, resume: bool
) -> int:
    """Go to where writing begins, on both sides: how much is there already."""
    there = (await stream.ends()).end or 0
    if there and not (replace or resume):
        reason = f"{stream.name} has {there:,} bytes already"
        raise UsageError(f"{reason}; --replace it, or --resume a copy")
    if there and replace:
        # No end of what was there may ever be behind a part of this.
        await stream.truncate()
        return 0
    if not there:
        return 0
    first = max(there - _COMPARED, 0)
    if there > size or not await _is_same(stream, source, first, there):
        raise UsageError(f"{stream.name} is no part of this file; --replace it")
    complain(f"going on behind {there:,} bytes")
    return there


async def _is_same(stream: ByteStream, source: BinaryIO, first: int, end: int) -> bool:
    """Whether the last bytes there are what is in the file; leaves both behind it."""
    await stream.seek(first)
    theirs = await stream.read(end - first)
    source.seek(first)
    return theirs == await asyncio.to_thread(source.read, end - first)


# What is shown


@contextmanager
def _progress(name: str, total: int, done: int) -> Iterator[Advance]:
    """A bar on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda size: None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(name, total=total, completed=done)
        yield lambda size: progress.advance(bar, size)
