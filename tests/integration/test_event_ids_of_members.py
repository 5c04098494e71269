"""Whichever member of a server tells of an event, and how, its id is the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from nodes import decode
from pichannels.channels.pi import CoverageOptions, PIWebChannel
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from pichannels.simulator import Member, Plant, Simulator
from pichannels.values import Sample

POINT = "UNIT1.BOILER.TEMP"
ATTRIBUTE = r"\\SIMAF\Plant\Site\Area1\Unit1\Boiler|Temperature"
SOON = RetryPolicy(attempts=0, initial=0.01, maximum=0.05)
QUICK = CoverageOptions(settle=0.3, overlap=5, ahead=0.3, patience=0.3)
VALUE = 77.25


class Sink(BaseNode):
    """Keeps the samples of one value, with their lanes."""

    def __init__(self) -> None:
        super().__init__(name="sink")
        self.came: list[tuple[str, Sample]] = []
        self._changed = asyncio.Condition()

    async def process(self, msg: Message) -> Message:
        async with self._changed:
            found = [sample for sample in msg.payload if sample.value == VALUE]
            self.came += [(msg.meta["lane"], sample) for sample in found]
            self._changed.notify_all()
        return msg

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(condition)

    def web_ids(self, *lanes: str) -> set[str]:
        """Under which WebIDs the value came in these lanes."""
        return {sample.tag.web_id for lane, sample in self.came if lane in lanes}


async def test_an_event_keeps_its_id_at_another_member(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    await journal.open()
    plant = Plant(seed=1, tags=50, activity=0)
    async with Simulator(plant, poll=0.02) as a, Member(a, "b") as b:
        sink = Sink()
        channel = PIWebChannel(
            "plant",
            url=a.url,
            others=[b.url],
            tags=[POINT, ATTRIBUTE],
            server="PLANT",
            heartbeat=2,
            poll_interval=0.05,
            reconnect=SOON,
            coverage=QUICK,
        ).add(decode.PI(), sink)
        channel.attach(journal=journal)
        await channel.start()
        await a.connected()
        b.push(POINT, VALUE)
        await sink.until(lambda: len(sink.web_ids("live")) == 2)
        first = {point.web_id for point in channel.points}
        await a.close()
        # Again as the first value at the other member; what of it is read from an
        # archive meanwhile has to have the same id.
        await sink.until(lambda: len(sink.web_ids("live", "late") - first) == 2)
        await sink.until(lambda: len(sink.web_ids("repair")) >= 2)
        await channel.stop()
    await journal.close()
    ids = {sample.event_id for _, sample in sink.came}
    assert len(ids) == 2
    assert all(r"PLANT/\\SIM" in event_id for event_id in ids)
