"""Parts of pypeman that few projects ask for, and that are here all the same."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ftplib import all_errors
from pathlib import Path
from typing import Any

import pytest

from pichannels.errors import UsageError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.pypeman import channels, endpoints, nodes
from pichannels.pypeman.contrib.ftp import FTPConnection, FTPHelper
from pichannels.pypeman.contrib.hl7 import MLLPProtocol
from pichannels.pypeman.exceptions import PausedChanException
from pichannels.pypeman.helpers.aio_compat import awaitify
from pichannels.pypeman.helpers.itertools import flatten
from pichannels.pypeman.helpers.logging import DebugLogHandler
from pichannels.pypeman.helpers.sleeper import Sleeper
from pichannels.pypeman.helpers.tempfile import mktempfname
from pichannels.pypeman.registry import fresh
from pichannels.retry import RetryPolicy
from tests.servers.ftp import PASSWORD, USER, FTPServer


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    with fresh():
        yield


# Channels and endpoints


def test_branches_have_pypeman_s_classes() -> None:
    channel = channels.BaseChannel("a")
    fork, when = channel.fork("f"), channel.when(lambda msg: msg.payload > 1, "w")
    (first,) = channel.case(True, names=["c"])
    found = [type(each) for each in (fork, when, first, channel.steps[-1])]
    assert found == [
        channels.SubChannel,
        channels.ConditionSubChannel,
        channels.BaseChannel,
        channels.Case,
    ]


def test_a_when_tells_who_takes_its_way() -> None:
    when = channels.BaseChannel("a").when(lambda msg: msg.payload > 1, "w")
    assert isinstance(when, channels.ConditionSubChannel)
    assert [when.test_condition(Message(payload=n)) for n in (1, 2)] == [False, True]


async def test_messages_go_through_such_branches() -> None:
    channel = channels.BaseChannel("a")
    channel.when(lambda msg: msg.payload == "x", "w").add(nodes.FuncNode(str.upper))
    await channel.start()
    results = [await channel.handle(Message(payload=text)) for text in "xy"]
    await channel.stop()
    assert [msg.payload for msg in results] == ["X", "y"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "127.0.0.1:8080"),
        (":81", "127.0.0.1:81"),
        ("plant", "plant:8080"),
        ("unix:/run/x", "unix:/run/x"),
    ],
)
def test_the_address_of_a_socket_is_completed(given: str, expected: str) -> None:
    assert endpoints.SocketEndpoint.normalize_socket(given) == expected


def test_a_socket_is_bound_to_its_address() -> None:
    bound = endpoints.SocketEndpoint.mk_socket("127.0.0.1:0")
    with bound:
        assert bound.getsockname()[0] == "127.0.0.1"
        assert endpoints.SocketEndpoint.mk_socket(bound) is bound


# Retry


@asynccontextmanager
async def flaky_channel(
    tmp_path: Path, *failures: bool
) -> AsyncIterator[tuple[channels.BaseChannel, list[Any]]]:
    """A channel that fails as told, and tries again in an hour."""
    tries, seen = iter(failures), list[Any]()

    def flaky(payload: Any) -> Any:
        if next(tries, False):
            raise OSError("away")
        seen.append(payload)
        return payload

    journal = Journal(tmp_path / "journal.db")
    await journal.open()
    retry = RetryPolicy(initial=3600, maximum=3600, attempts=0)
    channel = channels.BaseChannel("a", retry=retry)
    channel.add(nodes.FuncNode(flaky, auto_retry_exceptions=(OSError,)))
    channel.attach(journal=journal)
    await channel.start()
    yield channel, seen
    await channel.stop()
    await journal.close()


async def test_what_waits_is_tried_when_the_retry_store_is_told(tmp_path: Path) -> None:
    async with flaky_channel(tmp_path, True, True) as (channel, seen):
        store = channel.retry_store
        with pytest.raises(PausedChanException):
            await channel.handle(Message(payload="x"))
        assert (store.state, await store.total()) == (store.RETRY_MODE, 1)
        await store.retry()
        assert (seen, store.retry_attempts, await store.total()) == ([], 1, 1)
        await store.retry()
        assert (seen, store.state, await store.total()) == (["x"], store.STOPPED, 0)


async def test_a_message_is_stored_until_it_is_retried(tmp_path: Path) -> None:
    async with flaky_channel(tmp_path) as (channel, seen):
        store = channel.retry_store
        await store.store_until_retry(Message(payload="x"))
        assert (seen, store.state) == ([], store.RETRY_MODE)
        await store.retry()
        assert (seen, store.state) == (["x"], store.STOPPED)


async def test_without_a_journal_nothing_is_stored() -> None:
    channel = channels.BaseChannel("a")
    assert await channel.retry_store.total() == 0
    with pytest.raises(UsageError, match="has no journal"):
        await channel.retry_store.store_until_retry(Message())


async def test_a_channel_that_is_held_tries_nothing(tmp_path: Path) -> None:
    async with flaky_channel(tmp_path) as (channel, seen):
        await channel.pause()
        await channel.accept(Message(payload="x"))
        await channel.try_again()
        assert (seen, channel.retry_store.state) == ([], "STOPPED")
        await channel.resume()
        await channel.drain()


# FTP


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FTPServer]:
    running = FTPServer(tmp_path)
    yield running
    running.stop()


def test_the_helper_works_with_files_of_the_port_that_it_is_given(
    server: FTPServer,
) -> None:
    helper = FTPHelper("127.0.0.1", server.port, (USER, PASSWORD))
    assert helper.upload_file("a.txt", b"hot") == b"hot"
    helper.rename("a.txt", "b.txt")
    assert (helper.list_dir("/"), helper.download_file("b.txt")) == ({"b.txt"}, b"hot")
    helper.delete("b.txt")
    assert helper.list_dir("/") == set()


def test_a_wrong_password_is_told(server: FTPServer) -> None:
    wrong = FTPConnection("127.0.0.1", server.port, (USER, "wrong"))
    with pytest.raises(all_errors, match="530"), wrong:
        pass


# HL7


@pytest.fixture
async def mllp_port() -> AsyncIterator[int]:
    async def handle(content: bytes) -> bytes:
        if content == b"bad":
            raise ZeroDivisionError
        await asyncio.sleep(0.02 if content == b"slow" else 0)
        return content.upper()

    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: MLLPProtocol(handle), "127.0.0.1", 0)
    yield listening.sockets[0].getsockname()[1]
    listening.close()
    await listening.wait_closed()


async def test_the_protocol_answers_in_order(mllp_port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", mllp_port)
    writer.write(b"\x0bslow\x1c\r\x0bqui")
    writer.write(b"ck\x1c\r")
    assert await reader.readexactly(15) == b"\x0bSLOW\x1c\r\x0bQUICK\x1c\r"
    writer.close()
    await writer.wait_closed()


async def test_a_handler_that_fails_ends_the_connection(mllp_port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", mllp_port)
    writer.write(b"\x0bbad\x1c\r")
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


# Nodes and helpers


def test_a_file_backend_writes_each_message_to_a_file(tmp_path: Path) -> None:
    backend = nodes.SaveFileBackend(str(tmp_path), "%(counter)s/%(muid)s.txt")
    first, second = Message(payload="a"), Message(payload="b")
    for msg in (first, second):
        backend.store(msg)
    nodes.SaveNullBackend().store(first)
    assert (tmp_path / "0" / f"{first.uuid}.txt").read_text() == "a"
    assert (tmp_path / "1" / f"{second.uuid}.txt").read_text() == "b"


async def test_all_sleepers_are_woken_at_once() -> None:
    sleeper = Sleeper()
    sleeping = [asyncio.create_task(sleeper.sleep(60, n)) for n in range(3)]
    await asyncio.sleep(0)
    assert await sleeper.cancel_all() == 3
    assert await asyncio.gather(*sleeping) == [0, 1, 2]


def test_what_was_logged_can_be_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    handler, logger = DebugLogHandler(), logging.getLogger("tests.pypeman.trace")
    logger.addHandler(handler)
    logger.warning("hot: %d", 7)
    handler.show_entries()
    logger.removeHandler(handler)
    assert handler.num_entries() == 1 and "'hot: 7'" in capsys.readouterr().out


def test_a_temporary_file_is_new_and_empty(tmp_path: Path) -> None:
    file = Path(mktempfname(".x", dir=str(tmp_path)))
    assert file.read_bytes() == b"" and file.suffix == ".x"


async def test_small_helpers_do_what_they_are_called() -> None:
    assert list(flatten([1, (2, [3, "ab"])])) == [1, 2, 3, "ab"]
    assert await awaitify(len)("abc") == 3
