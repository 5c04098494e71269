"""`pichannels store send`: to another channel, here and in another instance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.folders import Folder

SETTINGS = """\
from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.message import Message

MESSAGE_STORE = SQLiteMessageStoreFactory()


class Counted(BaseChannel):
    async def start_source(self):
        for number in range(250):
            await self.accept(Message(payload=number, meta={"tag": "T"}))


CHANNELS = [Counted("numbers"), BaseChannel("others")]
"""


@pytest.fixture
def numbers(empty: Folder) -> Folder:
    """250 messages in a project that has run."""
    empty.write("settings.py", SETTINGS)
    with empty.start():
        empty.wait_for_settled(250)
        empty.stop()
    return empty


def found(folder: Folder, channel: str) -> list[Any]:
    args = ("--channel", channel, "--count", "1000", "--oldest-first", "--json")
    return [int(each["payload"]) for each in folder.run("store", "search", *args).json]


def test_messages_go_to_another_channel(numbers: Folder) -> None:
    sent = numbers.run("store", "send", "numbers", "others")
    assert (sent.code, sent.out) == (0, "others: 250 messages\n")
    assert found(numbers, "others") == list(range(250))
    (one,) = numbers.run("store", "search", "249", "-c", "others", "--json").json
    shown = numbers.run("store", "show", one["id"], "-c", "others", "--json").json
    meta = shown["message"]["meta"]
    assert (meta["tag"], meta["lane"], "replay_of" in meta) == ("T", "replay", True)


def test_messages_go_to_another_instance(numbers: Folder, tmp_path: Path) -> None:
    other = Folder(tmp_path / "other")
    other.write("settings.py", SETTINGS.replace("250", "1"))
    with other.start():
        to = ("--to", str(other.path))
        sent = numbers.run("store", "send", "numbers", "others", *to, "--text", "24")
        wrong = numbers.run("store", "send", "numbers", "othres", *to)
        url = other.run("status", "--json").json["control"]
        secret = numbers.run("store", "send", "numbers", "others", "--to", url)
        assert found(other, "others") == [24, 124, 224, *range(240, 250)]
    assert sent.out == "others: 13 messages\n"
    assert (wrong.code, "did you mean 'others'?" in wrong.err) == (2, True)
    assert (secret.code, "PICHANNELS_TOKEN" in secret.err) == (2, True)
    absent = numbers.run("store", "send", "numbers", "others", *to)
    assert absent.code == 4
