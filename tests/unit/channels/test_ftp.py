"""Watched servers: each version of a file once, and no file is lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pichannels.adapters.remote_files import FileRefused, TooLarge
from pichannels.channels.ftp import FTPWatcherChannel
from pichannels.errors import (
    Dropped,
    NotConnected,
    Rejected,
    RetryLater,
    SettingsError,
)
from pichannels.events import Event
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from tests.servers.ftp import FTPServer
from tests.servers.sftp import SFTPServer
from tests.servers.transfers import PROTOCOLS, Served, serving


class Keeper(BaseNode):
    """Keeps what came, and fails as it is told to."""

    def __init__(self) -> None:
        super().__init__(name="keep")
        self.came: list[Message] = []
        self.changed = asyncio.Event()
        self.errors: list[Exception] = []

    def process(self, msg: Message) -> Message:
        if self.errors:
            raise self.errors.pop(0)
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
    """A channel that watches a server, and what it tells."""

    def __init__(self, served: Served, journal: Journal | None, **options: Any) -> None:
        options = {"settle": 0, "interval": 0.05} | served.options | options
        self.channel = FTPWatcherChannel("watch", **options)
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

    async def until_told(self, name: str, count: int = 1) -> dict[str, Any]:
        async with asyncio.timeout(10):
            while len(self.told(name)) < count:
                self.news.clear()
                await self.news.wait()
        return self.told(name)[-1]

    async def payloads(self, looks: int = 1) -> list[Any]:
        """What has come after some looks, when all is settled."""
        for _ in range(looks):
            await self.channel.tick()
            await self.channel.drain()
        return [msg.payload for msg in self.keeper.came]


@pytest.fixture(params=PROTOCOLS)
async def served(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Served]:
    async with serving(request.param, tmp_path) as served:
        yield served


@pytest.fixture
async def ftp(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving("ftp", tmp_path) as served:
        yield served


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = Journal(tmp_path / "journal.db", durability="normal")
    await journal.open()
    yield journal
    await journal.close()


@asynccontextmanager
async def by_hand(
    served: Served, journal: Journal | None, **options: Any
) -> AsyncIterator[Watch]:
    """A started channel that looks only when it is told to."""
    async with running(served, journal, interval=3600, **options) as watch:
        await watch.channel.stop_source()
        yield watch


@asynccontextmanager
async def running(
    served: Served, journal: Journal | None, **options: Any
) -> AsyncIterator[Watch]:
    watch = Watch(served, journal, **options)
    await watch.channel.start()
    try:
        yield watch
    finally:
        await watch.channel.stop()


# Over each protocol


async def test_files_come_once_with_their_paths(
    served: Served, journal: Journal
) -> None:
    served.write("b.csv", "two")
    served.write("a.csv", b"\xff1")
    served.write("a.txt", "not this")
    async with running(served, journal, basedir="/", regex=r".*\.csv") as watch:
        assert await watch.keeper.until(2) == [b"\xff1", b"two"]
        served.write("c.csv", "three")
        assert await watch.keeper.until(3) == [b"\xff1", b"two", b"three"]
    assert watch.keeper.came[0].meta["filepath"] == "/a.csv"
    assert watch.keeper.came[0].meta["filename"] == "a.csv"


async def test_a_restart_knows_what_was_taken_and_finds_what_changed(
    served: Served, journal: Journal
) -> None:
    served.write("a", "one")
    served.write("b", "old")
    async with running(served, journal) as watch:
        await watch.keeper.until(2)
    served.write("b", "newer")
    served.write("c", "meanwhile")
    async with running(served, journal) as watch:
        assert await watch.keeper.until(2) == [b"newer", b"meanwhile"]
        assert await watch.payloads() == [b"newer", b"meanwhile"]


async def test_a_server_that_is_away_is_told_once_and_tried_again(
    served: Served, journal: Journal
) -> None:
    served.write("a", "one")
    async with running(served, journal) as watch:
        await watch.keeper.until(1)
        await served.stop()
        facts = await watch.until_told("files.unreachable")
        assert "is not connected" in facts["reason"]
        assert not watch.channel.is_ready
        served.write("b", "two")
        await served.start()
        assert await watch.keeper.until(2) == [b"one", b"two"]
    assert len(watch.told("files.reachable")) == 1


async def test_a_refused_login_is_told_and_tried_again(
    served: Served, journal: Journal
) -> None:
    served.write("a", "one")
    served.refuse_login()
    async with running(served, journal) as watch:
        facts = await watch.until_told("files.unreachable")
        assert "the login is refused" in facts["reason"]
        served.refuse_login(False)
        assert await watch.keeper.until(1) == [b"one"]


async def test_check_tells_whether_the_server_lets_us_in(served: Served) -> None:
    (finding,) = await Watch(served, None).channel.probe()
    assert finding.ok
    served.refuse_login()
    (finding,) = await Watch(served, None).channel.probe()
    assert (finding.ok, "login" in finding.text) == (False, True)


async def test_folders_below_are_read_on_request(
    served: Served, journal: Journal
) -> None:
    below = served.folder / "x" / "y"
    await asyncio.to_thread(below.mkdir, parents=True)
    os.replace(_file(served), below / "a")
    async with by_hand(served, journal) as watch:
        assert await watch.payloads() == []
    async with by_hand(served, journal, recursive=True) as watch:
        assert await watch.payloads() == [b"deep"]
    assert watch.keeper.came[0].meta["filepath"] == "x/y/a"


def _file(served: Served) -> Path:
    served.write("deep", "deep")
    return served.folder / "deep"


# Deleting


async def test_a_file_is_deleted_when_its_message_is_processed(
    served: Served, journal: Journal
) -> None:
    served.write("a", "one")
    served.write("b", "dropped")
    async with running(served, journal, delete_after=True) as watch:
        watch.keeper.errors = [RetryLater("not now", 0.1)]
        await watch.keeper.until(1)
        while served.names():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
    assert watch.channel.deleted == 2
    assert await journal.saved("files:watch") == {"\0begun": True}


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (Dropped(), []),
        (Rejected("no"), ["a"]),
        (ValueError("bug"), ["a"]),
        (None, []),
    ],
)
@pytest.mark.parametrize("has_journal", [True, False])
async def test_what_is_rejected_or_fails_stays(
    ftp: Served,
    journal: Journal,
    error: Exception | None,
    left: list[str],
    has_journal: bool,
) -> None:
    ftp.write("a", "one")
    kept = journal if has_journal else None
    async with by_hand(ftp, kept, delete_after=True) as watch:
        watch.keeper.errors = [error] if error else []
        await watch.payloads(3)
        assert ftp.names() == left


async def test_nothing_is_deleted_before_it_is_settled(
    ftp: Served, journal: Journal
) -> None:
    ftp.write("a", "one")
    async with by_hand(ftp, journal, delete_after=True, drain_timeout=0) as watch:
        watch.keeper.errors = [RetryLater("not now", 3600)]
        await watch.channel.tick()
        await watch.channel.tick()
        assert ftp.names() == ["a"]
    async with by_hand(ftp, journal, delete_after=True) as watch:
        assert await watch.keeper.until(1) == [b"one"]
        assert await watch.payloads(2) == [b"one"]
        assert ftp.names() == []


async def test_a_newer_version_is_not_deleted_for_an_older_one(
    ftp: Served, journal: Journal
) -> None:
    ftp.write("a", "one")
    async with by_hand(ftp, journal, delete_after=True) as watch:
        listing = await watch.channel.look()
        (found,) = watch.channel._wanted(listing)
        await watch.channel._take(found, listing)
        await watch.keeper.until(1)
        await watch.channel.drain()
        ftp.write("a", "newer")
        await watch.channel._delete_settled()
        assert ftp.names() == ["a"]
        assert await watch.payloads(2) == [b"one", b"newer"]


async def test_an_acknowledgement_is_deleted_with_its_file(
    ftp: Served, journal: Journal
) -> None:
    ftp.write("a.csv", "values")
    ftp.write("a.ok", "")
    options: dict[str, Any] = {"regex": r".*\.ok", "real_extensions": [".csv"]}
    async with by_hand(ftp, journal, delete_after=True, **options) as watch:
        assert await watch.payloads(2) == [b"values"]
    assert ftp.names() == []


# What goes wrong with a file costs that file


async def test_a_file_that_is_refused_is_told_once(tmp_path: Path) -> None:
    async with serving("sftp", tmp_path) as served, running(served, None) as watch:
        assert isinstance(served.server, SFTPServer)
        served.server.refuse.add("a")
        served.write("a", "refused")
        served.write("b", "fine")
        assert await watch.keeper.until(1) == [b"fine"]
        await watch.channel.tick()
        assert [f["path"] for f in watch.told("file.unread")] == ["a"]
        served.server.refuse.clear()
        assert await watch.keeper.until(2) == [b"fine", b"refused"]


async def test_a_transfer_that_breaks_comes_again_whole(
    ftp: Served, journal: Journal
) -> None:
    ftp.write("a", "x" * 300_000)
    assert isinstance(ftp.server, FTPServer)
    async with by_hand(ftp, journal) as watch:
        ftp.server.drop_at = ""
        await watch.channel.look()
        ftp.write("b", "y" * 300_000)
        ftp.server.cut_at = 1
        # The listing is cut, the link made anew; then a file.
        payloads = await watch.payloads()
        assert [len(p) for p in payloads] == [300_000, 300_000]


async def test_a_file_that_is_too_large_is_not_even_asked_for(
    ftp: Served, journal: Journal
) -> None:
    ftp.write("a", "x" * 11)
    assert isinstance(ftp.server, FTPServer)
    async with by_hand(ftp, journal, max_bytes=10) as watch:
        assert await watch.payloads(2) == []
        assert "max_bytes=10" in watch.told("file.unread")[0]["reason"]
        assert ftp.server.commands["RETR"] == 0
        with pytest.raises(TooLarge):
            await watch.channel.download_file("a")


async def test_text_is_decoded_on_request(ftp: Served, journal: Journal) -> None:
    ftp.write("a", "25 °C".encode("latin-1"))
    options: dict[str, Any] = {"binary_file": False, "encoding": "latin-1"}
    async with by_hand(ftp, journal, **options) as watch:
        assert await watch.payloads() == ["25 °C"]


async def test_a_file_that_grows_is_read_when_it_stays_the_same(
    ftp: Served, journal: Journal
) -> None:
    path = ftp.folder / "a"
    async with by_hand(ftp, journal, settle=0.1) as watch:
        for part in range(4):
            await asyncio.to_thread(_append, path, str(part))
            await asyncio.sleep(0.04)
            assert await watch.payloads() == []
    async with running(ftp, journal, settle=0.1) as watch:
        assert await watch.keeper.until(1) == [b"0123"]


def _append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


# By hand


async def test_a_file_is_processed_now_and_its_result_given(
    ftp: Served, journal: Journal
) -> None:
    ftp.write("a", "one")
    async with by_hand(ftp, journal, basedir="/", delete_after=True) as watch:
        result = await watch.channel.get_file_and_process("a")
        assert (result.payload, result.meta["filepath"]) == (b"one", "/a")
        assert ftp.names() == []
        with pytest.raises(FileRefused, match="/a"):
            await watch.channel.get_file_and_process("a")


async def test_the_order_of_new_files_is_that_of_the_function(
    ftp: Served, journal: Journal
) -> None:
    for name in "acb":
        ftp.write(name, name)

    def backwards(names: Any) -> list[str]:
        return sorted(names, reverse=True)

    async with by_hand(ftp, journal, sort_function=backwards) as watch:
        assert await watch.payloads() == [b"c", b"b", b"a"]


async def test_looking_by_hand_raises_what_went_wrong(
    ftp: Served, journal: Journal
) -> None:
    async with by_hand(ftp, journal) as watch:
        await ftp.stop()
        with pytest.raises(NotConnected):
            await watch.channel.tick()
        await ftp.start()


@pytest.mark.parametrize("key", ["host", "protocol", "interval", "regex"])
def test_an_option_that_cannot_work_is_told(key: str) -> None:
    wrong: dict[str, Any] = {
        "host": "",
        "protocol": "http",
        "interval": "x",
        "regex": "[",
    }
    with pytest.raises(SettingsError, match=key):
        FTPWatcherChannel("watch", **{"host": "h", key: wrong[key]})


def test_the_graph_shows_the_server() -> None:
    make: Callable[..., FTPWatcherChannel] = FTPWatcherChannel
    channel = make("watch", host="h", protocol="sftp", basedir="in")
    assert channel.origin == "sftp://h:22/in"
