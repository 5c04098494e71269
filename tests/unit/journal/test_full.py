"""When there is no room: callers wait, are told, and go on later."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from pichannels.errors import JournalError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.states import State

PROCESS = Path(__file__).with_name("full_disk_process.py")


async def test_the_buffer_is_bounded(journal: Journal) -> None:
    while not journal.is_full:
        last = journal.append("a", Message())
    assert journal.statistics().buffered_rows == 8192
    await last.durable
    assert not journal.is_full


async def test_the_buffer_is_bounded_in_bytes_too(journal: Journal) -> None:
    payload = b"x" * 2**20
    while not journal.is_full:
        last = journal.append("a", Message(payload=payload))
    assert journal.statistics().buffered_rows == 32
    await last.durable


async def test_room_is_given_in_the_order_of_asking(journal: Journal) -> None:
    order: list[int] = []

    async def caller(number: int) -> None:
        await journal.room()
        order.append(number)
        journal.append("a", Message())

    while not journal.is_full:
        journal.append("a", Message())
    await asyncio.gather(*(caller(number) for number in range(2000)))
    assert order == list(range(2000))


async def test_callers_who_all_wait_fill_no_more_than_the_buffer(
    journal: Journal,
) -> None:
    most = 0

    async def caller() -> None:
        nonlocal most
        await journal.room()
        journal.append("a", Message())
        most = max(most, journal.statistics().buffered_rows)

    while not journal.is_full:
        journal.append("a", Message())
    await asyncio.gather(*(caller() for _ in range(10_000)))
    assert most <= 8192 + 256


async def test_one_who_gives_up_waiting_makes_room_for_others(
    journal: Journal,
) -> None:
    while not journal.is_full:
        journal.append("a", Message())
    first = asyncio.create_task(journal.room())
    second = asyncio.create_task(journal.room())
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert journal.statistics().waiting == 0


async def test_one_who_gives_up_when_it_is_his_turn_disturbs_nobody(
    journal: Journal,
) -> None:
    while not journal.is_full:
        last = journal.append("a", Message())
    first = asyncio.create_task(journal.room())
    second = asyncio.create_task(journal.room())
    # Cancelled in the same step of the loop in which the commit is reported.
    last.durable.add_done_callback(lambda _: first.cancel())
    await second
    assert journal.statistics().waiting == 0


async def test_closing_turns_away_who_waits(journal: Journal) -> None:
    while not journal.is_full:
        journal.append("a", Message())
    waiting = asyncio.create_task(journal.room())
    await asyncio.sleep(0)
    await journal.close()
    with pytest.raises(JournalError, match="not open"):
        await waiting


async def test_a_used_up_budget_takes_no_more_until_something_is_settled(
    path: Path,
) -> None:
    journal = Journal(path, budget=200_000)
    await journal.open()
    seqs = []
    while not journal.is_full:
        ticket = journal.append("a", Message(payload=b"x" * 1000))
        await ticket.durable
        seqs.append(ticket.seq)
    waiting = asyncio.create_task(journal.room())
    await asyncio.wait([waiting], timeout=0.05)
    assert not waiting.done()
    for seq in seqs:
        journal.settle(seq, State.PROCESSED)
    await waiting
    assert journal.statistics().used_bytes < 200_000
    await journal.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no limit for the size of files")
async def test_a_full_disk_costs_nothing_that_was_accepted(path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROCESS), str(path), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    found = json.loads(await asyncio.to_thread(Path(f"{path}.json").read_text))
    accepted = found.pop("accepted")
    assert accepted > 2
    assert found.pop("failures") >= 1
    assert found == {
        "is_full": True,
        "readable": accepted,
        "saved_early": False,
        "unsettled": accepted - 1,
        "restored": 100_000,
        "problems": [],
    }


async def test_a_busy_loop_does_not_keep_the_writer_from_its_work(
    journal: Journal,
) -> None:
    loop = asyncio.get_running_loop()
    is_busy = True

    def spin() -> None:
        # Callbacks of a fifth of a millisecond starve a thread the most.
        end = loop.time() + 0.0002
        while loop.time() < end:
            pass
        if is_busy:
            loop.call_soon(spin)

    spin()
    begun = loop.time()
    for _ in range(3):
        tickets = [journal.append("a", Message(payload="x" * 300)) for _ in range(200)]
        await tickets[-1].durable
    is_busy = False
    assert loop.time() - begun < 2


async def test_a_budget_that_is_used_up_is_told_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(path, budget=2**20)
    await journal.open()
    await journal.append("a", Message(payload=b"x" * 2**20)).durable
    waiting = [asyncio.create_task(journal.room()) for _ in range(3)]
    await asyncio.wait(waiting, timeout=0.05)
    await journal.close()
    await asyncio.gather(*waiting, return_exceptions=True)
    told = [text for text in caplog.messages if "budget of 1,048,576 bytes" in text]
    assert len(told) == 1
