"""A stored message becomes a test that asks for the same again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from pichannels.errors import UsageError
from pichannels.message import Message
from pichannels.testing import ProjectUnderTest
from pichannels.testing.golden import TestFiles, save_as_test

SETTINGS = """\
from pichannels.channels import BaseChannel
from pichannels.errors import Dropped
from pichannels.node import BaseNode


class Upper(BaseNode):
    def process(self, msg):
        if msg.payload == "skip":
            raise Dropped("nobody wants this")
        if msg.payload == "odd":
            raise ValueError("odd")
        msg.payload = msg.payload.upper()
        return msg


class Sink(BaseNode):
    is_sink = True

    def process(self, msg):
        raise AssertionError("sinks are not asked")


orders = BaseChannel("orders").add(Upper(name="upper"), Sink(name="out"))
CHANNELS = [orders]
"""


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "settings.py"
    path.write_text(SETTINGS)
    return path


def save(
    settings: Path, payload: str, id: str = "7", *, replace: bool = False
) -> TestFiles:
    async def work() -> TestFiles:
        async with project:
            channel = project.get_channel("orders")
            msg = Message(payload=payload)
            return await save_as_test(channel, msg, id, replace=replace)

    project = ProjectUnderTest(str(settings))
    return asyncio.run(work())


def test_what_came_out_is_what_the_test_asks_for(settings: Path) -> None:
    found = save(settings, "one")
    folder = settings.parent
    assert (found.test, found.state) == ("tests/test_orders_7.py", "processed")
    assert '"one"' in (folder / found.message).read_text()
    assert '"ONE"' in (folder / found.expected).read_text()


def test_the_tests_pass_until_the_nodes_do_something_else(settings: Path) -> None:
    for id, payload in enumerate(("one", "skip", "odd")):
        save(settings, payload, str(id))
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir=.", "tests"]
    as_before = subprocess.run(command, cwd=settings.parent, capture_output=True)
    settings.write_text(SETTINGS.replace("upper()", "lower()"))
    otherwise = subprocess.run(command, cwd=settings.parent, capture_output=True)
    assert b"3 passed" in as_before.stdout
    assert b"1 failed, 2 passed" in otherwise.stdout


def test_a_test_is_replaced_only_when_asked_to(settings: Path) -> None:
    save(settings, "one")
    with pytest.raises(UsageError, match="exists"):
        save(settings, "two")
    found = save(settings, "two", replace=True)
    assert '"TWO"' in (settings.parent / found.expected).read_text()
