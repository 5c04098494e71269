"""Streams of bytes: files that are read, written, cut, downloaded."""

from __future__ import annotations

import asyncio
import random
from asyncio import IncompleteReadError
from pathlib import Path

import aiohttp
import pytest

from pichannels.remote import (
    END,
    About,
    ByteCursor,
    ByteStream,
    ContextError,
    Ends,
    HubServer,
    Kind,
    Mode,
    PositionLost,
    SourceFailed,
    StreamBusy,
    StreamState,
    StreamWithdrawn,
    UnsupportedOperation,
    file,
    fixed,
)
from tests.unit.remote.world import World, soon

DATA = random.Random(7).randbytes(5_000_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def put(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as opened:
        opened.write(data)


def content(path: Path) -> bytes:
    return path.read_bytes()


async def test_a_large_file_is_written_in_pieces_and_read_back(
    world: World, path: Path
) -> None:
    world.hub.publish("s", file(path, "w+b"))
    async with world.link.bytes("s", "r+b", readahead=100_000) as stream:
        assert await stream.write(DATA) == len(DATA)
        assert await stream.flush(durable=True) == stream.stored == len(DATA)
        assert content(path) == DATA
        await stream.seek(0)
        assert await stream.read() == DATA


async def test_reads_are_short_only_at_the_end(world: World) -> None:
    world.hub.publish("s", fixed(b"0123456789"))
    async with world.link.bytes("s") as stream:
        assert await stream.read(4) == b"0123"
        assert await stream.readexactly(2) == b"45"
        with pytest.raises(IncompleteReadError) as caught:
            await stream.readexactly(9)
        assert caught.value.partial == b"6789"
        assert await stream.read(5) == b""


async def test_a_read_that_is_cancelled_loses_nothing(world: World, path: Path) -> None:
    put(path, b"12345")
    source = file(path, "r+b", poll=0.01)
    world.hub.publish("s", source)
    async with (
        world.link.bytes("s", follow=True, readahead=3) as stream,
        world.link.bytes("s", "wb", start=END) as writer,
    ):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await stream.readexactly(10)
        assert stream.position == 0
        await writer.seek(0, END)
        await writer.write(b"67890")
        await writer.flush()
        assert await stream.readexactly(10) == b"1234567890"


async def test_after_reading_ahead_it_writes_where_the_reader_is(
    world: World, path: Path
) -> None:
    put(path, b"." * 100)
    world.hub.publish("s", file(path, "r+b"))
    async with world.link.bytes("s", "r+b") as stream:
        assert await stream.read(3) == b"..."
        await stream.write(b"ab")
        assert stream.position == 5
    assert content(path) == b"...ab" + b"." * 95


async def test_closing_waits_until_it_is_stored(world: World, path: Path) -> None:
    world.hub.publish("s", file(path, "wb"))
    async with world.link.bytes("s", "wb") as stream:
        await stream.write(b"x" * 1_000_000)
    assert stream.state is StreamState.CLOSED
    assert len(content(path)) == 1_000_000


async def test_the_end_is_cut_and_readers_beyond_it_are_told(
    world: World, path: Path
) -> None:
    put(path, b"0123456789")
    world.hub.publish("s", file(path, "r+b", poll=0.01))
    async with (
        world.link.bytes("s", follow=True) as reader,
        world.link.bytes("s", "r+b") as stream,
    ):
        assert await reader.read(10) == b"0123456789"
        await stream.seek(4)
        await stream.truncate()
        assert len(content(path)) == 4
        with pytest.raises(PositionLost):
            await reader.read(1)
        assert await stream.seek(0, END) == 4
        assert await stream.seek(0) == 0
        assert await stream.read() == b"0123"


async def test_what_other_programs_append_arrives(world: World, path: Path) -> None:
    put(path, b"1")
    world.hub.publish("s", file(path, poll=0.01))
    async with world.link.bytes("s", follow=True) as stream:
        assert await stream.read(1) == b"1"
        append(path, b"2")
        assert await stream.read(1) == b"2"
        put(path, b"")
        with pytest.raises(PositionLost):
            await stream.read(1)


async def test_a_file_that_has_changed_has_another_version(
    world: World, path: Path
) -> None:
    put(path, b"1")
    world.hub.publish("s", file(path))
    versions = []
    for data in (b"1", b"another"):
        put(path, data)
        (listing,) = await world.link.list("s")
        async with world.link.bytes("s") as stream:
            assert stream.version == listing.version
        versions.append(stream.version)
    assert len(set(versions)) == 2 and all(versions)


async def test_without_the_mode_nothing_is_cut_or_written(
    world: World, path: Path
) -> None:
    put(path, b"12")
    world.hub.publish("r", file(path))
    world.hub.publish("w", file(path, "r+b"), Mode.READ | Mode.WRITE | Mode.SEEK)
    async with (
        world.link.bytes("r") as reader,
        world.link.bytes("w", "r+b") as writer,
    ):
        with pytest.raises(UnsupportedOperation):
            await reader.truncate()
        with pytest.raises(UnsupportedOperation):
            await reader.write(b"x")
        with pytest.raises(UnsupportedOperation):
            await writer.truncate()
        await writer.write(b"ab")
        await writer.flush()
        # Beyond the end, which it may not move.
        with pytest.raises(UnsupportedOperation):
            await writer.write(b"c")
            await writer.flush()
    assert content(path) == b"ab"


async def test_there_is_one_writer_until_it_has_gone(world: World, path: Path) -> None:
    world.hub.publish("s", file(path, "w+b"))
    other = await world.connect()
    first = await world.link.bytes("s", "wb")
    with pytest.raises(StreamBusy):
        await other.bytes("s", "wb")
    async with other.bytes("s"):
        await world.link.aclose()
        while True:
            try:
                await other.bytes("s", "wb")
                break
            except StreamBusy:
                await asyncio.sleep(0.001)
    assert first.state is StreamState.FAILED


class Reluctant:
    """Takes bytes only when it is allowed to, or not at all."""

    kind = Kind.BYTES
    mode = Mode.WRITE | Mode.EXTEND | Mode.END_UP

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.taken = 0
        self.asked = 0
        self.error: Exception | None = None

    async def about(self) -> About:
        return About(Ends(0, self.taken))

    async def open(self, mode: Mode) -> ByteCursor:
        return _ReluctantCursor(self)


class _ReluctantCursor(ByteCursor):
    def __init__(self, source: Reluctant) -> None:
        self._source = source

    async def ends(self) -> Ends:
        return Ends(0, self._source.taken)

    async def seek(self, place: object) -> int:
        return self._source.taken

    async def read(self, size: int) -> bytes:
        raise AssertionError("it is not published for reading")

    async def write(self, data: bytes) -> None:
        self._source.asked += 1
        await self._source.may.wait()
        if self._source.error is not None:
            raise self._source.error
        self._source.taken += len(data)

    async def flush(self, durable: bool) -> None:
        return


async def test_a_writer_waits_for_room_and_knows_what_has_gone_out(
    world: World,
) -> None:
    await world.other_hub(limits={"window_bytes": 100_000})
    world.hub.publish("s", source := Reluctant())
    link = await world.connect()
    async with link.bytes("s", "wb") as stream:
        assert stream.write_nowait(b"x") == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await stream.write(DATA[:300_000])
        assert stream.position == 100_000
        assert stream.write_nowait(b"x") == 0
        source.may.set()
        await stream.write(DATA[stream.position : 300_000])
        assert await stream.flush() == source.taken == 300_000
        assert stream.write_nowait(b"x") == 1


async def test_what_cannot_be_written_reaches_the_writer(world: World) -> None:
    world.hub.publish("s", source := Reluctant())
    source.error = OSError("secret")
    source.may.set()
    stream = await world.link.bytes("s", "wb")
    await stream.write(b"abc")
    with pytest.raises(SourceFailed) as caught:
        await stream.flush()
    assert "secret" not in str(caught.value)
    await stream.aclose()
    assert stream.state is StreamState.CLOSED


async def test_a_failure_wakes_who_waits_to_write_and_for_a_flush(world: World) -> None:
    hub = await world.other_hub(limits={"window_bytes": 1000})
    link = await world.connect()
    waiting = []
    for name, size in (("full", 2000), ("slow", 10)):
        hub.publish(name, source := Reluctant())
        stream = await link.bytes(name, "wb")
        waiting.append(asyncio.create_task(written(stream, size)))
        await soon(lambda source=source: source.asked)  # type: ignore[misc]
        hub.withdraw(name, "it moves")
    for task in waiting:
        with pytest.raises(StreamWithdrawn, match="it moves"):
            await task


async def written(stream: ByteStream, size: int) -> None:
    await stream.write(b"x" * size)
    await stream.flush()


async def test_going_from_writing_to_reading_tells_what_was_not_written(
    world: World, path: Path
) -> None:
    world.hub.publish("s", file(path, "w+b"), Mode.READ | Mode.WRITE | Mode.SEEK)
    async with world.link.bytes("s", "r+b") as stream:
        await stream.write(b"beyond the end, which may not move")
        with pytest.raises(ContextError):
            await stream.read()
        await stream.seek(0)
        assert await stream.read() == b""


async def test_both_directions_are_two_streams(world: World, path: Path) -> None:
    put(path, b"")
    world.hub.publish("s", file(path, "r+b", poll=0.01))
    async with (
        world.link.bytes("s", follow=True) as reader,
        world.link.bytes("s", "wb") as writer,
    ):
        for number in range(20):
            line = f"line {number}\n".encode()
            await writer.write(line)
            await writer.flush()
            assert await reader.readexactly(len(line)) == line


async def test_a_file_that_only_grows_is_appended_to(world: World, path: Path) -> None:
    put(path, b"1")
    world.hub.publish("s", file(path, "ab"))
    for text in (b"2", b"3"):
        async with world.link.bytes("s", "wb") as stream:
            await stream.write(text)
            with pytest.raises(UnsupportedOperation):
                await stream.seek(0)
    assert content(path) == b"123"


# Downloads


async def _get(url: str, **headers: str) -> tuple[int, bytes, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, headers=headers) as response,
    ):
        return response.status, await response.read(), response.headers.get("ETag", "")


async def test_a_file_is_downloaded_by_plain_http(here: World, path: Path) -> None:
    put(path, b"0123456789")
    here.hub.publish("a/file", file(path))
    here.hub.publish("fixed", fixed(b"x"))
    async with HubServer(here.hub) as server:
        url = f"{server.url}/a/file"
        status, body, version = await _get(url)
        assert (status, body) == (200, b"0123456789")
        assert (await _get(url, Range="bytes=2-4"))[:2] == (206, b"234")
        ranged = {"Range": "bytes=2-4", "If-Range": version}
        assert (await _get(url, **ranged))[:2] == (206, b"234")
        put(path, b"another one")
        assert (await _get(url, **ranged))[:2] == (200, b"another one")
        assert (await _get(url, **{"If-Match": version}))[0] == 412
        for missing in ("fixed", "none", "../setup.cfg", "%2e%2e/x"):
            assert (await _get(f"{server.url}/{missing}"))[0] == 404
