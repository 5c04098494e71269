"""What the README promises works as it is printed."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pichannels import project
from pichannels.engine import Engine

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def wait_for(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)


def first_channel(port: int) -> str:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    text: str = block.replace("SIMULATOR = True", f'SIMULATOR = {{"port": {port}}}')
    return text.replace("127.0.0.1:8500", f"127.0.0.1:{port}")


async def test_the_first_channel_publishes_boilers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "settings.py"
    path.write_text(first_channel(port), encoding="utf-8")
    loaded = await asyncio.to_thread(project.load, path)
    published = loaded.channel("boilers").get_node("File")
    assert published is not None
    async with Engine(loaded, control=False):
        published.record()
        await asyncio.to_thread(wait_for, lambda: published.last_output() is not None)
    lines = (tmp_path / "boilers.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) > 1
    assert all(".BOILER." in line for line in lines)


def test_every_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_first_channel_has_about_twenty_lines() -> None:
    lines = [line for line in first_channel(0).splitlines() if line.strip()]
    assert len(lines) <= 22
