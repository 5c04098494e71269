"""What is deleted when it is old or too much, and what never is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pichannels import clock
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.states import State
from pichannels.values import TICKS_PER_SECOND

DAY = 86_400


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 1_770_000_000.0

    def now(self) -> int:
        return int(self.seconds * TICKS_PER_SECOND)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
async def hands() -> AsyncIterator[Hands]:
    """Time stands still unless a test moves it."""
    with clock.use(Hands()) as hands:
        assert isinstance(hands, Hands)
        yield hands


async def fill(journal: Journal, count: int, state: State | None) -> list[int]:
    tickets = [journal.append("a", Message(payload=b"x" * 1000)) for _ in range(count)]
    await tickets[-1].durable
    for ticket in tickets:
        if state is not None:
            journal.settle(ticket.seq, state)
    await journal.flush()
    return [ticket.seq for ticket in tickets]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for the writer's housekeeping, which runs by itself."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the writer is a thread
            await asyncio.sleep(0.02)


async def restart(journal: Journal, hands: Hands, hours: float) -> None:
    """Let time pass and start again, which ends a segment that is due."""
    hands.seconds += hours * 3600
    await journal.close()
    await journal.open()


async def reopened(path: Path, **options: Any) -> Journal:
    journal = Journal(path, **options)
    await journal.open()
    return journal


async def test_settled_messages_go_when_they_are_old(
    journal: Journal, hands: Hands
) -> None:
    await fill(journal, 700, State.PROCESSED)
    await restart(journal, hands, 2)
    kept = await fill(journal, 5, State.PROCESSED)
    hands.seconds += 7 * DAY + 60
    await until(lambda: journal.statistics().used_bytes < 10_000)
    assert [record.seq for record in await journal.search("a", count=999)] == kept
    assert await journal.verify() == []


async def test_unsettled_messages_never_go(journal: Journal, hands: Hands) -> None:
    await fill(journal, 10, State.PROCESSED)
    kept = await fill(journal, 3, None)
    await restart(journal, hands, 2)
    await fill(journal, 1, None)
    hands.seconds += 365 * DAY
    await until(lambda: journal.statistics().used_bytes < 10_000)
    assert [record.seq for record in await journal.unsettled("a")][:3] == kept


async def test_dead_letters_go_when_they_are_older_still(
    journal: Journal, hands: Hands
) -> None:
    await fill(journal, 10, State.ERROR)
    await fill(journal, 10, State.PROCESSED)
    await restart(journal, hands, 2)
    hands.seconds += 10 * DAY
    await until(lambda: journal.statistics().used_bytes < 15_000)
    assert await journal.total("a") == 10
    hands.seconds += 21 * DAY
    await until(lambda: journal.statistics().used_bytes == 0)
    assert await journal.verify() == []


async def test_the_oldest_settled_go_when_there_are_too_many(path: Path) -> None:
    journal = await reopened(path, retention_bytes=500_000)
    first = await fill(journal, 100, State.PROCESSED)
    last: list[int] = []
    for _ in range(10):
        last = await fill(journal, 100, State.PROCESSED)
    await until(lambda: journal.statistics().used_bytes <= 500_000)
    left = {record.seq for record in await journal.search("a", count=2000)}
    assert left.isdisjoint(first)
    assert left.issuperset(last)
    assert 400 < len(left) < 500
    assert await journal.verify() == []
    await journal.close()


async def test_too_many_dead_letters_stay(path: Path) -> None:
    journal = await reopened(path, retention_bytes=100_000)
    await fill(journal, 100, State.ERROR)
    await fill(journal, 300, State.PROCESSED)
    await until(lambda: journal.statistics().used_bytes < 120_000)
    assert len(await journal.search("a", state="error", count=200)) == 100
    await journal.close()


async def test_retention_keeps_up_with_a_steady_load(path: Path) -> None:
    journal = await reopened(path, retention_bytes=2_000_000)
    for _ in range(20):
        await fill(journal, 1000, State.PROCESSED)
    assert journal.statistics().used_bytes < 8_000_000
    await journal.close()


async def test_what_was_counted_is_known_after_reopening(path: Path) -> None:
    journal = await reopened(path, retention_bytes=500_000)
    await fill(journal, 300, State.PROCESSED)
    used = journal.statistics().used_bytes
    await journal.close()
    journal = await reopened(path)
    assert journal.statistics().used_bytes == used
    assert await journal.verify() == []
    await journal.close()


async def test_numbers_go_on_when_everything_was_deleted(
    journal: Journal, hands: Hands
) -> None:
    last = (await fill(journal, 10, State.PROCESSED))[-1]
    await restart(journal, hands, 2)
    hands.seconds += 30 * DAY
    await until(lambda: journal.statistics().used_bytes == 0)
    await journal.close()
    await journal.open()
    assert journal.append("a", Message()).seq == last + 1


async def test_a_state_can_have_an_age_of_its_own(tmp_path: Path, hands: Hands) -> None:
    journal = await reopened(tmp_path / "j", state_ages={"dropped": DAY, "error": None})
    dropped = await fill(journal, 3, State.DROPPED)
    kept = [
        *await fill(journal, 2, State.PROCESSED),
        *await fill(journal, 2, State.ERROR),
    ]
    await restart(journal, hands, 2)
    hands.seconds += DAY + 60
    await until(lambda: journal.statistics().used_bytes < 5_000)
    assert [record.seq for record in await journal.search("a", count=99)] == kept
    hands.seconds += 100 * DAY
    await until(lambda: journal.statistics().used_bytes < 3_000)
    assert [r.state for r in await journal.search("a", count=99)] == ["error"] * 2
    assert (await journal.verify(), len(dropped)) == ([], 3)
    await journal.close()
