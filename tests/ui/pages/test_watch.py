"""What all pages of an instance share: its polls, its incidents, its dead letters."""

from __future__ import annotations

from pathlib import Path

import pytest

from pichannels.control.chosen import Grouped
from pichannels.control.deadletters import group_letters
from pichannels.control.muting import MuteWanted, mute
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.states import State
from pichannels.ui.links import Link, Links, Place
from pichannels.ui.pages.letters import LetterCount, Letters
from pichannels.ui.pages.watch import Watch, Watches


@pytest.fixture
def link(tmp_path: Path) -> Link:
    """An instance that does not run; its journal is in this folder."""
    return Link(Place(name="plant", data_dir=str(tmp_path)))


async def test_dead_letters_are_counted_and_those_that_are_muted(
    link: Link, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.open()
    for state in (State.ERROR, State.PROCESSED, State.ERROR, State.DROPPED):
        ticket = journal.append("orders", Message(payload="x"))
        await ticket.durable
        journal.settle(ticket.seq, state)
    await journal.flush()
    counting = LetterCount(link)
    assert await counting.count() == Letters(2)
    (group,) = await group_letters(journal, Grouped())
    await mute(journal, MuteWanted(group=group.id, until_change=True))
    found = await counting.count()
    assert found == Letters(2, muted=2)
    assert found.loud == 0
    await journal.close()
    await link.close()


async def test_nobody_can_tell_without_a_journal(link: Link) -> None:
    assert await LetterCount(link).count() is None
    await link.close()


async def test_incidents_that_repeat_are_one(link: Link) -> None:
    watch = Watch(link)
    watch.open()
    for _ in range(3):
        link.events.fire("message.failed", channel="orders", error="no")
    link.events.fire("message.failed", channel="notes", error="no")
    link.events.fire("channel.state", channel="notes", old="waiting", new="processing")
    found = [(one.facts["channel"], one.times) for one in watch.incidents]
    await watch.close()
    assert found == [("orders", 3), ("notes", 1)]


async def test_a_watch_tells_why_there_is_nothing(tmp_path: Path) -> None:
    watches = Watches(Links([Place(name="plant", data_dir=str(tmp_path))]))
    watches.open()
    watch = watches.get("another name")
    await watch.first()
    await watches.close()
    assert watch.status is None
    assert "no instance runs" in watch.error
