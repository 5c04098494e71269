"""Stored messages run again into chosen sinks only, and go on where they were cut."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from msgstore.sqlite import SQLiteMessageStoreFactory
from pichannels import clock
from pichannels.channels import BaseChannel
from pichannels.control.history import Place
from pichannels.control.replaying import Replay, Ticket, replay
from pichannels.engine import Engine
from pichannels.errors import ChannelPaused, UsageError
from pichannels.message import Message
from pichannels.node import BaseNode, Pending
from pichannels.project import Project
from pichannels.values import format_ticks


class Sink(BaseNode):
    """Keeps what it gets, and acknowledges it a moment later."""

    is_sink: ClassVar[bool] = True

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self.got: list[Any] = []
        self.bad: set[Any] = set()

    def process(self, msg: Message) -> Any:
        return Pending(msg, self._keep(msg.payload))

    async def _keep(self, payload: Any) -> None:
        if payload in self.bad:
            raise ValueError(f"no {payload}")
        self.got.append(payload)


class Times(BaseNode):
    """What comes, ten times."""

    def process(self, msg: Message) -> Message:
        msg.payload *= 10
        return msg


@pytest.fixture
async def project(tmp_path: Path) -> AsyncIterator[Project]:
    """first -> fork beside -> times -> when large -> case even -> last."""
    plant = BaseChannel("plant").append(Sink("first"))
    plant.fork("beside").append(Times(), Sink("aside"))
    plant.append(Times(name="times"))
    plant.when(lambda msg: msg.payload >= 100, "large").append(Sink("big"))
    (even,) = plant.case(lambda msg: msg.payload % 20 == 0, names=["even"])
    even.append(Sink("evens"))
    plant.append(Sink("last"))
    project = Project([plant], message_store=SQLiteMessageStoreFactory())
    async with Engine(project, data_dir=tmp_path, control=False):
        yield project


def sinks(project: Project) -> dict[str, list[Any]]:
    """What each sink got since this was asked last."""
    nodes = [n for n in project.channel("plant").nodes() if isinstance(n, Sink)]
    found = {node.name: list(node.got) for node in nodes if node.got}
    for node in nodes:
        node.got.clear()
    return found


async def send(project: Project, *payloads: Any) -> list[str]:
    messages = [Message(payload=payload) for payload in payloads]
    for msg in messages:
        await project.channel("plant").run(msg)
    sinks(project)
    return [str(msg.store_id) for msg in messages]


async def store_of(project: Project) -> list[dict[str, Any]]:
    store = project.channel("plant").message_store
    assert store is not None
    return [{**each} for each in await store.search(0, 100)]


async def test_only_the_chosen_sinks_get_what_is_replayed(project: Project) -> None:
    ids = await send(project, 1, 2, 30)
    given: dict[str, Any] = {}
    for start, sink, expected in (
        (None, "last", {"last": [10, 20]}),
        (None, "first", {"first": [1, 2, 30]}),
        (None, "plant.beside.aside", {"aside": [10, 20, 300]}),
        (None, "evens", {"evens": [20]}),
        (None, "big", {"big": [300]}),
        ("times", None, {"big": [300], "evens": [20], "last": [10, 20]}),
        ("evens", None, {"evens": [20], "last": [10, 20]}),
        ("aside", None, {"aside": [10, 20, 300]}),
        ("times", "last", {"last": [10, 20]}),
    ):
        await replay(project, Replay(ids=ids, from_node=start, to_sink=sink))
        given[f"{start} {sink}"] = sinks(project) == expected
    assert [name for name, is_right in given.items() if not is_right] == []


async def test_those_that_pass_by_are_told_and_what_ran_is_kept(
    project: Project,
) -> None:
    ids = await send(project, 1, 2)
    report = await replay(project, Replay(ids=ids, to_sink="evens"))
    kept = [each for each in await store_of(project) if each["id"] not in ids]
    metas = [each["message"].meta for each in kept]
    assert report.passed_by == 1
    assert {(m["lane"], m["replay_to_sink"]) for m in metas} == {("replay", "evens")}
    assert [each["state"] for each in kept] == ["processed"] * 2


async def test_what_fails_is_told_and_is_no_dead_letter(project: Project) -> None:
    (id,) = await send(project, 1)
    last = project.channel("plant").get_node("last")
    assert isinstance(last, Sink)
    last.bad.add(10)
    report = await replay(project, Replay(ids=[id], to_sink="last"))
    assert report.failures == [{"channel": "plant", "id": id, "error": "no 10"}]
    assert [each["state"] for each in await store_of(project)] == ["processed"]


async def test_a_wrong_place_is_told_before_anything_runs(project: Project) -> None:
    ids = await send(project, 1)
    for wanted, told in (
        (Replay(ids=ids, to_sink="lst"), "no node 'lst' there; did you mean 'last'"),
        (Replay(ids=ids, to_sink="times"), "'plant.times' is no sink"),
        (Replay(ids=ids, from_node="last", to_sink="first"), "no node 'first' there"),
        (Replay(state="processed", to_sink="last"), "name the channel"),
    ):
        with pytest.raises(UsageError, match=told):
            await replay(project, wanted, dry_run=True)


async def test_a_paused_channel_takes_no_aimed_replay(project: Project) -> None:
    ids = await send(project, 1)
    await project.channel("plant").pause()
    with pytest.raises(ChannelPaused):
        await replay(project, Replay(ids=ids, to_sink="last"))
    assert sinks(project) == {}


class Stop(Exception):
    """Cuts a replay."""


class Cut(Ticket):
    """A ticket of a replay that breaks off behind so many messages."""

    left = 3

    def note(self, place: Place) -> None:
        super().note(place)
        self.left -= 1
        if not self.left:
            raise Stop


@pytest.mark.parametrize("by_id", [True, False], ids=["ids", "search"])
async def test_a_cut_replay_goes_on_and_does_nothing_twice(
    project: Project, by_id: bool
) -> None:
    ids = await send(project, 1, 3, 5, 7, 9)
    journal = project.channel("plant").journal
    assert journal is not None
    wanted = Replay(channel="plant", end=format_ticks(clock.now() + 1))
    if by_id:
        wanted = Replay(ids=ids, to_sink="last")
    with pytest.raises(Stop):
        await replay(project, wanted, ticket=Cut(journal, "t"))
    ticket = Ticket(journal, "t")
    left = await replay(project, wanted, dry_run=True, ticket=ticket, resume=True)
    await replay(project, wanted, ticket=ticket, resume=True)
    assert (left.selected, sinks(project)["last"]) == (2, [10, 30, 50, 70, 90])
    # Who has not heard that it has ended does nothing twice, either.
    again = await replay(project, wanted, ticket=Ticket(journal, "t"), resume=True)
    assert (again.selected, sinks(project)) == (0, {})
