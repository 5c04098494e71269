"""Stored messages are found, shown and replayed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels.channels import BaseChannel
from pichannels.control import history
from pichannels.control.history import Selection
from pichannels.control.replaying import replay
from pichannels.control.walking import Search, walk
from pichannels.engine import Engine
from pichannels.errors import MessageNotFound, Rejected, UsageError
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.project import Project
from pichannels.values import format_ticks


class Numbers(BaseNode):
    """Rejects what is no number; remembers what went through."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Message] = []

    def process(self, msg: Message) -> Message:
        if not isinstance(msg.payload, int):
            raise Rejected(f"{msg.payload!r} is no number")
        self.seen.append(msg.copy())
        return msg


@pytest.fixture
async def project(tmp_path: Path) -> AsyncIterator[Project]:
    """Two channels with stores and one without, all running."""
    channels = [BaseChannel(name).append(Numbers()) for name in ("a", "b")]
    project = Project(channels, message_store=SQLiteMessageStoreFactory())
    project.channels.append(BaseChannel("bare"))
    async with Engine(project, data_dir=tmp_path, control=False):
        yield project


async def send(project: Project, channel: str, *payloads: Any) -> list[str]:
    """The ids under which the messages are stored."""
    messages = [Message(payload=payload) for payload in payloads]
    for msg in messages:
        await project.channel(channel).run(msg)
    return [str(msg.store_id) for msg in messages]


def seen(project: Project, channel: str) -> list[Message]:
    node = next(project.channel(channel).nodes())
    assert isinstance(node, Numbers)
    return node.seen


async def test_stores_are_listed_with_their_sizes(project: Project) -> None:
    await send(project, "a", 1, 2)
    found = await history.stores(project)
    assert [(row["channel"], row["messages"]) for row in found] == [("a", 2), ("b", 0)]


async def test_the_newest_are_found_first_over_all_stores(project: Project) -> None:
    await send(project, "a", 1)
    await send(project, "b", 2)
    await send(project, "a", 3)
    found = (await walk(project, Search(count=2))).messages
    assert [row["payload"] for row in found] == ["3", "2"]


async def test_a_message_is_shown_with_its_outcome(project: Project) -> None:
    (id,) = await send(project, "a", "x")
    found = await history.show(project, id, None)
    assert (found["channel"], found["state"]) == ("a", "rejected")
    assert found["outcome"]["err_msg"] == "'x' is no number"


async def test_an_unknown_id_is_told(project: Project) -> None:
    with pytest.raises(MessageNotFound):
        await history.show(project, "12345", None)


async def test_a_channel_without_store_is_told(project: Project) -> None:
    with pytest.raises(UsageError, match="'bare' has no message store"):
        await walk(project, Search(channel="bare"))


async def test_a_replay_is_marked_and_linked(project: Project) -> None:
    (id,) = await send(project, "a", 1)
    await replay(project, Selection(ids=[id]))
    first, second = seen(project, "a")
    assert second.meta["replay_of"] == first.uuid
    assert second.meta["lane"] == "replay"


async def test_a_replay_keeps_the_order(project: Project) -> None:
    numbers = list(range(450))
    await send(project, "a", *numbers)
    report = await replay(project, Selection(channel="a", state="processed"))
    assert (report.selected, report.processed) == (450, 450)
    assert [msg.payload for msg in seen(project, "a")[450:]] == numbers


async def test_a_replay_does_not_find_itself(project: Project) -> None:
    await send(project, "a", 1)
    for expected in (1, 2):
        report = await replay(project, Selection(state="processed"))
        assert report.selected == expected


async def test_a_dry_run_only_counts(project: Project) -> None:
    await send(project, "a", 1, "x", 2)
    wanted = Selection(channel="a", state="processed")
    report = await replay(project, wanted, dry_run=True)
    assert (report.selected, report.replayed) == (2, 0)
    assert len(seen(project, "a")) == 2


async def test_a_time_range_is_replayed(project: Project) -> None:
    await send(project, "a", 1, 2, 3)
    first, second, third = seen(project, "a")
    wanted = Selection(start=format_ticks(second.ticks), end=format_ticks(third.ticks))
    await replay(project, wanted)
    assert seen(project, "a")[-1].payload == 2
    assert len(seen(project, "a")) == 4


async def test_what_fails_again_is_told(project: Project) -> None:
    (id,) = await send(project, "a", "x")
    report = await replay(project, Selection(state="rejected"))
    assert (report.rejected, report.failures) == (
        1,
        [{"channel": "a", "id": id, "error": "'x' is no number"}],
    )


async def test_a_replay_of_everything_has_to_be_said(project: Project) -> None:
    with pytest.raises(UsageError, match="say which messages"):
        await replay(project, Selection(channel="a"))


async def test_ids_go_with_no_time_range(project: Project) -> None:
    with pytest.raises(UsageError, match="with ids"):
        await replay(project, Selection(ids=["1"], start="2024-01-01"))


async def test_unknown_ids_replay_nothing(project: Project) -> None:
    (id,) = await send(project, "a", 1)
    with pytest.raises(MessageNotFound):
        await replay(project, Selection(ids=[id, "12345"]))
    assert len(seen(project, "a")) == 1
