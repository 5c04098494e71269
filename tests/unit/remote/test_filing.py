"""Files of folders: removed and renamed, by whom, and what readers are told."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from pichannels.remote import (
    Access,
    AccessDenied,
    Action,
    ModeRefused,
    Permission,
    SourceFailed,
    StreamBusy,
    StreamNotFound,
    StreamWithdrawn,
    fixed,
    folder,
)
from tests.unit.remote.world import World


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A folder with two files, and a link out of it."""
    (tmp_path / "secret").write_bytes(b"not for others")
    path = tmp_path / "spool"
    (path / "deep").mkdir(parents=True)
    (path / "a").write_bytes(b"one")
    (path / "deep" / "b").write_bytes(b"two")
    (path / "out").symlink_to(tmp_path / "secret")
    (path / "away").symlink_to(tmp_path)
    return path


async def content(path: Path) -> dict[str, bytes]:
    def read() -> dict[str, bytes]:
        found = [x for x in path.rglob("*") if x.is_file() and not x.is_symlink()]
        return {each.relative_to(path).as_posix(): each.read_bytes() for each in found}

    return await asyncio.to_thread(read)


@pytest.mark.skipif(os.name == "nt", reason="Windows removes no open file")
async def test_a_file_is_removed_with_folders_that_are_empty_then(
    world: World, path: Path
) -> None:
    world.hub.mount("s", folder(path, write=True))
    async with world.link.bytes("s/deep/b", follow=True) as reader:
        assert await reader.read(3) == b"two"
        await world.link.remove("s/deep/b")
        with pytest.raises(StreamWithdrawn, match="removed"):
            await reader.read(1)
    assert await content(path) == {"a": b"one"} and not (path / "deep").exists()
    with pytest.raises(StreamNotFound):
        await world.link.remove("s/deep/b")


async def test_a_file_is_renamed_and_takes_a_place_only_where_it_is_told(
    world: World, path: Path
) -> None:
    world.hub.mount("s", folder(path, write=True))
    await world.link.rename("s/a", "s/new/a")
    with pytest.raises(StreamBusy, match="already"):
        await world.link.rename("s/new/a", "s/deep/b")
    await world.link.rename("s/new/a", "s/deep/b", replace=True)
    assert await content(path) == {"deep/b": b"one"}


async def test_what_is_written_just_now_stays_as_it_is(
    world: World, path: Path
) -> None:
    world.hub.mount("s", folder(path, write=True))
    async with world.link.bytes("s/a", "wb") as stream:
        await stream.write(b"new")
        for change in (
            world.link.remove("s/a"),
            world.link.rename("s/a", "s/c"),
            world.link.rename("s/deep/b", "s/a", replace=True),
        ):
            with pytest.raises(StreamBusy, match="writes"):
                await change
    assert await content(path) == {"a": b"new", "deep/b": b"two"}


@pytest.mark.parametrize("name", ["s/out", "s/away/secret", "s/../secret", "s/deep"])
async def test_nothing_outside_of_the_folder_is_touched(
    here: World, path: Path, name: str
) -> None:
    here.hub.mount("s", folder(path, write=True))
    with pytest.raises((StreamNotFound, SourceFailed)):
        await here.link.remove(name)
    with pytest.raises((StreamNotFound, SourceFailed)):
        await here.link.rename(name, "s/mine")
    if name != "s/deep":
        with pytest.raises((StreamNotFound, SourceFailed, StreamBusy)):
            await here.link.rename("s/a", f"{name}/x" if name == "s/out" else name)
    assert (path.parent / "secret").read_bytes() == b"not for others"


async def test_only_files_of_folders_that_take_files_are_meant(
    here: World, path: Path
) -> None:
    here.hub.mount("r", folder(path))
    here.hub.mount("s", folder(path, write=True))
    here.hub.mount("t", folder(path / "deep", write=True))
    here.hub.publish("bytes", fixed(b"x"))
    for name in ("r/a", "bytes"):
        with pytest.raises(ModeRefused):
            await here.link.remove(name)
    with pytest.raises(ModeRefused, match="another folder"):
        await here.link.rename("s/a", "t/a")
    assert await content(path) == {"a": b"one", "deep/b": b"two"}


def authorize(token: str | None) -> Access:
    mine = Permission("s/mine/*", [Action.READ, Action.WRITE])
    return Access("one", [mine, Permission("*", [Action.READ, Action.CALL])])


async def test_only_who_may_write_both_names_changes_files(
    world: World, path: Path
) -> None:
    hub = await world.other_hub(authorize=authorize)
    hub.mount("s", folder(path, write=True))
    link = await world.connect(token="x")
    async with link.bytes("s/mine/c", "wb") as stream:
        await stream.write(b"c")
    for change in (
        link.remove("s/a"),
        link.rename("s/a", "s/mine/a"),
        link.rename("s/mine/c", "s/c"),
    ):
        with pytest.raises(
            AccessDenied, match=r"^'s/.*': .* allow to write (it|'s/c')"
        ):
            await change
    await link.rename("s/mine/c", "s/mine/d")
    await link.remove("s/mine/d")
    assert await content(path) == {"a": b"one", "deep/b": b"two"}
