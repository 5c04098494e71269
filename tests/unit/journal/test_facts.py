"""Facts that are added to messages beside those of their outcome."""

from __future__ import annotations

from pathlib import Path

from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.states import State


async def facts_after(path: Path, *, error: bool) -> dict[str, object]:
    """What is known of a message that got a fact, and then an outcome."""
    journal = Journal(path / "journal.db")
    await journal.open()
    ticket = journal.append("a", Message(payload="x"))
    assert await journal.add_facts("a", ticket.seq, {"urls": ["b"]})
    if error:
        journal.settle(ticket.seq, State.ERROR, {"err_msg": "no"})
    else:
        journal.settle(ticket.seq, State.PROCESSED)
    record = await journal.get("a", ticket.seq)
    await journal.close()
    assert record is not None
    return {"state": str(record.state), **record.meta}


async def test_facts_stay_beside_those_of_the_outcome(tmp_path: Path) -> None:
    assert await facts_after(tmp_path, error=True) == {
        "state": "error",
        "urls": ["b"],
        "err_msg": "no",
    }


async def test_facts_stay_where_the_outcome_has_none(tmp_path: Path) -> None:
    found = await facts_after(tmp_path, error=False)
    assert found == {"state": "processed", "urls": ["b"]}


async def test_facts_of_no_message_are_not_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    await journal.open()
    ticket = journal.append("a", Message())
    assert not await journal.add_facts("b", ticket.seq, {"urls": []})
    assert not await journal.add_facts("a", ticket.seq + 1, {"urls": []})
    await journal.close()


async def test_facts_change_no_state(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    await journal.open()
    ticket = journal.append("a", Message())
    journal.settle(ticket.seq, State.REJECTED)
    await journal.add_facts("a", ticket.seq, {"seen": True})
    record = await journal.get("a", ticket.seq)
    await journal.close()
    assert record is not None and record.state is State.REJECTED
