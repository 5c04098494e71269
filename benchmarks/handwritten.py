"""What a good programmer writes by hand for one job, without any of our code.

Websocket to durable sink with the same libraries: frames that wait are taken
together, decoded by typed msgspec to samples with exact ticks, all quality flags and
units, filtered, enriched,
written as one row for each batch by a thread that commits all that waits (WAL,
synchronous FULL), and given to one subscriber when they are on disk. It keeps no
history of what came, repeats nothing after a crash, and ends at the first error.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from calendar import timegm
from collections import deque
from pathlib import Path
from time import strptime
from typing import Any, Final

import aiohttp
import msgspec

from benchmarks.load import connected, flood, streams_of
from benchmarks.measure import Measured, Stopwatch
from benchmarks.worker import work

__all__ = ["RAW_TEXT", "Pipeline", "run"]

# Frames come as bytes where aiohttp can leave them so.
_VERSION: Final = tuple(int(part) for part in aiohttp.__version__.split(".")[:2])
RAW_TEXT: Final[dict[str, Any]] = {"decode_text": False} if _VERSION >= (3, 14) else {}

_FRAME_BYTES: Final = 4 * 2**20
_ROWS: Final = 64
_VALUES: Final = 16_384
_SECONDS_KEPT: Final = 8_192


class Event(msgspec.Struct, gc=False, rename="pascal"):
    timestamp: str
    value: float | int | str | bool | dict[str, Any] | None
    good: bool = True
    questionable: bool = False
    substituted: bool = False
    annotated: bool = False


class Stream(msgspec.Struct, gc=False, rename="pascal"):
    web_id: str
    items: list[Event]
    units_abbreviation: str = ""


class Document(msgspec.Struct, gc=False, rename="pascal"):
    items: list[Stream]


class Sample(msgspec.Struct, gc=False, array_like=True):
    tag: str
    ticks: int
    value: Any
    good: bool
    questionable: bool
    substituted: bool
    annotated: bool


class Batch(msgspec.Struct, gc=False):
    """Samples, and the facts about their tags."""

    samples: list[Sample]
    facts: dict[str, dict[str, Any]]


_decode: Final = msgspec.json.Decoder(Document, strict=False).decode
_encode: Final = msgspec.msgpack.Encoder().encode
_seconds: Final[dict[str, int]] = {}


def ticks_of(text: str) -> int:
    """100 ns since 1970 of an instant as PI writes it."""
    second = _seconds.get(text[:19])
    if second is None:
        if len(_seconds) >= _SECONDS_KEPT:
            _seconds.clear()
        second = timegm(strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) * 10_000_000
        _seconds[text[:19]] = second
    return second + int(f"{text[20:-1]:0<7}")


class Writer(threading.Thread):
    """Commits all batches that wait; what is on disk goes to `written`."""

    def __init__(self, path: Path, written: Any) -> None:
        super().__init__(name="writer", daemon=True)
        self._loop = asyncio.get_running_loop()
        self._path = path
        self._written = written
        self._queue: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()

    def put(self, batch: Batch | None) -> None:
        self._queue.put(batch)

    def run(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "CREATE TABLE batch (id INTEGER PRIMARY KEY, first INTEGER, last INTEGER,"
            " count INTEGER, data BLOB)"
        )
        while batches := self._waiting():
            self._commit(connection, batches)
            self._loop.call_soon_threadsafe(self._written, batches)
        connection.close()

    def _waiting(self) -> list[Batch]:
        batches = []
        batch = self._queue.get()
        while batch is not None:
            batches.append(batch)
            if self._queue.empty():
                break
            batch = self._queue.get()
        return batches

    def _commit(self, connection: sqlite3.Connection, batches: list[Batch]) -> None:
        rows = [
            (
                batch.samples[0].ticks,
                batch.samples[-1].ticks,
                len(batch.samples),
                _encode(batch),
            )
            for batch in batches
        ]
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO batch VALUES (NULL, ?, ?, ?, ?)", rows)
        connection.execute("COMMIT")


class Pipeline:
    """From an open websocket to one subscriber.

    Args:
        names: the names of the tags by WebID.
        path: the SQLite file.
    """

    def __init__(self, names: dict[str, str], path: Path) -> None:
        self._names = names
        self._facts = {
            name: {"site": "North", "area": name.partition(".")[0]}
            for name in names.values()
        }
        self._frames: list[bytes] = []
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._room = asyncio.Event()
        self._rows = self._values = 0
        self._published: deque[Batch] = deque()
        self._news = asyncio.Event()
        self._writer = Writer(path, self._committed)

    async def run(
        self, socket: aiohttp.ClientWebSocketResponse[Any], wanted: asyncio.Future[int]
    ) -> None:
        """Until the subscriber has got as many values as are `wanted`."""
        self._writer.start()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._read(socket)),
                group.create_task(self._process()),
            ]
            await self._subscribe(await wanted)
            for task in tasks:
                task.cancel()
        self._writer.put(None)
        await asyncio.to_thread(self._writer.join)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse[Any]) -> None:
        while True:
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise ConnectionError(f"the websocket ended: {message}")
            data = message.data
            self._frames.append(data)
            self._bytes += len(data)
            self._arrived.set()
            if self._bytes > _FRAME_BYTES:
                self._taken.clear()
                await self._taken.wait()

    async def _process(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            frames, self._frames, self._bytes = self._frames, [], 0
            self._taken.set()
            batch = self._batch(frames)
            if batch.samples:
                await self._store(batch)

    def _batch(self, frames: list[bytes]) -> Batch:
        """Decode, filter and enrich."""
        samples: list[Sample] = []
        facts: dict[str, dict[str, Any]] = {}
        names, known = self._names, self._facts
        for frame in frames:
            for stream in _decode(frame).items:
                name = names[stream.web_id]
                samples += [
                    Sample(
                        name,
                        ticks_of(event.timestamp),
                        event.value,
                        True,
                        event.questionable,
                        event.substituted,
                        event.annotated,
                    )
                    for event in stream.items
                    if event.good
                ]
                facts[name] = known[name]
        return Batch(samples, facts)

    async def _store(self, batch: Batch) -> None:
        self._rows += 1
        self._values += len(batch.samples)
        self._writer.put(batch)
        while self._rows >= _ROWS or self._values >= _VALUES:
            # A busy loop would starve the writer: it has to wait for it.
            self._room.clear()
            await self._room.wait()

    def _committed(self, batches: list[Batch]) -> None:
        self._rows -= len(batches)
        self._values -= sum(len(batch.samples) for batch in batches)
        self._room.set()
        self._published.extend(batches)
        self._news.set()

    async def _subscribe(self, wanted: int) -> None:
        count = 0
        while count < wanted:
            await self._news.wait()
            self._news.clear()
            while self._published:
                count += len(self._published.popleft().samples)
        if count != wanted:
            raise ValueError(f"{count} values were published, not {wanted}")


async def run(url: str, folder: str, **shape: int) -> Measured:
    """Receive a flood of this shape from the simulator at `url`."""
    async with aiohttp.ClientSession() as session:
        names = await streams_of(session, url)
        query = [("webId", web_id) for web_id in names]
        async with session.ws_connect(
            f"{url}/streamsets/channel",
            params=query,
            max_msg_size=0,
            compress=0,
            **RAW_TEXT,
        ) as socket:
            await connected(session, url)
            wanted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            pipeline = Pipeline(names, Path(folder, "handwritten.db"))
            running = asyncio.create_task(pipeline.run(socket, wanted))
            values = await flood(session, url, **shape)
            with Stopwatch() as watch:
                wanted.set_result(values)
                await running
    return watch.measured(values)


if __name__ == "__main__":
    work(run)
