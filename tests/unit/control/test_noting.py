"""Commands that come by the control server are in the audit log of the instance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from pichannels.channels import BaseChannel
from pichannels.config import Config, ControlConfig
from pichannels.control.access import os_user
from pichannels.control.audit import Audit, Entry
from pichannels.control.client import CommandFailed, ControlClient, connect
from pichannels.control.noting import PAGES
from pichannels.engine import Engine
from pichannels.message import Message
from pichannels.project import Project

TOKEN = "0123456789abcdef"


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    """A running instance with one channel."""
    config = Config(project_name="plant", control=ControlConfig(token=TOKEN))
    project = Project([BaseChannel("boiler")], config)
    async with Engine(project, data_dir=tmp_path) as engine:
        yield engine


@pytest.fixture
async def client(engine: Engine) -> AsyncIterator[ControlClient]:
    """What the commands of the terminal use."""
    async with await connect(engine.data_dir) as client:
        yield client


async def noted(engine: Engine) -> list[Entry]:
    """What is in the log behind the start, the oldest first."""

    def read() -> list[Entry]:
        audit = Audit(engine.data_dir / "ui" / "audit.sqlite")
        found = audit.find().entries
        audit.close()
        return found[::-1]

    start, *rest = await asyncio.to_thread(read)
    assert (start.action, start.instance) == ("start", "plant")
    return rest


async def test_a_command_is_noted_before_and_after(
    engine: Engine, client: ControlClient
) -> None:
    await client.command("pause-channel", channel="boiler")
    with pytest.raises(CommandFailed):
        await client.command("stop-channel", channel="nobody")
    asked, done, _, failed = await noted(engine)
    told = [(each.action, each.result) for each in (asked, done, failed)]
    assert told == [
        ("pause-channel", "asked"),
        ("pause-channel", "done"),
        ("stop-channel", "failed"),
    ]
    assert (asked.user, asked.way) == (os_user() or "terminal", "terminal")
    assert asked.arguments == '{"channel":"boiler"}'
    assert "nobody" in failed.detail


async def test_looking_and_counting_and_pages_are_not_noted(
    engine: Engine, client: ControlClient
) -> None:
    await client.command("stores")
    await client.command("dead-redrive", node="x", dry_run=True)
    async with await connect(engine.data_dir, PAGES) as pages:
        await pages.command("pause-channel", channel="boiler")
    assert await noted(engine) == []


async def test_data_is_not_in_the_log_and_a_transfer_is_one_entry(
    engine: Engine, client: ControlClient
) -> None:
    for number in range(3):
        text = Message(payload=f"hush {number}").to_json()
        await client.command("give", channel="boiler", messages=[text])
    found = await noted(engine)
    assert [each.result for each in found] == ["asked", "done"]
    assert "hush" not in str(found)


async def test_who_only_has_the_token_is_noted_by_that(engine: Engine) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(engine.control_url, headers=headers) as http:
        await http.post("/commands/pause-channel", data=b'{"channel": "boiler"}')
    (asked, _) = await noted(engine)
    assert (asked.user, asked.way, asked.address) == ("token", "token", "127.0.0.1")
