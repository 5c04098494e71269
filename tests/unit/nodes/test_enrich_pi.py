"""enrich.PI against the simulator: facts in bulk, renewed, kept, with versions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nodes import enrich
from pichannels import clock
from pichannels.channels.base import BaseChannel
from pichannels.channels.pi import PIWebChannel
from pichannels.errors import SettingsError, UsageError
from pichannels.events import Event
from pichannels.message import Message
from pichannels.persistence import MemoryPersistence
from pichannels.simulator import Plant, Simulator
from pichannels.values import Sample, Tag

TEMP, FLOW = "UNIT1.BOILER.TEMP", "UNIT1.FEED.FLOW"
BOILER = r"\\SIMAF\Plant\Site\Area1\Unit1\Boiler"
AF_TEMP = BOILER + "|Temperature"
GONE = Tag("GONE", r"\\SIMSRV\GONE")
SLOW = 3600.0


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(Plant(tags=100, activity=0), poll=60) as running:
        yield running


def tag_of(sim: Simulator, name: str) -> Tag:
    """The tag as samples have it."""
    if "|" in name:
        attribute = sim.assets.attribute(name)
        assert attribute is not None
        web_id, guid = attribute.web_id_as("IDOnly"), str(attribute.id)
        return Tag(name.partition("Plant\\")[2], name, web_id, "PLANT", guid)
    tag = sim.plant.tag(name)
    web_id = tag.web_id_as("IDOnly")
    return Tag(name, tag.path, web_id, "PLANT", str(tag.point_id))


class Running:
    """A channel with one node, and what it tells."""

    def __init__(self, sim: Simulator, node: enrich.PI) -> None:
        self.sim = sim
        self.node = node
        self.channel = BaseChannel("plant")
        self.channel.add(node)
        self.events: list[Event] = []
        self.heard = asyncio.Event()
        self.channel.events.subscribe(self._hear)

    def _hear(self, event: Event) -> None:
        if event.name == "metadata.changed":
            self.events.append(event)
            self.heard.set()

    async def facts(self, *tags: str | Tag) -> dict[str, Any]:
        """The facts that a message with samples of these tags gets."""
        found: dict[str, Any] = (await self.run(*tags)).meta["tags"]
        return found

    async def run(self, *tags: str | Tag) -> Message:
        known = [tag_of(self.sim, t) if isinstance(t, str) else t for t in tags]
        samples = [Sample(tag, 10**16 + n, float(n)) for n, tag in enumerate(known)]
        return await self.channel.handle(Message(payload=samples))


@asynccontextmanager
async def running(
    sim: Simulator, persistence: MemoryPersistence | None = None, **options: Any
) -> AsyncIterator[Running]:
    node = enrich.PI(url=sim.url, **options)
    found = Running(sim, node)
    found.channel.attach(persistence=persistence or MemoryPersistence())
    await found.channel.start()
    try:
        yield found
    finally:
        await found.channel.stop()


async def test_a_point_has_its_facts(sim: Simulator) -> None:
    async with running(sim) as node:
        facts = await node.facts(TEMP)
    assert facts[TEMP] == {
        "kind": "point",
        "name": TEMP,
        "path": rf"\\SIMSRV\{TEMP}",
        "descriptor": "Boiler outlet temperature, unit 1",
        "units": "°C",
        "type": "Float32",
        "zero": 20.0,
        "span": 180.0,
        "step": False,
        "future": False,
        "meta_version": 1,
    }


async def test_an_attribute_has_the_facts_of_its_element(sim: Simulator) -> None:
    async with running(sim, limits=True) as node:
        facts = (await node.facts(AF_TEMP))[tag_of(sim, AF_TEMP).name]
    wanted = "units_name element element_path template element_categories limits"
    assert {name: facts[name] for name in wanted.split()} == {
        "units_name": "degree Celsius",
        "element": "Boiler",
        "element_path": BOILER,
        "template": "Boiler",
        "element_categories": ["Equipment"],
        "limits": {"lolo": 23.6, "lo": 38.0, "hi": 182.0, "hihi": 196.4},
    }


async def test_point_attributes_come_on_request(sim: Simulator) -> None:
    async with running(sim, point_attributes=["ExcDev", "compdev"]) as node:
        facts = (await node.facts(TEMP))[TEMP]
    assert (facts["excdev"], facts["compdev"]) == (
        pytest.approx(0.18),
        pytest.approx(0.72),
    )


async def test_tags_without_a_web_id_are_found_by_path(sim: Simulator) -> None:
    tags = [Tag("A", rf"\\SIMSRV\{TEMP}"), Tag("B", AF_TEMP)]
    async with running(sim) as node:
        facts = await node.facts(*tags)
    assert [facts[name]["kind"] for name in ("A", "B")] == ["point", "attribute"]


async def test_many_tags_take_few_requests(sim: Simulator) -> None:
    names = [tag.name for tag in sim.tags]
    sim.faults.status(503, count=None, after=2)
    async with running(sim) as node:
        facts = await node.facts(*names)
        again = await node.facts(*names)
    assert len(facts) == len(again) == len(names) == 100


async def test_a_message_gets_facts_of_its_own(sim: Simulator) -> None:
    async with running(sim) as node:
        (await node.facts(AF_TEMP)).popitem()[1]["categories"].append("spoilt")
        name = tag_of(sim, AF_TEMP).name
        assert (await node.facts(AF_TEMP))[name]["categories"] == ["Measurement"]


async def test_a_change_is_noticed_and_counts_the_version_up(sim: Simulator) -> None:
    async with running(sim, ttl=0.1) as node:
        assert (await node.facts(TEMP))[TEMP]["meta_version"] == 1
        sim.describe(TEMP, units="K", span=500.0)
        await node.facts(TEMP)
        await node.heard.wait()
        after = (await node.facts(TEMP))[TEMP]
    event = node.events[0].facts
    assert (after["units"], after["meta_version"]) == ("K", 2)
    assert (event["tag"], event["version"], event["changed"]) == (
        TEMP,
        2,
        ["span", "units"],
    )


async def test_a_rename_is_a_change_of_the_same_tag(sim: Simulator) -> None:
    async with running(sim, ttl=0.1) as node:
        tag = tag_of(sim, TEMP)
        await node.facts(tag)
        sim.rename(TEMP, "BOILER.ONE")
        await node.facts(tag)
        await node.heard.wait()
        facts = (await node.facts(tag))[TEMP]
    assert (facts["name"], facts["meta_version"]) == ("BOILER.ONE", 2)


async def test_tags_that_no_longer_come_are_not_renewed(sim: Simulator) -> None:
    async with running(sim, ttl=0.05) as node:
        await node.facts(TEMP, FLOW)
        for _ in range(3):
            before = node.node.statistics()["fetched"]
            while node.node.statistics()["fetched"] == before:
                await node.facts(FLOW)
                await asyncio.sleep(0.005)
        fetched = node.node.statistics()["fetched"]
    assert fetched == 2 + 3


async def test_facts_and_versions_survive_a_restart(sim: Simulator) -> None:
    kept = MemoryPersistence()
    async with running(sim, kept, ttl=0.1) as node:
        await node.facts(TEMP)
        sim.describe(TEMP, units="K")
        await node.facts(TEMP)
        await node.heard.wait()
    sim.faults.status(503, count=None)
    async with running(sim, kept, ttl=0.1, first_wait=SLOW) as node:
        facts = (await node.facts(TEMP))[TEMP]
    assert (facts["units"], facts["meta_version"]) == ("K", 2)


async def test_a_change_while_we_were_away_is_noticed(sim: Simulator) -> None:
    kept = MemoryPersistence()
    async with running(sim, kept, ttl=0.05) as node:
        await node.facts(TEMP)
    sim.describe(TEMP, descriptor="Another")
    async with running(sim, kept, ttl=0.05) as node:
        await node.facts(TEMP)
        await node.heard.wait()
    assert node.events[0].facts["changed"] == ["descriptor"]


async def test_facts_of_other_options_are_asked_for_again(sim: Simulator) -> None:
    kept = MemoryPersistence()
    async with running(sim, kept) as node:
        await node.facts(TEMP)
    async with running(sim, kept, point_attributes=["excdev"]) as node:
        facts = (await node.facts(TEMP))[TEMP]
    assert facts["excdev"] > 0 and facts["meta_version"] == 2


async def test_old_facts_stay_while_the_server_is_away(sim: Simulator) -> None:
    async with running(sim, ttl=0.05) as node:
        await node.facts(TEMP)
        sim.faults.status(503, count=None)
        while not node.node.statistics()["failed"]:
            await node.facts(TEMP)
            await asyncio.sleep(0.005)
        assert (await node.facts(TEMP))[TEMP]["units"] == "°C"


async def test_a_tag_makes_messages_wait_only_once(sim: Simulator) -> None:
    sim.faults.status(503, count=None)
    async with running(sim, first_wait=0.2) as node:
        started = clock.monotonic()
        await node.facts(TEMP)
        waited = clock.monotonic()
        for _ in range(50):
            await node.facts(TEMP)
        ended = clock.monotonic()
    assert waited - started >= 0.19 and ended - waited < 0.15


async def test_facts_that_come_late_are_used_from_then_on(sim: Simulator) -> None:
    sim.faults.slow(0.1)
    async with running(sim, first_wait=0.0) as node:
        assert await node.facts(TEMP) == {}
        while not node.node.statistics()["fetched"]:
            await node.facts(TEMP)
            await asyncio.sleep(0.005)
        assert (await node.facts(TEMP))[TEMP]["units"] == "°C"


@pytest.mark.parametrize(
    ("missing", "state", "left"),
    [
        ("keep", "processed", [TEMP, "GONE"]),
        ("drop", "processed", [TEMP]),
        ("fail", "processed", [TEMP]),
        ("reject", "rejected", [TEMP, "GONE"]),
    ],
)
async def test_what_has_no_facts_goes_where_it_should(
    sim: Simulator, missing: str, state: str, left: Sequence[str]
) -> None:
    samples = [Sample(tag, 10**16, 1.0) for tag in (tag_of(sim, TEMP), GONE)]
    async with running(sim, missing=missing) as node:
        outcome = await node.channel.run(Message(payload=samples))
    assert outcome.state == state
    assert [sample.tag.name for sample in outcome.message.payload] == left


async def test_the_reason_is_told_where_a_sample_fails(sim: Simulator) -> None:
    samples = [Sample(GONE, 10**16, 1.0)]
    async with running(sim, missing="fail") as node:
        outcome = await node.channel.run(Message(payload=samples))
    assert "The specified path was not found" in str(outcome.error)


async def test_the_server_is_that_of_the_channel_above(sim: Simulator) -> None:
    channel = PIWebChannel("plant", url=sim.url, tags=[TEMP])
    channel.has_source_enabled = False
    branch = channel.fork("branch")
    node = enrich.PI(name="facts")
    branch.add(node)
    await channel.start()
    try:
        msg = Message(payload=[Sample(tag_of(sim, TEMP), 10**16, 1.0)])
        assert (await branch.handle(msg)).meta["tags"][TEMP]["units"] == "°C"
    finally:
        await channel.stop()


async def test_without_a_server_the_start_says_so() -> None:
    channel = BaseChannel("alone")
    channel.add(enrich.PI())
    with pytest.raises(SettingsError, match="told which server"):
        await channel.start()


def test_credentials_without_a_server_are_told() -> None:
    with pytest.raises(SettingsError, match="needs url"):
        enrich.PI(auth=("user", "password"))


@pytest.mark.parametrize("payload", [{"no": "batch"}, ["none"], "text"])
async def test_what_is_no_batch_is_told(sim: Simulator, payload: Any) -> None:
    async with running(sim) as node:
        outcome = await node.channel.run(Message(payload=payload))
    assert isinstance(outcome.error, UsageError)
