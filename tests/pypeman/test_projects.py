"""A project of pypeman's runs when its imports have changed."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from msgstore.memory import MemoryMessageStoreFactory
from pichannels.errors import SettingsError, UsageError
from pichannels.journal import Journal
from pichannels.project import Project, load
from pichannels.pypeman import channels, endpoints, events, nodes
from pichannels.pypeman.conf import settings
from pichannels.pypeman.exceptions import PausedChanException
from pichannels.pypeman.helpers.logging import LogContextFilter
from pichannels.pypeman.message import Message
from pichannels.pypeman.persistence import get_backend
from pichannels.pypeman.registry import fresh
from pichannels.retry import RetryPolicy

PROJECT = """
from pichannels.pypeman import channels, nodes
from pichannels.pypeman.conf import settings
from pichannels.pypeman.helpers.logging import LogContextFilter

import more_channels

class Greet(nodes.BaseNode):
    def process(self, msg):
        msg.payload = settings.GREETING + msg.payload
        return msg

first = channels.BaseChannel(name="first")
first.add(Greet(name="greet"))
first.fork(name="beside").add(nodes.Log())
"""
MORE = """
from pichannels.pypeman import channels

channels.BaseChannel(name="second").add()
"""
SETTINGS = """
from pichannels.pypeman import load

OWN_SETTINGS = ["GREETING", "PERSISTENCE_*"]
PERSISTENCE_BACKEND = "pypeman.persistence.MemoryBackend"
GREETING = "hello "
CHANNELS = load("moved_project")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    for name, text in (
        ("moved_project.py", PROJECT),
        ("more_channels.py", MORE),
        ("settings.py", SETTINGS),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in ("moved_project", "more_channels"):
        sys.modules.pop(name, None)


async def handled(project: Project, payload: str) -> object:
    channel = project.channel("first")
    await channel.start()
    try:
        return (await channel.handle(Message(payload=payload))).payload
    finally:
        await channel.stop()


@pytest.fixture
def project(folder: Path) -> Project:
    return load(folder)


async def test_a_project_runs_with_the_settings_that_it_reads(project: Project) -> None:
    assert await handled(project, "you") == "hello you"


def test_all_channels_of_a_project_are_found_in_their_order(folder: Path) -> None:
    assert [c.name for c in load(folder).channels] == ["second", "first"]


def test_a_project_is_made_anew_each_time_it_is_loaded(folder: Path) -> None:
    load(folder)
    more = f"{MORE}channels.BaseChannel(name='third')\n"
    (folder / "more_channels.py").write_text(more, encoding="utf-8")
    names = [c.name for c in load(folder).channels]
    assert names == ["second", "third", "first"]


def test_a_module_without_channels_is_told(folder: Path) -> None:
    (folder / "moved_project.py").write_text("", encoding="utf-8")
    with pytest.raises(SettingsError, match="makes no channels"):
        load(folder)


def test_what_one_project_has_made_another_does_not_know(folder: Path) -> None:
    load(folder)
    assert channels.get_channel("first") is None


def test_settings_have_what_the_file_says(folder: Path) -> None:
    load(folder)
    assert settings.GREETING == "hello "
    assert not hasattr(settings, "FAREWELL")


def test_settings_that_are_nobody_s_are_told(folder: Path) -> None:
    text = SETTINGS.replace("GREETING =", "GRETING =")
    (folder / "settings.py").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match="GRETING: there is no such setting"):
        load(folder)


async def test_options_that_a_node_does_not_have_are_ignored_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING), fresh():
        node = nodes.Sleep(duration=0, colour="red")
    assert node.name == "Sleep"
    assert "Sleep has no option 'colour'" in caplog.text


def test_channels_refuse_options_that_they_do_not_have() -> None:
    with fresh(), pytest.raises(UsageError, match="wait_subchan"):
        channels.BaseChannel(name="x", wait_subchan=True)


async def test_a_channel_without_a_name_gets_one() -> None:
    with fresh():
        names = [channels.BaseChannel().name for _ in range(2)]
    assert names == ["BaseChannel_0", "BaseChannel_1"]


async def test_handlers_hear_of_messages_before_and_after() -> None:
    heard: list[tuple[str, object]] = []

    def begun(channel: channels.BaseChannel, msg: Message) -> None:
        msg.meta["seen"] = True

    async def ended(msg: Message, result: Message, **others: object) -> None:
        heard.append((result.payload, result.meta["seen"]))

    events.msg_processing_start.add_handler(begun)
    events.msg_processing_end.add_handler(ended)
    try:
        with fresh():
            channel = channels.BaseChannel(name="heard")
        await channel.start()
        await channel.handle(Message(payload="x"))
        await channel.stop()
    finally:
        events.msg_processing_start.remove_handler(begun)
        events.msg_processing_end.remove_handler(ended)
    assert heard == [("x", True)]


def test_messages_of_channels_are_messages_here() -> None:
    assert isinstance(Message(payload=1).copy(), Message)
    assert Message.STATES_PRIORITY[-1] == Message.ERROR


async def test_code_of_the_project_keeps_data_in_the_backend_of_the_settings(
    project: Project,
) -> None:
    with fresh():
        backend = await get_backend()
        await backend.store("space", "key", {"a": 1})
        assert await (await get_backend()).get("space", "key") == {"a": 1}
        with pytest.raises(KeyError):
            await backend.get("space", "other")


async def test_answers_have_the_content_type_that_the_channel_says() -> None:
    with fresh():
        channel = channels.HttpChannel(
            name="web",
            endpoint=endpoints.HTTPEndpoint(address="127.0.0.1", port=0),
            response_content_type="application/xml",
        )
    await channel.start()
    url = f"http://127.0.0.1:{channel.endpoint.bound_port}/"
    async with aiohttp.request("POST", url, data="<a/>") as answer:
        found = answer.content_type, await answer.text()
    await channel.stop()
    assert found == ("application/xml", "<a/>")


@pytest.mark.parametrize("is_merged", [False, True])
async def test_what_pauses_a_channel_runs_again_whatever_its_store(
    tmp_path: Path, is_merged: bool
) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.open()
    tries: list[object] = []

    def flaky(payload: object) -> object:
        tries.append(payload)
        if len(tries) == 1:
            raise OSError("not there")
        return payload

    with fresh():
        channel: channels.Known = channels.BaseChannel(
            name="flaky",
            message_store_factory=MemoryMessageStoreFactory(),
            retry=RetryPolicy(initial=0.01, jitter=0),
        )
        root: channels.Known = channel
        if is_merged:
            root = channels.MergeChannel(name="merged", chans=[channel])
        root.add(nodes.FuncNode(flaky, auto_retry_exceptions=(OSError,)))
    root.attach(journal=journal)
    await root.start()
    with pytest.raises(PausedChanException):
        await channel.handle(Message(payload="x"))
    async with asyncio.timeout(30):
        while journal.count_unsettled("flaky"):  # noqa: ASYNC110 - a counter
            await asyncio.sleep(0.005)
    assert channel.message_store is not None
    entries = await channel.message_store.search()
    await root.stop()
    await journal.close()
    assert (tries, [e["state"] for e in entries]) == (["x", "x"], ["processed"])


async def test_the_filter_of_logs_tells_which_message_is_processed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.handler.addFilter(LogContextFilter())
    caplog.handler.setFormatter(logging.Formatter("%(channel)s%(msg_id)s%(message)s"))
    with fresh(), caplog.at_level(logging.INFO):
        channel = channels.BaseChannel(name="logged")
        channel.add(nodes.MsgFuncNode(lambda msg: logging.info("here")))
        await channel.start()
        msg = Message(payload="x")
        await channel.handle(msg)
        await channel.stop()
        logging.info("there")
    assert f"(logged) [{msg.uuid}] here\n" in caplog.text
    assert "\nthere\n" in caplog.text
