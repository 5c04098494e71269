"""Groups of dead letters are muted for a time, or until they change."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pichannels.channels import BaseChannel
from pichannels.control.chosen import Grouped
from pichannels.control.deadletters import group_letters
from pichannels.control.failure_groups import FailureGroup
from pichannels.control.muting import MuteWanted, mute, unmute
from pichannels.engine import Engine
from pichannels.errors import MessageNotFound, UsageError
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.project import Project


class Failing(BaseNode):
    """Fails, and says what with."""

    def process(self, msg: Message) -> Message:
        raise ValueError(msg.payload)


@asynccontextmanager
async def engine_with(folder: Path, *texts: str) -> AsyncIterator[Engine]:
    """An engine whose channel has failed with these texts."""
    channel = BaseChannel("boiler").add(Failing(name="bad"))
    async with Engine(Project([channel]), data_dir=folder, control=False) as engine:
        await fail(engine, *texts)
        yield engine


async def fail(engine: Engine, *texts: str) -> None:
    channel = engine.project.channel("boiler")
    for text in texts:
        await channel.accept(Message(payload=text))
    await channel.drain()
    await engine.journal.flush()


async def the_group(engine: Engine) -> FailureGroup:
    (found,) = await group_letters(engine.journal, Grouped())
    return found


def ended(group: FailureGroup) -> str | None:
    return None if group.muted is None else group.muted.ended


async def test_a_muted_group_is_counted_and_kept_muted(tmp_path: Path) -> None:
    async with engine_with(tmp_path, "no 'a1' at 7") as engine:
        group = (await the_group(engine)).id
        await mute(
            engine.journal, MuteWanted(group=group, until_change=True, who="ann")
        )
    async with engine_with(tmp_path, "no 'b2' at 31") as engine:
        found = await the_group(engine)
        assert (found.count, found.is_quiet) == (2, True)
        assert found.muted is not None and found.muted.who == "ann"


async def test_more_of_them_or_another_cause_end_it(tmp_path: Path) -> None:
    async with engine_with(tmp_path, "too high") as engine:
        group = (await the_group(engine)).id
        await mute(engine.journal, MuteWanted(group=group, until_change=True))
        await fail(engine, *["too high"] * 9)
        assert ended(await the_group(engine)) == ""
        await fail(engine, "too high")
        assert ended(await the_group(engine)) == "rate"
        await fail(engine, "too low")
        assert ended(await the_group(engine)) == "cause"


async def test_time_or_somebody_ends_it(tmp_path: Path) -> None:
    async with engine_with(tmp_path, "too high") as engine:
        group = (await the_group(engine)).id
        made = await mute(engine.journal, MuteWanted(group=group, seconds=3600))
        assert made.is_quiet
        await mute(engine.journal, MuteWanted(group=group, seconds=1e-6))
        assert ended(await the_group(engine)) == "time"
        assert await unmute(engine.journal, group) == {"unmuted": True}
        assert (await the_group(engine)).muted is None
        assert await unmute(engine.journal, group) == {"unmuted": False}


async def test_what_is_not_there_cannot_be_muted(tmp_path: Path) -> None:
    async with engine_with(tmp_path, "too high") as engine:
        with pytest.raises(MessageNotFound, match="no group 'abc'"):
            await mute(engine.journal, MuteWanted(group="abc", seconds=1))
        with pytest.raises(UsageError, match="say when it ends"):
            await mute(engine.journal, MuteWanted(group="abc"))
