"""Watched folders: each version of a file once, and none that is half written."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pichannels.adapters import notify
from pichannels.channels.files import FileWatcherChannel
from pichannels.errors import RetryLater, SettingsError
from pichannels.events import Event
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.states import State

is_root = hasattr(os, "geteuid") and os.geteuid() == 0


class Keeper(BaseNode):
    """Keeps what came, and tells."""

    def __init__(self) -> None:
        super().__init__(name="keep")
        self.came: list[Message] = []
        self.changed = asyncio.Event()
        self.failing = 0

    def process(self, msg: Message) -> Message:
        if self.failing:
            self.failing -= 1
            raise RetryLater("not now", 0.01)
        self.came.append(msg.copy())
        self.changed.set()
        return msg

    async def until(self, count: int) -> list[Any]:
        """The payloads, when so many have come."""
        async with asyncio.timeout(10):
            while len(self.came) < count:
                self.changed.clear()
                await self.changed.wait()
        return [msg.payload for msg in self.came]


class Watch:
    """A channel that watches a folder, looked at by hand or running."""

    def __init__(self, folder: Path, journal: Journal, **options: Any) -> None:
        options = {"settle": 0, "interval": 0.05, "watch": False} | options
        self.channel = FileWatcherChannel("watch", basedir=folder, **options)
        self.keeper = Keeper()
        self.channel.add(self.keeper)
        self.channel.attach(journal=journal)
        self.events: list[Event] = []
        self.news = asyncio.Event()
        self.channel.events.subscribe(self._take)

    def _take(self, event: Event) -> None:
        self.events.append(event)
        self.news.set()

    def told(self, name: str) -> list[dict[str, Any]]:
        return [event.facts for event in self.events if event.name == name]

    async def until_told(self, name: str) -> None:
        async with asyncio.timeout(10):
            while not self.told(name):
                self.news.clear()
                await self.news.wait()

    async def payloads(self, looks: int = 1) -> list[Any]:
        """What has come after some looks, when all is settled."""
        for _ in range(looks):
            await self.channel.tick()
        await self.channel.drain()
        return [msg.payload for msg in self.keeper.came]


Watching = Callable[..., Awaitable[Watch]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in"
    made.mkdir()
    return made


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = Journal(tmp_path / "journal.db", durability="normal")
    await journal.open()
    yield journal
    await journal.close()


@asynccontextmanager
async def by_hand(
    folder: Path, journal: Journal, **options: Any
) -> AsyncIterator[Watch]:
    """A started channel that looks only when it is told to."""
    watch = Watch(folder, journal, **options)
    watch.channel.has_source_enabled = False
    await watch.channel.start()
    yield watch
    await watch.channel.stop()


@asynccontextmanager
async def running(
    folder: Path, journal: Journal, **options: Any
) -> AsyncIterator[Watch]:
    watch = Watch(folder, journal, **options)
    await watch.channel.start()
    yield watch
    await watch.channel.stop()


def write(path: Path, text: str | bytes) -> None:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


# What a message has


async def test_a_file_is_a_message_with_its_path(
    folder: Path, journal: Journal
) -> None:
    write(folder / "a.csv", "1;ü\r\n")
    async with running(folder, journal) as watch:
        assert await watch.keeper.until(1) == ["1;ü\r\n"]
    meta = watch.keeper.came[0].meta
    assert meta["filename"] == "a.csv"
    assert meta["filepath"] == str(folder / "a.csv")


async def test_a_binary_file_is_bytes(folder: Path, journal: Journal) -> None:
    write(folder / "a.bin", b"\xff\x00")
    async with by_hand(folder, journal, binary_file=True) as watch:
        assert await watch.payloads() == [b"\xff\x00"]


async def test_only_names_that_fit_are_read_in_their_order(
    folder: Path, journal: Journal
) -> None:
    for name in ("b.csv", "a.csv", "a.txt"):
        write(folder / name, name)
    async with by_hand(folder, journal, regex=r".*\.csv$") as watch:
        assert await watch.payloads() == ["a.csv", "b.csv"]


async def test_folders_below_are_read_on_request(
    folder: Path, journal: Journal
) -> None:
    (folder / "x" / "y").mkdir(parents=True)
    write(folder / "x" / "y" / "a", "deep")
    async with by_hand(folder, journal) as watch:
        assert await watch.payloads() == []
    async with by_hand(folder, journal, recursive=True) as watch:
        assert await watch.payloads() == ["deep"]
    assert watch.keeper.came[0].meta["filepath"] == str(folder / "x" / "y" / "a")


async def test_an_acknowledgement_stands_for_the_file_beside_it(
    folder: Path, journal: Journal
) -> None:
    options: dict[str, Any] = {"regex": r".*\.ok$", "real_extensions": [".csv"]}
    write(folder / "a.csv", "values")
    write(folder / "b.ok", "")
    async with by_hand(folder, journal, **options) as watch:
        assert await watch.payloads() == []
        assert "no file beside it" in watch.told("file.unread")[0]["reason"]
        write(folder / "a.ok", "")
        assert await watch.payloads(2) == ["values"]
    assert watch.keeper.came[0].meta["filename"] == "a.csv"


# Once for each version


async def test_each_version_comes_once(folder: Path, journal: Journal) -> None:
    write(folder / "a", "one")
    async with by_hand(folder, journal) as watch:
        await watch.payloads(3)
        write(folder / "a", "two!")
        await watch.payloads(3)
        os.utime(folder / "a", (1, 1))
        assert await watch.payloads(3) == ["one", "two!", "two!"]


async def test_a_file_that_takes_the_place_of_another_is_a_new_version(
    folder: Path, journal: Journal
) -> None:
    write(folder / "a", "one")
    os.utime(folder / "a", (1, 1))
    async with by_hand(folder, journal) as watch:
        await watch.payloads()
        write(folder / "a.new", "two")
        os.utime(folder / "a.new", (1, 1))
        os.replace(folder / "a.new", folder / "a")
        assert await watch.payloads(2) == ["one", "two"]


async def test_what_was_taken_is_known_after_a_restart(
    folder: Path, journal: Journal
) -> None:
    write(folder / "a", "one")
    write(folder / "b", "old")
    async with by_hand(folder, journal) as watch:
        await watch.payloads()
    write(folder / "b", "newer")
    write(folder / "c", "meanwhile")
    async with by_hand(folder, journal) as watch:
        assert await watch.payloads() == ["newer", "meanwhile"]


async def test_files_that_are_gone_are_forgotten(
    folder: Path, journal: Journal
) -> None:
    write(folder / "a", "one")
    async with by_hand(folder, journal) as watch:
        await watch.payloads()
        (folder / "a").unlink()
        await watch.payloads()
        assert len(watch.channel.memory) == 0
    assert list(await journal.saved("files:watch")) == ["\0begun"]


async def test_a_folder_that_is_away_forgets_nothing(
    folder: Path, journal: Journal
) -> None:
    write(folder / "a", "one")
    async with running(folder, journal, interval=0.03) as watch:
        await watch.keeper.until(1)
        os.rename(folder, folder.with_name("away"))
        await watch.until_told("files.unreachable")
        assert not watch.channel.is_ready
        os.rename(folder.with_name("away"), folder)
        await watch.until_told("files.reachable")
        write(folder / "b", "two")
        assert await watch.keeper.until(2) == ["one", "two"]


async def test_files_from_before_the_first_start_may_be_left_alone(
    folder: Path, journal: Journal
) -> None:
    write(folder / "a", "old")
    async with by_hand(folder, journal, existing=False) as watch:
        await watch.payloads()
        write(folder / "b", "new")
        assert await watch.payloads() == ["new"]
    write(folder / "c", "meanwhile")
    async with by_hand(folder, journal, existing=False) as watch:
        assert await watch.payloads() == ["meanwhile"]


async def test_without_a_journal_a_version_comes_once_for_each_run(
    folder: Path,
) -> None:
    write(folder / "a", "one")
    channel = FileWatcherChannel("watch", basedir=folder, settle=0, watch=False)
    keeper = Keeper()
    channel.add(keeper)
    keeper.failing = 1
    channel.has_source_enabled = False
    await channel.start()
    for _ in range(3):
        await channel.tick()
    await channel.stop()
    assert [msg.payload for msg in keeper.came] == ["one"]


# Files that are being written


async def test_a_file_is_read_when_it_stays_the_same(
    folder: Path, journal: Journal
) -> None:
    path = folder / "a"
    async with by_hand(folder, journal, settle=0.1) as watch:
        for part in range(4):
            with path.open("a") as file:
                file.write(str(part))
            await asyncio.sleep(0.04)
            assert await watch.payloads() == []
    async with running(folder, journal, settle=0.1) as watch:
        assert await watch.keeper.until(1) == ["0123"]


async def test_a_file_that_changes_while_it_is_read_comes_later(
    folder: Path, journal: Journal
) -> None:
    write(folder / "a", "half")
    async with by_hand(folder, journal) as watch:
        listing = await watch.channel.look()
        write(folder / "a", "whole now")
        (found,) = watch.channel._wanted(listing)
        await watch.channel._take(found, listing)
        assert watch.told("file.unread") == []
        assert await watch.payloads() == ["whole now"]


# What goes wrong with a file costs that file


async def test_a_file_that_is_too_large_is_told_once(
    folder: Path, journal: Journal
) -> None:
    write(folder / "a", "x" * 11)
    write(folder / "b", "y" * 10)
    async with by_hand(folder, journal, max_bytes=10) as watch:
        assert await watch.payloads(3) == ["y" * 10]
        (facts,) = watch.told("file.unread")
    assert facts["reason"] == "11 bytes are more than max_bytes=10"


async def test_text_in_another_encoding_is_a_dead_letter_with_its_bytes(
    folder: Path, journal: Journal
) -> None:
    write(folder / "a", b"Temp\xe9rature")
    write(folder / "b", "fine")
    async with by_hand(folder, journal) as watch:
        assert await watch.payloads() == ["fine"]
        (dead,) = await journal.search("watch", state=State.ERROR)
    assert dead.message().payload == b"Temp\xe9rature"
    assert "utf-8" in str(dead.meta)


@pytest.mark.skipif(is_root or sys.platform == "win32", reason="reads everything")
async def test_a_file_that_may_not_be_read_comes_when_it_may(
    folder: Path, journal: Journal
) -> None:
    write(folder / "a", "secret")
    (folder / "a").chmod(0)
    async with by_hand(folder, journal) as watch:
        assert await watch.payloads(2) == []
        assert len(watch.told("file.unread")) == 1
        (folder / "a").chmod(0o600)
        assert await watch.payloads() == ["secret"]


async def test_a_file_that_vanishes_stops_nothing(
    folder: Path, journal: Journal
) -> None:
    write(folder / "a", "gone")
    write(folder / "b", "there")
    async with by_hand(folder, journal) as watch:
        listing = await watch.channel.look()
        (folder / "a").unlink()
        for found in list(watch.channel._wanted(listing)):
            await watch.channel._take(found, listing)
        assert await watch.payloads() == ["there"]
        assert watch.told("file.unread")[0]["reason"] == "it is gone"


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
async def test_a_name_that_is_no_text_is_told(folder: Path, journal: Journal) -> None:
    write(Path(os.fsdecode(os.fsencode(folder) + b"/\xff.csv")), "x")
    write(folder / "b", "there")
    async with by_hand(folder, journal) as watch:
        assert await watch.payloads(2) == ["there"]
        assert "\\udcff.csv" in watch.told("file.unread")[0]["path"]


async def test_a_message_that_has_to_wait_keeps_no_other_file_away(
    folder: Path, journal: Journal
) -> None:
    async with running(folder, journal) as watch:
        watch.keeper.failing = 3
        for name in "abc":
            write(folder / name, name)
        assert sorted(await watch.keeper.until(3)) == ["a", "b", "c"]


# What the system tells


@pytest.mark.skipif(not notify.is_available(), reason="watchfiles is not installed")
async def test_the_system_tells_before_it_is_time_to_look(
    folder: Path, journal: Journal
) -> None:
    async with running(folder, journal, interval=3600, watch=True) as watch:
        # The first look is over soon, and the thread watches a moment later.
        for number in range(100):
            write(folder / "a", str(number))
            await asyncio.sleep(0.02)
            if watch.keeper.came:
                break
        assert await watch.keeper.until(1)
    assert not watch.channel._notifier.is_alive


# Options


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"basedir": ""}, "basedir"),
        ({"basedir": 5}, "basedir"),
        ({"regex": "["}, "regex"),
        ({"interval": -1}, "interval"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"encoding": "utf-9"}, "encoding"),
    ],
)
def test_an_option_that_cannot_work_is_told(options: dict[str, Any], key: str) -> None:
    with pytest.raises(SettingsError, match=key):
        FileWatcherChannel("watch", **({"basedir": "in"} | options))


async def test_path_is_an_older_name_of_the_folder(folder: Path) -> None:
    channel = FileWatcherChannel("watch", path=folder)
    (finding,) = await channel.probe()
    assert (finding.ok, channel.origin) == (True, str(folder))


async def test_check_tells_of_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (finding,) = await FileWatcherChannel(basedir=tmp_path / "no").probe()
    assert not finding.ok
