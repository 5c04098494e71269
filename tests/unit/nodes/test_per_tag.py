"""Filters by tag where a message runs again and its parts come in several turns."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from nodes import compress, reduce, split
from pichannels.channels.base import BaseChannel
from pichannels.errors import RetryLater
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from pichannels.testing import RecordingNode
from pichannels.values import TICKS_PER_SECOND, Sample, Tag


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = Journal(tmp_path / "journal.db")
    await journal.open()
    yield journal
    await journal.close()


class NotNow(BaseNode):
    """Cannot take the messages with these numbers, counted from 1."""

    def __init__(self, *numbers: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.count = 0

    def process(self, msg: Message) -> Message:
        self.count += 1
        if self.count in self.numbers:
            raise RetryLater("not now", 0.01)
        return msg


def message(first: int = 0, **values: list[float]) -> Message:
    """Values of tags, one each second from the first."""
    samples = [
        Sample(Tag(name), 10**16 + (first + n) * TICKS_PER_SECOND, value)
        for name, found in values.items()
        for n, value in enumerate(found)
    ]
    return Message(payload=samples)


async def sent(
    journal: Journal, msgs: list[Message], *nodes: BaseNode
) -> list[list[str]]:
    """What arrives behind the nodes, message by message."""
    sink = RecordingNode(name="sink")
    channel = BaseChannel("plant", retry=RetryPolicy(attempts=0, initial=0.01))
    channel.add(split.Split(by="tag"), *nodes, sink)
    channel.attach(journal=journal)
    await channel.start()
    for msg in msgs:
        await channel.accept(msg)
    await channel.stop()
    return [[f"{s.tag.name}{s.value:g}" for s in m.payload] for m in sink.messages]


FILTERS = [reduce.Change, lambda: compress.Deadband(0.5)]


@pytest.mark.parametrize("make", FILTERS)
async def test_a_part_that_had_not_come_so_far_is_looked_at(
    journal: Journal, make: Callable[[], BaseNode]
) -> None:
    msg = message(A=[1], B=[2, 2, 3])
    found = await sent(journal, [msg], NotNow(2), make())
    assert found == [["A1"], ["A1"], ["B2", "B3"]]


@pytest.mark.parametrize("make", FILTERS)
async def test_a_part_of_which_nothing_passed_gives_nothing_again(
    journal: Journal, make: Callable[[], BaseNode]
) -> None:
    msgs = [message(A=[1]), message(1, A=[1, 1], B=[2])]
    found = await sent(journal, msgs, make(), NotNow(2))
    assert found == [["A1"], ["B2"]]


async def test_what_came_late_is_known_when_it_runs_again(journal: Journal) -> None:
    msg = message(A=[1], B=[2, 2], C=[3])
    found = await sent(journal, [msg], NotNow(2), reduce.Change(), NotNow(3))
    assert found[-3:] == [["A1"], ["B2"], ["C3"]]
