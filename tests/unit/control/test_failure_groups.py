"""Dead letters that are alike are one group, and can be chosen by it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pichannels.channels import BaseChannel
from pichannels.control import deadletters
from pichannels.control.chosen import Chosen, Grouped
from pichannels.control.failure_groups import FailureGroup
from pichannels.control.parked import list_parked
from pichannels.engine import Engine
from pichannels.errors import SampleErrors
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.project import Project
from pichannels.values import Sample, Tag


class Failing(BaseNode):
    """Fails with the exception that it is given."""

    def process(self, msg: Message) -> Message:
        if isinstance(msg.payload, list):
            bad = [n for n, each in enumerate(msg.payload) if each.tag.name != "GOOD"]
            raise SampleErrors(dict.fromkeys(bad, "no"))
        kinds: dict[Any, Exception] = {"key": KeyError("k"), "value": ValueError("v")}
        raise kinds[msg.payload]


def batch(*tags: str) -> Message:
    return Message("application/x", [Sample(Tag(tag), 1, 2.0) for tag in tags])


@asynccontextmanager
async def failed(
    folder: Path, *messages: Message, keep_order: bool = False
) -> AsyncIterator[Engine]:
    """An engine whose channel has failed with these messages."""
    channel = BaseChannel("boiler", keep_order=keep_order).add(Failing(name="bad"))
    engine = Engine(Project([channel]), data_dir=folder, control=False, sources=False)
    async with engine:
        for msg in messages:
            await channel.accept(msg)
        await channel.drain()
        await engine.journal.flush()
        yield engine


async def groups(engine: Engine, **wanted: Any) -> list[FailureGroup]:
    return await deadletters.group_letters(engine.journal, Grouped(**wanted))


async def test_the_same_exception_at_the_same_node_is_one_group(tmp_path: Path) -> None:
    given = [Message(payload=each) for each in ("key", "value", "value")]
    async with failed(tmp_path, *given) as engine:
        found = await groups(engine)
    assert [(each.error, each.count, each.node) for each in found] == [
        ("ValueError", 2, "boiler.bad"),
        ("KeyError", 1, "boiler.bad"),
    ]
    assert found[0].first < found[0].last == max(each.last for each in found)


async def test_samples_are_told_apart_by_the_kind_of_their_tags(tmp_path: Path) -> None:
    given = batch("TI-1", "TI-22", "GOOD"), batch("TI-7", "GOOD")
    async with failed(tmp_path, *given, batch("FC-1.PV", "GOOD")) as engine:
        found = await groups(engine)
    assert {(each.tags, each.count, each.samples) for each in found} == {
        ("TI-#", 2, 3),
        ("FC-#.PV", 1, 1),
    }


async def test_no_more_letters_are_looked_through_than_asked_for(
    tmp_path: Path,
) -> None:
    given = [Message(payload="key") for _ in range(5)]
    async with failed(tmp_path, *given) as engine:
        (found,) = await groups(engine, count=3)
    assert found.count == 3


async def test_only_the_letters_of_a_group_are_discarded(tmp_path: Path) -> None:
    given = [Message(payload=each) for each in ("key", "value", "value")]
    async with failed(tmp_path, *given) as engine:
        largest, _ = await groups(engine)
        wanted = Chosen(group=largest.id)
        await deadletters.discard(engine.project, engine.journal, wanted)
        left = await groups(engine)
    assert [each.error for each in left] == ["KeyError"]


async def test_tags_that_wait_behind_a_letter_are_told(tmp_path: Path) -> None:
    async with failed(tmp_path, batch("A", "B", "GOOD"), keep_order=True) as engine:
        found = list_parked(engine.project, "boiler")
    assert {(each.node, each.letters) for each in found} == {("boiler.bad", 1)}
    assert len(found) == 2
