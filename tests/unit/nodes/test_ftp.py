"""Nodes for file servers, over each protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nodes import ftp
from pichannels.adapters.remote_files import FileRefused, TooLarge
from pichannels.channels.base import BaseChannel
from pichannels.delivery import Outcome
from pichannels.errors import NotConnected, SettingsError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.secrets import Secret
from tests.servers.transfers import PROTOCOLS, Served, serving


@pytest.fixture(params=PROTOCOLS)
async def served(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Served]:
    async with serving(request.param, tmp_path) as served:
        yield served


async def outcome(node: BaseNode, msg: Message) -> Outcome:
    channel = BaseChannel("plant")
    channel.add(node)
    await channel.start()
    try:
        return await channel.run(msg)
    finally:
        await channel.stop()


async def test_a_file_is_written_read_and_deleted(served: Served) -> None:
    options = served.options
    written = ftp.Write(filepath="/%(cuid)s.txt", **options)
    assert (await outcome(written, Message(payload="ü"))).error is None
    assert served.names() == ["plant.txt"]
    read = ftp.Read(filepath=lambda msg: "/plant.txt", **options)
    done = await outcome(read, Message())
    assert done.message.payload == "ü".encode()
    assert done.message.meta == {"filepath": "/plant.txt", "filename": "plant.txt"}
    for _ in range(2):
        assert (await outcome(ftp.Delete(**options), done.message)).error is None
    assert served.names() == []


async def test_what_the_server_refuses_fails_the_message(served: Served) -> None:
    options = served.options
    done = await outcome(ftp.Read(filepath="no", **options), Message())
    assert isinstance(done.error, FileRefused)
    done = await outcome(ftp.Write(filepath="no/a", **options), Message(payload="x"))
    assert isinstance(done.error, FileRefused)
    served.write("a", "four")
    done = await outcome(ftp.Read(filepath="a", max_bytes=3, **options), Message())
    assert isinstance(done.error, TooLarge)


async def test_messages_wait_while_the_server_is_away(
    served: Served, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal.db")
    await journal.open()
    channel = BaseChannel("plant")
    channel.add(ftp.Write(filepath="%(cuid)s", **served.options))
    channel.attach(journal=journal)
    await channel.start()
    await served.stop()
    await channel.accept(Message(payload="kept"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await channel.drain()
    await served.start()
    await channel.drain()
    assert (served.names(), channel.processed) == (["plant"], 1)
    await channel.stop()
    await journal.close()


async def test_check_tells_whether_the_server_lets_us_in(served: Served) -> None:
    (finding,) = await ftp.Write(**served.options).probe()
    assert finding.ok
    served.refuse_login()
    (finding,) = await ftp.Write(**served.options).probe()
    assert (finding.ok, "login is refused" in finding.text) == (False, True)


async def test_a_secret_that_is_missing_stops_the_start() -> None:
    node = ftp.Read("host", credentials=("plant", Secret.env("NO_SUCH_PASSWORD")))
    with pytest.raises(SettingsError, match="NO_SUCH_PASSWORD"):
        await outcome(node, Message())


async def test_without_a_server_the_message_is_to_be_tried_again() -> None:
    node = ftp.Delete("127.0.0.1", 1, filepath="a", timeout=1)
    done = await outcome(node, Message())
    assert isinstance(done.error, NotConnected)
