"""What is appended is there, in order, until it is settled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pichannels.errors import CodecError, JournalError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.states import State


async def append(journal: Journal, *payloads: object, channel: str = "a") -> list[int]:
    tickets = [journal.append(channel, Message(payload=p)) for p in payloads]
    await asyncio.gather(*(ticket.durable for ticket in tickets))
    return [ticket.seq for ticket in tickets]


async def reopen(journal: Journal) -> Journal:
    await journal.close()
    again = Journal(journal.path)
    await again.open()
    return again


async def test_numbers_rise_over_all_channels(journal: Journal) -> None:
    first = journal.append("a", Message(payload=1))
    second = journal.append("b", Message(payload=2))
    assert (first.seq, second.seq) == (1, 2)


async def test_unsettled_gives_the_messages_back_in_order(journal: Journal) -> None:
    await append(journal, "x", "y", "z")
    records = await journal.unsettled("a")
    assert [record.message().payload for record in records] == ["x", "y", "z"]


async def test_a_message_comes_back_whole(journal: Journal) -> None:
    msg = Message("text/plain", b"data", {"k": [1, 2.5, None]})
    msg.add_context("before", Message(payload="old"))
    await journal.append("a", msg).durable
    back = (await journal.unsettled("a"))[0].message()
    assert {**back.to_dict(), "store_id": None, "store_chan_name": None} == (
        msg.to_dict()
    )


async def test_a_message_that_comes_back_knows_its_store(journal: Journal) -> None:
    (seq,) = await append(journal, "x")
    back = (await journal.unsettled("a"))[0].message()
    assert (back.store_id, back.store_chan_name) == (str(seq), "a")


async def test_unsettled_goes_on_after_a_number(journal: Journal) -> None:
    seqs = await append(journal, *range(5))
    records = await journal.unsettled("a", after=seqs[2])
    assert [record.seq for record in records] == seqs[3:]


async def test_unsettled_is_bounded_in_number_and_bytes(journal: Journal) -> None:
    await append(journal, *[b"x" * 1000] * 5)
    assert len(await journal.unsettled("a", limit=3)) == 3
    assert len(await journal.unsettled("a", max_bytes=2500)) == 2


async def test_one_larger_than_max_bytes_is_given_alone(journal: Journal) -> None:
    await append(journal, b"x" * 1000, b"y")
    assert len(await journal.unsettled("a", max_bytes=10)) == 1


async def test_unsettled_sees_what_was_just_appended(journal: Journal) -> None:
    journal.append("a", Message(payload="x"))
    assert len(await journal.unsettled("a")) == 1


@pytest.mark.parametrize(
    "state", [State.PROCESSED, State.DROPPED, State.REJECTED, State.ERROR]
)
async def test_final_states_settle(journal: Journal, state: State) -> None:
    seqs = await append(journal, "x", "y")
    journal.settle(seqs[0], state)
    assert [record.seq for record in await journal.unsettled("a")] == seqs[1:]
    assert journal.count_unsettled("a") == 1


@pytest.mark.parametrize("state", [State.PROCESSING, State.WAIT_RETRY])
async def test_other_states_do_not_settle(journal: Journal, state: State) -> None:
    (seq,) = await append(journal, "x")
    journal.settle(seq, state)
    assert [record.state for record in await journal.unsettled("a")] == [state]
    assert journal.count_unsettled("a") == 1


async def test_a_dead_letter_can_be_taken_up_again(journal: Journal) -> None:
    (seq,) = await append(journal, "x")
    journal.settle(seq, State.ERROR, {"err_msg": "no"})
    await journal.flush()
    journal.settle(seq, State.PENDING)
    await journal.flush()
    assert journal.count_unsettled("a") == 1
    assert len(await journal.unsettled("a")) == 1


async def test_settling_twice_counts_once(journal: Journal) -> None:
    first, _ = await append(journal, "x", "y")
    journal.settle(first, State.PROCESSED)
    await journal.flush()
    journal.settle(first, State.DROPPED)
    await journal.flush()
    assert journal.count_unsettled("a") == 1


async def test_facts_of_the_outcome_are_kept(journal: Journal) -> None:
    (seq,) = await append(journal, "x")
    journal.settle(seq, State.ERROR, {"err_msg": "no", "attempts": 3})
    record = await journal.get("a", seq)
    assert record is not None
    assert (record.meta, record.attempts) == ({"err_msg": "no", "attempts": 3}, 3)


async def test_facts_stay_when_a_later_state_brings_none(journal: Journal) -> None:
    (seq,) = await append(journal, "x")
    journal.settle(seq, State.WAIT_RETRY, {"err_msg": "no"})
    journal.settle(seq, State.PROCESSED)
    record = await journal.get("a", seq)
    assert record is not None
    assert (record.state, record.meta) == (State.PROCESSED, {"err_msg": "no"})


async def test_everything_of_one_step_is_one_commit(journal: Journal) -> None:
    before = journal.statistics().commits
    await append(journal, *range(3000))
    assert journal.statistics().commits - before == 1


async def test_all_is_there_after_reopening(journal: Journal) -> None:
    seqs = await append(journal, *range(10))
    for seq in seqs[:4]:
        journal.settle(seq, State.PROCESSED)
    again = await reopen(journal)
    try:
        assert [record.seq for record in await again.unsettled("a")] == seqs[4:]
        assert again.count_unsettled("a") == 6
    finally:
        await again.close()


async def test_numbers_rise_over_restarts(journal: Journal) -> None:
    seqs = await append(journal, *range(3))
    again = await reopen(journal)
    try:
        assert again.append("a", Message()).seq > max(seqs)
    finally:
        await again.close()


async def test_a_number_is_never_given_twice_though_all_is_gone(
    journal: Journal,
) -> None:
    ticket = journal.append("a", Message(), keep=False)
    journal.settle(ticket.seq, State.PROCESSED)
    again = await reopen(journal)
    try:
        assert again.append("a", Message()).seq > ticket.seq
    finally:
        await again.close()


async def test_what_nobody_keeps_is_gone_when_settled(journal: Journal) -> None:
    ticket = journal.append("a", Message(payload="x"), keep=False)
    await ticket.durable
    journal.settle(ticket.seq, State.PROCESSED)
    assert await journal.get("a", ticket.seq) is None
    assert journal.statistics().used_bytes == 0


async def test_a_dead_letter_stays_though_nobody_keeps_it(journal: Journal) -> None:
    ticket = journal.append("a", Message(payload="x"), keep=False)
    journal.settle(ticket.seq, State.ERROR)
    assert await journal.get("a", ticket.seq) is not None


async def test_a_dead_letter_that_is_done_with_goes_too(journal: Journal) -> None:
    ticket = journal.append("a", Message(payload="x"), keep=False)
    journal.settle(ticket.seq, State.ERROR)
    await journal.flush()
    journal.settle(ticket.seq, State.DROPPED)
    assert await journal.get("a", ticket.seq) is None


async def test_a_payload_without_codec_is_refused_at_once(journal: Journal) -> None:
    with pytest.raises(CodecError):
        journal.append("a", Message(payload=object()))
    assert journal.statistics().buffered_rows == 0


@pytest.mark.parametrize("uuid", ["\ud800", 5])
async def test_what_sqlite_would_refuse_costs_itself_alone(
    journal: Journal, uuid: str
) -> None:
    bad = Message(payload="bad")
    bad.uuid = uuid
    good = journal.append("a", Message(payload="good"))
    with pytest.raises(CodecError):
        journal.append("a", bad)
    await good.durable


async def test_a_timestamp_out_of_range_is_refused(journal: Journal) -> None:
    msg = Message()
    msg.ticks = 2**63
    with pytest.raises(CodecError, match="out of range"):
        journal.append("a", msg)


async def test_deleted_messages_are_gone_and_not_unsettled(journal: Journal) -> None:
    first, second = await append(journal, "x", "y")
    journal.delete(first)
    assert [record.seq for record in await journal.unsettled("a")] == [second]
    assert journal.count_unsettled("a") == 1


async def test_a_ticket_can_be_asked_when_all_is_over(journal: Journal) -> None:
    ticket = journal.append("a", Message())
    await journal.flush()
    assert ticket.durable.done()


async def test_one_who_gives_up_waiting_disturbs_nobody(journal: Journal) -> None:
    first, second = journal.append("a", Message()), journal.append("a", Message())
    first.durable.cancel()
    await second.durable
    assert len(await journal.unsettled("a")) == 2


async def test_flush_with_nothing_to_do_returns(journal: Journal) -> None:
    await journal.flush()
    assert journal.statistics().commits == 0


async def test_closing_commits_what_waits(journal: Journal) -> None:
    ticket = journal.append("a", Message())
    await journal.close()
    assert ticket.durable.result() is None


async def test_closing_twice_is_fine(journal: Journal) -> None:
    await asyncio.gather(journal.close(), journal.close())
    await journal.close()
    with pytest.raises(JournalError, match="not open"):
        journal.append("a", Message())


async def test_a_closed_journal_says_so(journal: Journal) -> None:
    await journal.close()
    with pytest.raises(JournalError, match="not open"):
        journal.append("a", Message())
    with pytest.raises(JournalError, match="not open"):
        await journal.unsettled("a")


async def test_one_journal_can_be_opened_again(journal: Journal) -> None:
    await append(journal, "x")
    await journal.close()
    await journal.open()
    assert journal.count_unsettled("a") == 1


async def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    await asyncio.to_thread(path.write_bytes, b"this is no database" * 100)
    with pytest.raises(JournalError, match="cannot be opened"):
        await Journal(path).open()
