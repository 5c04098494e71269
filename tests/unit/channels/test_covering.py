"""What a channel accepts and settles is what its ledger claims, also after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pichannels.channels import BaseChannel
from pichannels.channels.covering import CoverageOptions, Covering
from pichannels.channels.resolving import Found, Resolver
from pichannels.control import deadletters
from pichannels.control.deadletters import Chosen
from pichannels.control.ledgers import ledgers
from pichannels.coverage.tags import TagState
from pichannels.coverage.views import coverage
from pichannels.errors import SampleErrors
from pichannels.journal import Journal
from pichannels.manifest import ManifestEntry, encode_manifest
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.piwebasync.resolve import Point
from pichannels.piwebasync.server import PIServer
from pichannels.project import Project
from pichannels.states import State
from pichannels.values import TICKS_PER_SECOND as SECOND, Sample, Tag, parse_ticks

NOON = parse_ticks("2026-01-01T12:00:00Z")
POINTS = [
    Point(web_id=f"W{n}", name=f"T{n}", path=rf"\\S\T{n}", id=n) for n in range(3)
]
OPTIONS = CoverageOptions(settle=0, overlap=0, ahead=1, repair=False)


class Gate(BaseNode):
    """Holds messages back until it is opened; fails what is `bad`."""

    def __init__(self) -> None:
        super().__init__(name="gate")
        self.opened = asyncio.Event()
        self.opened.set()
        self.reached = asyncio.Event()
        self.bad: set[Any] = set()

    async def process(self, msg: Message) -> Message:
        self.reached.set()
        await self.opened.wait()
        failed = {n: "bad" for n, s in enumerate(msg.payload) if s.value in self.bad}
        if failed:
            raise SampleErrors(failed)
        return msg


class Plant:
    """A channel with a ledger, fed by hand; the server's time is ours to say."""

    def __init__(self, folder: Path) -> None:
        self.gate = Gate()
        self.channel = BaseChannel("boiler").add(self.gate)
        self.covering = Covering("boiler", OPTIONS)
        self.channel.observer = self.covering
        self.project = Project([self.channel])
        self.journal = Journal(folder / "journal.db")

    def at(self, seconds: float) -> None:
        """The server says that it is so many seconds after noon."""
        self.covering.server.learn(NOON + int((seconds + 1) * SECOND))

    def connect(self, seconds: float) -> None:
        ids = [point.web_id for point in POINTS]
        self.covering.connected("s", ids, NOON + int((seconds - 1) * SECOND))

    def heard(self, seconds: float) -> None:
        """Nothing more is to come from before."""
        self.covering.ledger.heartbeat("s", NOON + int(seconds * SECOND))

    async def give(self, *events: tuple[int, float, Any]) -> None:
        """Accept a message with these events: tag, seconds after noon, value."""
        samples = [
            Sample(Tag(f"T{n}", web_id=f"W{n}"), NOON + int(at * SECOND), value)
            for n, at, value in events
        ]
        entries = [ManifestEntry(s.tag.web_id, s.ticks, s.ticks, 1) for s in samples]
        msg = Message(payload=samples)
        await self.channel.accept(msg, manifest=encode_manifest(entries))

    def delivered(self, tag: int = 1) -> list[tuple[float, float]]:
        """The delivered ranges in seconds after noon."""
        ledger = self.covering.ledger
        number = ledger.tags.get(str(tag))
        assert number is not None
        found = coverage(ledger, number, NOON + 3600 * SECOND).delivered
        return [(_seconds(start), _seconds(end)) for start, end in found]


def _seconds(at: int) -> float:
    return round((at - NOON) / SECOND, 2)


@asynccontextmanager
async def running(
    folder: Path, points: list[Point] = POINTS, plant: Plant | None = None
) -> AsyncIterator[Plant]:
    plant = Plant(folder) if plant is None else plant
    await plant.journal.open()
    plant.channel.attach(journal=plant.journal)
    plant.at(0)
    await plant.channel.start()
    await plant.covering.open(plant.journal, points)
    try:
        yield plant
    finally:
        plant.covering.closed("s")
        await plant.channel.stop()
        await plant.covering.close()
        await plant.journal.close()


async def test_what_is_settled_is_delivered_up_to_the_last_thing_heard(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as plant:
        plant.connect(10)
        await plant.give((1, 20, "a"))
        plant.heard(30)
        await plant.channel.drain()
        assert plant.delivered() == [(11, 30)]


async def test_what_is_not_settled_holds_back_its_tag_only(tmp_path: Path) -> None:
    async with running(tmp_path) as plant:
        plant.connect(10)
        plant.gate.opened.clear()
        await plant.give((1, 20, "a"))
        plant.heard(30)
        assert (plant.delivered(1), plant.delivered(2)) == ([(11, 20)], [(11, 30)])
        plant.gate.opened.set()
        await plant.channel.drain()
        assert plant.delivered(1) == [(11, 30)]


async def test_a_loss_begins_a_hole_that_live_values_do_not_bridge(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as plant:
        plant.connect(10)
        plant.heard(30)
        plant.covering.lost("s", "network")
        plant.connect(50)
        plant.heard(60)
        assert plant.delivered() == [(11, 30), (51, 60)]


async def test_the_next_run_knows_what_was_delivered(tmp_path: Path) -> None:
    async with running(tmp_path) as plant:
        plant.connect(10)
        await plant.give((1, 20, "a"))
        await plant.channel.drain()
        plant.heard(30)
    async with running(tmp_path) as plant:
        assert plant.delivered() == [(11, 30)]


async def test_after_a_crash_what_was_not_settled_is_not_claimed(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as plant:
        plant.connect(10)
        plant.gate.opened.clear()
        await plant.give((1, 20, "a"))
        plant.heard(30)
        plant.covering.save()
        await plant.journal.flush()
        again = Covering("boiler", OPTIONS)
        again.server.learn(NOON + 40 * SECOND)
        await again.open(plant.journal, POINTS)
        plant.covering, plant.gate.opened = again, asyncio.Event()
        assert (plant.delivered(1), plant.delivered(2)) == ([(11, 20)], [(11, 30)])


async def test_samples_that_were_set_aside_are_not_claimed_until_redriven(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as plant:
        plant.connect(10)
        plant.gate.bad = {"x"}
        await plant.give((1, 20, "x"), (2, 20, "ok"))
        plant.heard(30)
        await plant.channel.drain()
        assert plant.delivered(2) == [(11, 30)]
        assert plant.delivered(1) == [(11, 20), (20, 30)]
        plant.gate.bad = set()
        await deadletters.redrive(
            plant.project, plant.journal, Chosen(channel="boiler")
        )
        assert plant.delivered(1) == [(11, 30)]


async def test_a_message_that_fails_as_a_whole_is_not_claimed(tmp_path: Path) -> None:
    async with running(tmp_path) as plant:
        plant.connect(10)
        plant.gate.bad = {"x"}
        await plant.give((1, 20, "x"))
        plant.heard(30)
        await plant.channel.drain()
        while len(plant.delivered(1)) < 2:
            await plant.journal.get("boiler", 1)
        assert plant.delivered(1) == [(11, 20), (20, 30)]
        await deadletters.discard(
            plant.project, plant.journal, Chosen(channel="boiler")
        )
        assert plant.delivered(1) == [(11, 20), (20, 30)]


async def test_tags_that_are_gone_are_removed_and_may_come_back(tmp_path: Path) -> None:
    async with running(tmp_path) as plant:
        plant.connect(10)
        plant.covering.set_streams(POINTS[:2])
        states = plant.covering.ledger.tags
        assert [states.state(n) for n in range(3)][2] is TagState.REMOVED
        plant.covering.set_streams(POINTS)
        assert states.state(2) is TagState.LIVE


async def crashed(folder: Path, at: dict[str, bytes]) -> None:
    """Put the ledger back to what was saved earlier, as a SIGKILL leaves it."""
    journal = Journal(folder / "journal.db")
    await journal.open()
    for name in await journal.saved("coverage:boiler"):
        journal.forget("coverage:boiler", name)
    for name, data in at.items():
        journal.save("coverage:boiler", name, data)
    await journal.close()


async def delivered_offline(plant: Plant, folder: Path) -> list[tuple[float, float]]:
    """What is told of the second tag while nothing runs."""
    plant.channel.covering = plant.covering  # type: ignore[attr-defined]
    journal = Journal(folder / "journal.db")
    await journal.open()
    (view,) = await ledgers([plant.channel], journal)
    number = view.ledger.tags.get("1")
    assert number is not None
    found = coverage(view.ledger, number, NOON + 3600 * SECOND).delivered
    await journal.close()
    return [(_seconds(start), _seconds(end)) for start, end in found]


async def set_aside(folder: Path) -> tuple[Plant, dict[str, bytes]]:
    """A run that set a sample aside, and what of its ledger was saved before."""
    async with running(folder) as plant:
        resolver = Resolver(PIServer(url="https://pi.test"), None, 8000, 3600)
        await resolver.keep(plant.journal, "boiler", ["*"], Found(list(POINTS), {}))
        plant.connect(10)
        await plant.give((2, 15, "ok"))
        await plant.channel.drain()
        plant.heard(30)
        plant.covering.save()
        records = await plant.journal.saved("coverage:boiler")
        plant.gate.bad = {"x"}
        await plant.give((1, 20, "x"), (2, 20, "ok"))
        await plant.channel.drain()
    return plant, records


async def test_what_was_set_aside_is_known_after_a_crash_before_saving(
    tmp_path: Path,
) -> None:
    plant, records = await set_aside(tmp_path)
    await crashed(tmp_path, records)
    assert await delivered_offline(plant, tmp_path) == [(11, 20), (20, 30)]
    async with running(tmp_path) as plant:
        assert plant.delivered(1) == [(11, 20), (20, 30)]


class Rows(BaseNode):
    """Makes rows of samples."""

    def process(self, msg: Message) -> Message:
        msg.payload = [{"tag": s.tag.name, "value": s.value} for s in msg.payload]
        return msg


class Table(BaseNode):
    """Refuses rows whose value is `x`."""

    def process(self, msg: Message) -> Message:
        rows = enumerate(msg.payload)
        failed = {n: "refused" for n, row in rows if row["value"] == "x"}
        if failed:
            raise SampleErrors(failed)
        return msg


async def test_set_aside_rows_of_samples_exclude_all_of_their_message(
    tmp_path: Path,
) -> None:
    plant = Plant(tmp_path)
    plant.channel.add(Rows(name="rows"), Table(name="table"))
    async with running(tmp_path, plant=plant):
        plant.connect(10)
        plant.covering.save()
        before = await plant.journal.saved("coverage:boiler")
        await plant.give((1, 15, "x"), (1, 20, "ok"))
        await plant.channel.drain()
        plant.heard(30)
        while len(plant.delivered(1)) < 2:
            await plant.journal.get("boiler", 1)
        assert plant.delivered(1) == [(11, 15), (15, 20), (20, 30)]
    await crashed(tmp_path, before)
    async with running(tmp_path) as plant:
        assert plant.covering.ledger.dead.concern(1)


class Odd(BaseNode):
    """Sets aside what no journal can keep, or does not say what."""

    def __init__(self, failed: Any) -> None:
        super().__init__(name="odd")
        self.failed = failed

    def process(self, msg: Message) -> Message:
        failed = self.failed and msg.derive([self.failed])
        raise SampleErrors({"one": "odd"}, msg, failed)


@pytest.mark.parametrize("failed", [object(), None])
async def test_a_message_is_a_dead_letter_where_what_failed_cannot_be_kept(
    tmp_path: Path, failed: Any
) -> None:
    plant = Plant(tmp_path)
    plant.channel.add(Odd(failed))
    async with running(tmp_path, plant=plant):
        plant.connect(10)
        await plant.give((1, 15, "x"))
        await plant.channel.drain()
        plant.heard(30)
        while not plant.delivered(1)[1:]:
            await plant.journal.get("boiler", 1)
        assert plant.delivered(1) == [(11, 15), (15, 30)]
        (letter,) = await plant.journal.search("boiler", state=State.ERROR)
        assert letter.message().payload[0].value == "x"


async def test_dead_letters_that_were_redriven_are_delivered_after_a_crash(
    tmp_path: Path,
) -> None:
    await set_aside(tmp_path)
    async with running(tmp_path) as plant:
        before = await plant.journal.saved("coverage:boiler")
        await deadletters.redrive(
            plant.project, plant.journal, Chosen(channel="boiler")
        )
    await crashed(tmp_path, before)
    assert await delivered_offline(plant, tmp_path) == [(11, 30)]
    async with running(tmp_path) as plant:
        assert plant.delivered(1) == [(11, 30)]


async def test_dead_letters_that_were_discarded_are_excluded_after_a_crash(
    tmp_path: Path,
) -> None:
    await set_aside(tmp_path)
    async with running(tmp_path) as plant:
        before = await plant.journal.saved("coverage:boiler")
        await deadletters.discard(
            plant.project, plant.journal, Chosen(channel="boiler")
        )
    await crashed(tmp_path, before)
    async with running(tmp_path) as plant:
        assert not plant.covering.ledger.dead.messages
        assert plant.delivered(1) == [(11, 20), (20, 30)]


async def test_dead_letters_that_were_edited_and_redriven_are_delivered(
    tmp_path: Path,
) -> None:
    await set_aside(tmp_path)
    async with running(tmp_path) as plant:
        (letter,) = plant.covering.ledger.dead.messages
        await deadletters.edit(plant.journal, str(letter), {"meta": {"seen": "yes"}})
        await deadletters.redrive(
            plant.project, plant.journal, Chosen(channel="boiler")
        )
        while plant.delivered(1) != [(11, 30)]:
            await plant.journal.get("boiler", 1)
        assert not plant.covering.ledger.dead.messages


async def test_many_tags_are_taken_up_while_others_have_their_turn(
    tmp_path: Path,
) -> None:
    many = [
        Point(web_id=f"W{n}", name=f"T{n}", path=rf"\\S\T{n}", id=n)
        for n in range(20_000)
    ]
    async with running(tmp_path, many):
        pass
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with running(tmp_path, []) as plant:
        others = asyncio.create_task(take_turns())
        again = Covering("boiler", OPTIONS)
        await again.open(plant.journal, many)
        others.cancel()
        await again.close()
    assert turns >= 20 and len(again.streams) == len(many)


async def test_history_before_the_first_start_has_a_reason_that_is_new(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as plant:
        options = CoverageOptions(backfill=3600, repair=False)
        covering = Covering("turbine", options)
        covering.server.learn(NOON + 11 * SECOND)
        await covering.open(plant.journal, POINTS)
        (hole,) = coverage(covering.ledger, 0, NOON + 10 * SECOND).holes
        await covering.close()
    assert hole.reason == "backfill" and hole.end - hole.start > 3599 * SECOND
    assert hole.since >= NOON + 10 * SECOND


async def test_a_damaged_ledger_begins_anew_and_claims_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as plant:
        plant.connect(10)
        plant.heard(30)
    journal = Journal(tmp_path / "journal.db")
    await journal.open()
    journal.save("coverage:boiler", "tags/0", b"\xff\xff")
    await journal.close()
    async with running(tmp_path) as plant:
        assert plant.delivered(1) == []
        plant.connect(50)
        plant.heard(60)
        assert plant.delivered(1) == [(51, 60)]
