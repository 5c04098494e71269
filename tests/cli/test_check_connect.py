"""`pichannels check --connect`: whether sources and sinks are there."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from aiohttp.test_utils import unused_port

from pichannels.simulator import Plant
from pichannels.testing.simulators import RunningSimulator
from tests.cli.folders import Folder

SETTINGS = """\
from nodes import publish
from pichannels.channels.pi import PIWebChannel

live = PIWebChannel("live", url={url!r}, tags={tags!r}, auth=("op", {password!r}))
live.add(publish.File({path!r}, name="keep"))
CHANNELS = [live]
"""


@pytest.fixture(scope="module")
def server() -> Iterator[RunningSimulator]:
    with RunningSimulator(Plant(tags=50), auth=("op", "secret")) as found:
        yield found


def write(
    folder: Folder,
    server: RunningSimulator,
    *tags: str,
    password: str = "secret",
    path: str = "out.jsonl",
) -> None:
    text = SETTINGS.format(
        url=server.url, tags=list(tags), password=password, path=path
    )
    folder.write("settings.py", text)


def test_all_that_is_there_is_told(empty: Folder, server: RunningSimulator) -> None:
    write(empty, server, "UNIT1.BOILER.*")
    result = empty.run("check", "--connect")
    assert result.code == 0, result.err
    assert "live (PIWebChannel)\n  ok  reachable" in result.out
    assert "live.keep (File)\n  ok  file" in result.out
    assert not (empty.path / "out.jsonl").exists()


def test_inputs_of_merged_channels_are_looked_at(empty: Folder) -> None:
    text = """
from nodes import publish
from pichannels.channels.files import FileWatcherChannel
from pichannels.channels.merge import MergeChannel

watch = FileWatcherChannel("watch", basedir="nowhere")
watch.add(publish.File("out.jsonl", name="keep"))
CHANNELS = [MergeChannel("merged", chans=[watch])]
"""
    empty.write("settings.py", text)
    result = empty.run("check", "--connect")
    assert result.code == 1
    assert "watch (FileWatcherChannel)\n  !!  folder" in result.out
    assert "watch.keep (File)\n  ok  file" in result.out


def test_missing_tags_are_named(empty: Folder, server: RunningSimulator) -> None:
    write(empty, server, "UNIT1.BOILER.TEMP", "NOSUCH")
    result = empty.run("check", "--connect")
    assert result.code == 1
    assert "!!  tags          1 found, 1 not: NOSUCH (" in result.out


def test_a_refused_login_is_told_to_programs(
    empty: Folder, server: RunningSimulator
) -> None:
    write(empty, server, "*", password="wrong", path="/dev/null/out.jsonl")
    result = empty.run("check", "--connect", "--json")
    found = {each["name"]: each["findings"] for each in result.json["connections"]}
    assert (result.code, result.json["ok"]) == (1, False)
    assert [each["ok"] for each in found["live"] + found["live.keep"]] == [False] * 2


def test_without_it_nothing_is_asked(empty: Folder, server: RunningSimulator) -> None:
    write(empty, server, "*", password="wrong")
    assert empty.run("check").code == 0


def test_the_embedded_simulator_runs_meanwhile(empty: Folder, unused: int) -> None:
    text = SETTINGS.format(
        url=f"http://127.0.0.1:{unused}/piwebapi", tags=["*"], password="", path="x"
    )
    empty.write("settings.py", f"{text}\nSIMULATOR = {{'port': {unused}}}\n")
    result = empty.run("check", "--connect")
    assert (result.code, "all 1,000 found" in result.out) == (0, True)


@pytest.fixture
def unused() -> int:
    """A port on which nothing listens."""
    return unused_port()


LISTENING = """
from msgstore.file import FileMessageStoreFactory
from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.channels.http import HttpChannel
from pichannels.endpoints.http import HTTPEndpoint

files = FileMessageStoreFactory({path!r})
own = SQLiteMessageStoreFactory("stored.sqlite")
CHANNELS = [
    HttpChannel(
        "in",
        endpoint=HTTPEndpoint(port={port}),
        method="POST",
        url="/in",
        message_store_factory=files,
    ),
    BaseChannel("also", message_store_factory=files),
    BaseChannel("beside", message_store_factory=own),
]
"""


def test_stores_and_ports_are_looked_at(empty: Folder, unused: int) -> None:
    empty.write("settings.py", LISTENING.format(path="stored", port=unused))
    result = empty.run("check", "--connect")
    assert result.code == 0, result.err
    assert "store of in (FileMessageStore)\n  ok  folder" in result.out
    assert "store of beside (SQLiteMessageStore)\n  ok  folder" in result.out
    assert "store of also" not in result.out
    assert f"127.0.0.1:{unused} (HTTPEndpoint)\n  ok  port          free" in result.out
    assert not (empty.path / "stored").exists()


def test_a_taken_port_and_a_folder_that_is_none_are_told(
    empty: Folder, unused: int
) -> None:
    empty.write("stored", "a file")
    empty.write("settings.py", LISTENING.format(path="stored", port=unused))
    with socket.create_server(("127.0.0.1", unused)):
        result = empty.run("check", "--connect")
    assert result.code == 1
    assert f"127.0.0.1:{unused} (HTTPEndpoint)\n  !!  port" in result.out
    assert "store of in (FileMessageStore)\n  !!  folder" in result.out


HANDING = """
from nodes import publish
from pichannels.channels import BaseChannel
from pichannels.channels.remote import RemoteChannel
from pichannels.endpoints.remote import RemoteEndpoint

url = "http://127.0.0.1:{port}"
CHANNELS = [
    RemoteChannel("pulled", url=url, stream="values"),
    BaseChannel("pushed").add(publish.Remote(url, "inbox", name="push")),
    BaseChannel("offered").add(publish.Outbox(RemoteEndpoint(port={other}), "values")),
]
"""


def test_other_instances_are_looked_at(empty: Folder, unused: int) -> None:
    empty.write("settings.py", HANDING.format(port=unused, other=unused_port()))
    result = empty.run("check", "--connect")
    assert result.code == 1
    assert "pulled (RemoteChannel)\n  !!  instance" in result.out
    assert "pushed.push (Remote)\n  !!  instance" in result.out
    assert "(RemoteEndpoint)\n  ok  port          free" in result.out
