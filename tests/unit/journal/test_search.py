"""What the journal's search does beyond that of a store."""

from __future__ import annotations

import pytest

from pichannels.errors import UsageError
from pichannels.journal import Journal
from pichannels.journal.records import Record
from pichannels.message import Message
from pichannels.states import State


@pytest.fixture
async def filled(journal: Journal) -> Journal:
    """Twelve messages of two channels, made in the reverse order."""
    for number in range(12):
        msg = Message(payload=f"text {number}")
        msg.ticks = 1000 - number
        seq = journal.append("ab"[number % 2], msg).seq
        journal.settle(seq, (State.PROCESSED, State.ERROR, State.PENDING)[number % 3])
    await journal.flush()
    return journal


def seqs(records: list[Record]) -> list[int]:
    return [record.seq for record in records]


async def test_all_channels_are_merged_in_the_order_of_time(filled: Journal) -> None:
    assert seqs(await filled.search(count=20)) == list(range(12, 0, -1))
    assert seqs(await filled.search(order_by="-timestamp")) == list(range(1, 11))


async def test_skipping_works_over_channels(filled: Journal) -> None:
    assert seqs(await filled.search(start=3, count=4)) == [9, 8, 7, 6]


async def test_an_unknown_channel_has_nothing(filled: Journal) -> None:
    assert await filled.search("c") == []


async def test_only_certain_numbers(filled: Journal) -> None:
    assert seqs(await filled.search(ids=[2, 5, 99])) == [5, 2]
    assert seqs(await filled.search("a", ids=[2, 5, 99])) == [5]


async def test_numbers_and_state_work_together(filled: Journal) -> None:
    assert seqs(await filled.search(ids=[1, 2, 3], state="error")) == [2]


@pytest.mark.parametrize("order_by", ["timestamp", "-timestamp"])
async def test_pages_behind_a_position_cover_everything_once(
    filled: Journal, order_by: str
) -> None:
    whole = seqs(await filled.search(order_by=order_by, count=100))
    pages: list[int] = []
    after = None
    while page := await filled.search(order_by=order_by, count=5, after=after):
        pages += seqs(page)
        after = page[-1].position
    assert pages == whole


async def test_pages_of_numbers_go_on_behind_a_position(filled: Journal) -> None:
    ids = [1, 2, 3, 4]
    first = await filled.search(ids=ids, count=2)
    rest = await filled.search(ids=ids, after=first[-1].position)
    assert seqs(first) + seqs(rest) == [4, 3, 2, 1]


async def test_a_position_goes_with_time_only(filled: Journal) -> None:
    with pytest.raises(UsageError, match="timestamp"):
        await filled.search(order_by="state", after=(1, 1))


async def test_states_of_all_channels_are_in_order(filled: Journal) -> None:
    found = await filled.search(order_by="state", count=20)
    states = [str(record.state) for record in found]
    assert states == sorted(states)
    assert len(found) == 12


async def test_text_and_numbers_work_together(filled: Journal) -> None:
    assert seqs(await filled.search(ids=[1, 2, 11, 12], text="text 1")) == [12, 11, 2]
