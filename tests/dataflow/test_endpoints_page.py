"""The programs of docs/how-to/endpoints.md; the first one serves what the page says."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sys
from pathlib import Path

import pytest
from aiohttp import ClientConnectionError, ClientSession

from pichannels.dataflow import fresh
from tests.docs.pages import DOCS, blocks

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

FIRST, *OTHERS = (
    block.code
    for block in blocks(DOCS / "how-to" / "endpoints.md")
    if block.language == "python"
)


async def lines_of(url: str, count: int) -> list[str]:
    """What curl shows, without its waits for the server."""
    async with asyncio.timeout(30), ClientSession() as session:
        while True:
            try:
                answer = await session.get(url)
                break
            except ClientConnectionError:
                await asyncio.sleep(0.05)
        lines = [(await answer.content.readline()).decode() for _ in range(count)]
        answer.close()
    return lines


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
async def test_the_clock_of_the_page_ticks(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = tmp_path / "clock.py"
    await asyncio.to_thread(program.write_text, FIRST.replace("8000", str(port)))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(program)), cwd=tmp_path
    )
    try:
        shown = "".join(await lines_of(f"http://127.0.0.1:{port}/updates", 7))
    finally:
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), 20)
    event = r'id: \w{8}-\d+\ndata: {"key":"time","value":"\d\d:\d\d:\d\d"}\n\n'
    assert re.fullmatch(rf"retry: 2000\n\nid: \w{{8}}-\d+\n\n{event}", shown)
    assert code == 0


@pytest.mark.parametrize("code", OTHERS, ids=["websockets", "access"])
def test_the_other_programs_run(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    with fresh():
        exec(compile(code, "endpoints.md", "exec"), names)
    assert "app" in names
