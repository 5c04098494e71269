"""The tests of the reference project, as a user would write them.

`tests/messages/plant.jsonl` holds messages of a PI channel as they were stored; what
comes out of the replay is compared with `tests/messages/numbers.jsonl`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from pichannels.message import Message
from pichannels.pytest_plugin import ReplayMessages
from pichannels.testing import ChannelUnderTest, PichannelsTestCase, Replay
from pichannels.values import DigitalState, Sample, Tag

STORED = "tests/messages/plant.jsonl"
SINKS = (
    "keep",
    "publish_bad",
    "publish_states",
    "publish_numbers",
    "Console",
    "publish",
)

GetChannel = Callable[[str], ChannelUnderTest]


@pytest.fixture
def plant(get_channel: GetChannel) -> ChannelUnderTest:
    channel = get_channel("plant")
    for sink in SINKS:
        channel.mute(sink)
    return channel


@pytest.fixture
def replayed(plant: ChannelUnderTest, replay: ReplayMessages) -> Replay:
    return replay("plant", STORED)


def samples(replayed: Replay, node: str) -> list[Sample]:
    return [sample for msg in replayed.outputs(node) for sample in msg.payload]


def names_that_left(channel: ChannelUnderTest, node: str) -> list[str]:
    last = channel.get_node(node).last_output()
    return [found.tag.name for found in last.payload] if last is not None else []


def sample(name: str, value: Any, good: bool = True) -> Sample:
    return Sample(Tag(name, key=name), 17_000_000_000_000_000, value, good)


def test_mixed_batches_are_routed_by_value_and_quality(replayed: Replay) -> None:
    everything = samples(replayed, "keep")
    kinds = Counter(
        "spare"
        if ".SPARE." in found.tag.name
        else "bad"
        if not found.good or found.is_system
        else "state"
        if isinstance(found.value, DigitalState)
        else "number"
        if isinstance(found.value, int | float)
        else "other"
        for found in everything
    )
    assert {
        "bad": len(samples(replayed, "publish_bad")),
        "state": len(samples(replayed, "publish_states")),
        "number": len(samples(replayed, "publish_numbers")),
    } == {kind: kinds[kind] for kind in ("bad", "state", "number")}
    assert min(kinds.values()) >= 1 and kinds["other"] >= 1


def test_all_that_is_not_bad_or_spare_is_published(replayed: Replay) -> None:
    expected = {
        found.event_id
        for found in samples(replayed, "keep")
        if found.good and not found.is_system and ".SPARE." not in found.tag.name
    }
    assert {found.event_id for found in samples(replayed, "publish")} == expected


def test_no_system_state_is_published_as_a_number(replayed: Replay) -> None:
    timeouts = [
        found
        for found in samples(replayed, "publish_bad")
        if found.value == DigitalState("I/O Timeout", 246, True)
    ]
    assert [found.tag.name for found in timeouts] == ["UNIT1.BOILER.PRESSURE"]


def test_the_numbers_are_those_of_the_stored_messages(replayed: Replay) -> None:
    replayed.assert_matches(
        "tests/messages/numbers.jsonl", "publish_numbers", ignore=("part_of",)
    )


async def test_each_branch_gets_its_samples(plant: ChannelUnderTest) -> None:
    plant.mute("decode")
    batch = [
        sample("UNIT1.BOILER.TEMP", 81.5),
        sample("UNIT1.PUMP1.STATUS", DigitalState("RUNNING", 1)),
        sample("UNIT1.FEED.FLOW", DigitalState("Bad Input", 255, True), good=False),
        sample("UNIT1.PRODUCT.COUNT", 17),
    ]
    await plant.handle(Message(payload=batch))
    assert {
        name: names_that_left(plant, name)
        for name in ("publish_numbers", "publish_states", "publish_bad")
    } == {
        "publish_numbers": ["UNIT1.BOILER.TEMP", "UNIT1.PRODUCT.COUNT"],
        "publish_states": ["UNIT1.PUMP1.STATUS"],
        "publish_bad": ["UNIT1.FEED.FLOW"],
    }


class TestFacts(PichannelsTestCase):
    """The same with unittest."""

    def test_facts_of_the_table_go_with_the_batch(self) -> None:
        plant = self.get_channel("plant")
        for sink in SINKS:
            plant.mute(sink)
        plant.mute("decode")
        msg = Message(payload=[sample("UNIT2.BOILER.TEMP", 90.0)])
        result = plant.handle_and_wait(msg)
        assert result.meta["tags"]["UNIT2.BOILER.TEMP"]["area"] == "East"
