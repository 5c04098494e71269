"""Watched folders and servers in projects: each file once, whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
from asyncio.subprocess import DEVNULL
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pichannels.channels.files import FileWatcherChannel
from pichannels.channels.ftp import FTPWatcherChannel
from pichannels.config import SettingsProblems
from pichannels.engine import Engine
from pichannels.project import Project, load
from tests.servers.transfers import serving

SETTINGS = """\
import os

from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import python
from pichannels.channels.files import FileWatcherChannel

MESSAGE_STORE = SQLiteMessageStoreFactory()
files = FileWatcherChannel(
    "files", basedir="in", recursive=True, settle=0.05, interval=0.02
)
files.add(python.Function(lambda text: text))


def seen(text):
    with open(os.environ["SEEN"], "a") as file:
        file.write(f"{text}\\n")
    return text


if "SEEN" in os.environ:
    files.add(python.Function(seen))
CHANNELS = [files]
"""

YAML = """\
channels:
  - name: files
    source:
      files:
        basedir: in
        regex: '.*[.]csv$'
        real_extensions: [.csv]
        interval: 5
    store: sqlite
  - name: server
    source:
      ftp:
        host: ftp.example.org
        protocol: sftp
        credentials: [plant, "${env:FTP_PASSWORD}"]
        known_hosts: known_hosts
        basedir: out
        delete_after: true
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The settings of a project whose folder is watched."""
    (tmp_path / "in").mkdir()
    settings = tmp_path / "settings.py"
    settings.write_text(SETTINGS.replace('"in"', repr(str(tmp_path / "in"))))
    return settings


@asynccontextmanager
async def running(settings: Path) -> AsyncIterator[Engine]:
    project = await asyncio.to_thread(load, settings)
    async with Engine(project, control=False) as engine:
        yield engine


async def stored(engine: Engine) -> list[dict[str, Any]]:
    store = engine.project.channel("files").message_store
    assert store is not None
    return [dict(entry) for entry in await store.search(count=100_000)]


async def payloads(engine: Engine, count: int) -> Counter[str]:
    """How often each payload was accepted, when at least so many are settled."""
    async with asyncio.timeout(30):
        while len(found := await stored(engine)) < count:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)
    await engine.project.channel("files").drain()
    return Counter(entry["message"].payload for entry in found)


class Writer:
    """Somebody who goes on writing files, in place or under another name first."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.expected: Counter[str] = Counter()
        self._folder = folder
        self._random = random.Random(seed)
        self._is_over = False
        self._written = asyncio.Event()

    async def __aenter__(self) -> Writer:
        self._task = asyncio.create_task(self._run(), name="writer of files")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_over = True
        await self._task

    async def more(self, count: int) -> None:
        """Until so many more are there."""
        wanted = len(self.expected) + count
        while len(self.expected) < wanted:
            self._written.clear()
            await self._written.wait()

    async def _run(self) -> None:
        while not self._is_over:
            await asyncio.to_thread(self._write)
            self._written.set()
            await asyncio.sleep(0.004)

    def _write(self) -> None:
        text = f"text {len(self.expected)}"
        path = self._folder / f"file{len(self.expected)}"
        if self._random.random() < 0.5:
            path.write_text(text)
        else:
            part = path.with_name(f"{path.name}.part")
            part.write_text(text)
            os.replace(part, path)
        self.expected[text] += 1


async def test_each_file_comes_once_although_the_process_is_killed(
    project: Path,
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201 - shown when the test fails
    start = [sys.executable, "-m", "pichannels", "start", "--plain"]
    seen = project.parent / "seen"
    async with Writer(project.parent / "in", seed) as writer:
        process = await asyncio.create_subprocess_exec(
            *start,
            cwd=project.parent,
            env={**os.environ, "SEEN": str(seen)},
            stdout=DEVNULL,
            stderr=DEVNULL,
        )
        try:
            await until_so_many_are_seen(seen, 30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    async with running(project) as engine:
        assert await payloads(engine, len(writer.expected)) == writer.expected


async def until_so_many_are_seen(seen: Path, count: int) -> None:
    """Until a process has gone through so many files."""
    async with asyncio.timeout(30):
        while await asyncio.to_thread(lines, seen) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


async def test_each_file_comes_once_over_stops_pauses_and_reloads(
    project: Path,
) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201 - shown when the test fails
    async with running(project) as engine:
        async with Writer(project.parent / "in", seed) as writer:
            await writer.more(20)
            await engine.stop_channel("files")
            await writer.more(20)
            await engine.start_channel("files")
            await writer.more(20)
            await engine.pause_channel("files")
            await writer.more(20)
            await engine.resume_channel("files")
            text = await asyncio.to_thread(project.read_text)
            text = text.replace("lambda text: text", "lambda text: text.upper()")
            await asyncio.to_thread(project.write_text, text)
            report = await engine.reload()
            assert report.failures == []
            await writer.more(20)
            await engine.stop_channel("files")
            await engine.start_channel("files")
        assert await payloads(engine, len(writer.expected)) == writer.expected


async def test_status_tells_what_is_watched(project: Path) -> None:
    await asyncio.to_thread((project.parent / "in" / "a").write_text, "one")
    async with running(project) as engine:
        await payloads(engine, 1)
        report = engine.status().channels[0]
    assert report.is_ready
    assert report.source["files"] == 1
    assert report.source["folder"] == str(project.parent / "in")


# Declared


async def declared(folder: Path, old: str = "", new: str = "") -> Project:
    text = YAML.replace(old, new) if old else YAML
    await asyncio.to_thread((folder / "channels.yml").write_text, text)
    settings = folder / "settings.py"
    await asyncio.to_thread(settings.write_text, 'CHANNELS = ["channels.yml"]\n')
    return await asyncio.to_thread(load, settings)


async def test_both_can_be_written_in_yaml(tmp_path: Path) -> None:
    files, server = (await declared(tmp_path)).channels
    assert isinstance(files, FileWatcherChannel)
    assert isinstance(server, FTPWatcherChannel)
    assert files.origin == str(tmp_path / "in")
    assert server.origin == "sftp://ftp.example.org:22/out"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("basedir: in", "basdir: in"), "did you mean 'basedir'?"),
        (("protocol: sftp", "protocol: sfpt"), "did you mean 'sftp'?"),
        (("'.*[.]csv$'", "'['"), "this is no regular expression"),
        (("delete_after: true", "delete_after: 5"), "true or false"),
    ],
)
async def test_what_is_wrong_in_yaml_is_told_with_its_line(
    tmp_path: Path, change: tuple[str, str], told: str
) -> None:
    with pytest.raises(SettingsProblems) as caught:
        await declared(tmp_path, *change)
    assert told in str(caught.value)
    assert "channels.yml:" in str(caught.value)


async def test_a_password_by_reference_opens_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FTP_PASSWORD", "s3cret")
    async with serving("ftp", tmp_path) as served:
        project = await declared(
            tmp_path,
            "host: ftp.example.org\n        protocol: sftp",
            f"host: 127.0.0.1\n        port: {served.server.port}",
        )
        served.write("a", "one")
        channel = project.channel("server")
        assert isinstance(channel, FTPWatcherChannel)
        channel.basedir = ""
        await channel.start()
        assert await channel.download_file("a") == b"one"
        await channel.stop()
