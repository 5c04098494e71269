"""The examples of a file-to-HTTP and of an FTP project do what they say."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pichannels.engine import Engine
from pichannels.project import load
from tests.servers.ftp import PASSWORD
from tests.servers.transfers import serving

EXAMPLES = Path(__file__).parents[1] / "examples"


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Engine]:
    project = await asyncio.to_thread(load, folder / "settings.py")
    async with Engine(project, control=False) as engine:
        yield engine


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


async def until_there(folder: Path, name: str) -> None:
    async with asyncio.timeout(20):
        while name not in names(folder):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)


async def copy_of(name: str, to: Path) -> Path:
    """A copy of an example, so that it writes nothing into the repository."""
    ignored = shutil.ignore_patterns(".pichannels", "__pycache__")
    await asyncio.to_thread(shutil.copytree, EXAMPLES / name, to / name, ignore=ignored)
    return to / name


async def test_readings_in_files_go_to_a_web_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    posted: asyncio.Queue[Any] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        posted.put_nowait(await request.json())
        return web.Response(status=204)

    application = web.Application()
    application.router.add_post("/readings", take)
    folder = await copy_of("file-to-http", tmp_path)
    (folder / "incoming").mkdir()
    async with TestServer(application) as server:
        monkeypatch.setenv("SETTLE", "0.05")
        monkeypatch.setenv("TARGET", str(server.make_url("/readings")))
        async with running(folder) as engine:
            right, wrong = folder / "readings.csv", folder / "wrong.csv"
            await asyncio.to_thread(wrong.write_text, "tag,time,value\nA,now,warm\n")
            for file in (right, wrong):
                await asyncio.to_thread(shutil.copy, file, folder / "incoming")
            rows = await asyncio.wait_for(posted.get(), 20)
            await until_there(folder / "wrong", "wrong.csv")
            await engine.project.channel("readings").drain()
    assert [row["value"] for row in rows] == [71.25, 4.5]
    assert names(folder / "done") == ["readings.csv"]
    assert names(folder / "incoming") == []


async def test_results_are_fetched_and_receipts_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving("ftp", tmp_path) as served:
        for place in ("results", "receipts"):
            (served.folder / place).mkdir()
        result = served.folder / "results" / "a.csv"
        await asyncio.to_thread(result.write_text, "code,value\nNA,140\nK,4.1\n")
        settings = {
            "LAB_PROTOCOL": "ftp",
            "LAB_HOST": "127.0.0.1",
            "LAB_PORT": served.options["port"],
            "LAB_PASSWORD": PASSWORD,
            "LAB_INTERVAL": "0.1",
            "LAB_SETTLE": "0.05",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, str(value))
        folder = await copy_of("ftp", tmp_path)
        async with running(folder):
            await until_there(served.folder / "receipts", "a.csv.txt")
        receipt = served.folder / "receipts" / "a.csv.txt"
        assert await asyncio.to_thread(receipt.read_text) == "a.csv: 2 results\n"
        assert names(served.folder / "results") == []
    output = folder / ".pichannels" / "output" / "results.jsonl"
    (line,) = (await asyncio.to_thread(output.read_text)).splitlines()
    assert [row["value"] for row in json.loads(line)["payload"]] == ["140", "4.1"]
