"""Records say where they were made, for people and for programs."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from pichannels.channels import BaseChannel
from pichannels.engine import Engine
from pichannels.errors import Rejected, RetryLater
from pichannels.loglines import LogRing
from pichannels.logs import ContextFilter, JSONFormatter, TextFormatter
from pichannels.message import Message
from pichannels.node import BaseNode, ThreadNode
from pichannels.project import Project
from pichannels.retry import RetryPolicy
from pichannels.secrets import Secret

logger = logging.getLogger("plant.nodes")


class Speaks(BaseNode):
    """Says something, in the middle of what it calls."""

    def process(self, msg: Message) -> Message:
        self.speak()
        return msg

    def speak(self) -> None:
        logger.warning("hot %s", "enough")


class SpeaksLater(BaseNode):
    async def process(self, msg: Message) -> Message:
        await asyncio.sleep(0)
        logger.warning("later")
        return msg


class SpeaksInThread(ThreadNode):
    def process(self, msg: Message) -> Message:
        logger.warning("elsewhere")
        return msg


class Fails(BaseNode):
    def __init__(self, *errors: Exception) -> None:
        super().__init__(name="sink")
        self.errors = list(errors)

    def process(self, msg: Message) -> Message:
        if self.errors:
            raise self.errors.pop(0)
        return msg


class Log:
    """What is written by a handler such as ours."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self.stream = StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(formatter)
        self.handler.addFilter(ContextFilter())

    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines()]


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log(JSONFormatter())
    logging.getLogger().addHandler(log.handler)
    yield log
    logging.getLogger().removeHandler(log.handler)


@pytest.mark.parametrize("node", [Speaks, SpeaksLater, SpeaksInThread])
async def test_a_record_says_channel_node_and_message(
    log: Log, node: type[BaseNode]
) -> None:
    channel = BaseChannel("boiler").add(node(name="it"))
    msg = Message(payload="1")
    await channel.start()
    await channel.handle(msg)
    await channel.stop()
    (found,) = [each for each in log.told() if each["logger"] == "plant.nodes"]
    assert (found["channel"], found["node"]) == ("boiler", "boiler.it")
    assert found["message_id"] == msg.uuid


async def test_a_node_of_a_branch_is_named_with_its_branch(log: Log) -> None:
    channel = BaseChannel("boiler")
    channel.fork(name="beside").add(Speaks(name="it"))
    await channel.start()
    await channel.handle(Message(payload="1"))
    await channel.stop()
    places = [(each["channel"], each["node"]) for each in log.told()]
    assert places == [("boiler.beside", "boiler.beside.it")]


async def test_failures_rejections_and_retries_say_it_too(
    log: Log, tmp_path: Path
) -> None:
    errors = RetryLater("no"), ValueError("broken"), Rejected("bad")
    channel = BaseChannel("boiler", retry=RetryPolicy(initial=0.001))
    channel.add(Fails(*errors))
    async with Engine(Project([channel]), data_dir=tmp_path, control=False):
        for payload in "12":
            await channel.accept(Message(payload=payload))
        await channel.drain()
    found = [each for each in log.told() if each["logger"] == "pichannels.channels"]
    assert [each["level"] for each in found] == ["WARNING", "ERROR", "WARNING"]
    assert {each["node"] for each in found} == {"boiler.sink"}
    assert found[0]["message_id"] == found[1]["message_id"] != found[2]["message_id"]


async def test_a_line_for_people_ends_with_the_place() -> None:
    log = Log(TextFormatter("%(levelname)s %(message)s"))
    logger.addHandler(log.handler)
    channel = BaseChannel("boiler").add(Speaks(name="it"))
    msg = Message(payload="1")
    await channel.start()
    await channel.handle(msg)
    await channel.stop()
    logger.warning("outside")
    logger.removeHandler(log.handler)
    assert log.lines() == [
        f"WARNING hot enough [channel=boiler node=boiler.it message_id={msg.uuid}]",
        "WARNING outside",
    ]


async def test_what_a_task_of_a_channel_says_is_of_that_channel(log: Log) -> None:
    ring = LogRing()
    ring.channels.add("boiler")
    ring.attach()

    async def speak() -> None:
        logger.warning("a websocket is lost")

    await asyncio.create_task(speak(), name="boiler: repair 7")
    logger.warning("boiler: not repaired")
    logger.warning("turbine: not ours")
    ring.detach()
    assert [each.get("channel") for each in log.told()] == ["boiler", "boiler", None]


def test_no_text_looks_like_another_line_or_commands_a_terminal() -> None:
    log = Log(TextFormatter("%(levelname)s %(message)s"))
    logger.addHandler(log.handler)
    logger.warning("one\nINFO two \x1b[2J", extra={"channel": "boiler"})
    logger.removeHandler(log.handler)
    assert log.lines() == [
        "WARNING one [channel=boiler]",
        "    INFO two \\x1b[2J",
    ]


def test_an_error_is_told_with_its_stack(log: Log) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("it failed")
    (found,) = log.told()
    assert (found["message"], found["error"]["type"]) == ("it failed", "ValueError")
    assert "test_an_error_is_told_with_its_stack" in found["error"]["stack"]


def test_whatever_is_said_is_one_line_of_json(log: Log) -> None:
    # What others capture goes from process to process of the tests as text.
    apart = logging.Logger("apart")
    apart.addHandler(log.handler)
    apart.warning("two\nlines \udcff %s", {"a": b"\xff"}, extra={"count": 3, "at": log})
    (found,) = log.told()
    assert (found["count"], found["message"][:9]) == (3, "two\nlines")


def test_secrets_are_not_shown(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PI_PASSWORD", "hidden")
    secret = Secret.env("PI_PASSWORD")
    logger.warning("with %s", secret, extra={"login": secret, "api_token": "hidden"})
    (found,) = log.told()
    assert "hidden" not in json.dumps(found)
    assert found["api_token"] == "(not shown)"
