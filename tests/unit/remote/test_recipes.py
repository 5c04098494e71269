"""The two recipes of the document on streams: a name sorter, and a file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pichannels.remote import (
    AlreadyOpened,
    EntitySource,
    StreamRef,
    StreamState,
    file,
    fixed,
    method,
)
from tests.unit.remote.world import World

NAMES = [f"John Doe #{i}" for i in range(1, 6)]


class NameSorter:
    def __init__(self) -> None:
        self.names: list[str] = []

    @method
    def add(self, name: str) -> None:
        self.names.append(name)

    @method
    def reset(self) -> EntitySource:
        names, self.names = self.names, []
        return fixed(sorted(names))


async def test_names_come_sorted_as_a_stream_and_once(world: World) -> None:
    world.hub.expose("sorter", NameSorter())
    sorter = world.link.service("sorter")
    for i in (5, 3, 4, 1, 2):
        await sorter.add(f"John Doe #{i}")
    ref = await sorter.reset()
    assert isinstance(ref, StreamRef)
    async with world.link.entities(ref) as stream:
        assert [name async for name in stream] == NAMES
    assert stream.state is StreamState.CLOSED
    with pytest.raises(AlreadyOpened):
        await world.link.entities(ref)


async def test_a_file_is_written_and_read_back(world: World, tmp_path: Path) -> None:
    path = tmp_path / "spool"
    world.hub.publish("spool", file(path, "w+b"))
    async with world.link.bytes("spool", "r+b") as stream:
        await stream.write(b"This is an important message")
        await stream.flush()
        await stream.seek(0)
        assert await stream.read() == b"This is an important message"
        assert await stream.read() == b""
    found = await asyncio.to_thread(path.read_bytes)
    assert found == b"This is an important message"
