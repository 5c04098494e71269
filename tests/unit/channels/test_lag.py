"""How far a channel is behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pichannels import clock
from pichannels.channels import BaseChannel
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.values import TICKS_PER_SECOND, datetime_from_ticks
from tests.unit.channels.steps import Gate


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    found = Journal(tmp_path / "journal.sqlite")
    await found.open()
    yield found
    await found.close()


def message(age: float) -> Message:
    """A message that was made so many seconds ago."""
    msg = Message()
    msg.timestamp = datetime_from_ticks(clock.now() - int(age * TICKS_PER_SECOND))
    return msg


async def test_the_lag_is_the_age_of_the_oldest_message(journal: Journal) -> None:
    channel = BaseChannel("slow").add(gate := Gate())
    channel.attach(journal=journal)
    await channel.start()
    await channel.accept(message(60))
    await channel.accept(message(10))
    assert 60 <= channel.lag < 70
    gate.open.set()
    await channel.drain()
    assert channel.lag == 0.0
    await channel.stop()


def test_a_channel_without_messages_has_no_lag() -> None:
    assert BaseChannel("idle").lag == 0.0
