"""Members are servers of one plant: the same values under other WebIDs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from pichannels.errors import UsageError
from pichannels.simulator import Member, Plant, Simulator

TEMP = "UNIT1.BOILER.TEMP"
FOREVER = 3600.0
Pair = tuple[Simulator, Member]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """Two servers of a plant in which nothing changes by itself."""
    async with (
        Simulator(Plant(tags=20, activity=0), poll=FOREVER) as first,
        Member(first) as second,
    ):
        yield first, second


def test_paths_are_the_same_and_ids_are_not() -> None:
    first = Simulator(Plant(tags=20))
    tags = [sim.plant.tag(TEMP) for sim in (first, Member(first, "b"))]
    assert tags[0].path == tags[1].path
    forms = ("Full", "IDOnly", "LocalIDOnly")
    assert [f for f in forms if tags[0].web_id_as(f) == tags[1].web_id_as(f)] == []


async def test_a_member_refuses_the_web_ids_of_another(pair: Pair) -> None:
    web_id = pair[0].plant.tag(TEMP).web_id
    async with aiohttp.ClientSession() as session:
        answers = [await session.get(f"{one.url}/points/{web_id}") for one in pair]
    assert [answer.status for answer in answers] == [200, 404]


async def test_what_is_pushed_comes_on_the_channels_of_all(pair: Pair) -> None:
    first, second = pair
    web_id = second.plant.tag(TEMP).web_id
    url = f"{second.url}/streamsets/channel?webId={web_id}"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await second.connected()
        event = first.push(TEMP, 1.5)
        second.tick()
        message = json.loads(await socket.receive_str())
    assert message["Items"][0]["WebId"] == web_id
    assert second.truth(TEMP, event.ticks, event.ticks) == [event]


async def test_a_member_has_its_own_faults_and_outlives_the_first(pair: Pair) -> None:
    first, second = pair
    first.faults.status(503, count=None)
    event = second.push(TEMP, 2.0)
    await first.close()
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{second.url}/dataservers") as answer,
    ):
        assert answer.status == 200
    await first.open()
    assert first.truth(TEMP, event.ticks, event.ticks) == [event]


async def test_a_new_name_is_known_to_all(pair: Pair) -> None:
    pair[1].rename(TEMP, "NEW")
    assert [one.plant.tag("NEW").index for one in pair] == [0, 0]


async def test_a_member_that_is_opened_later_knows_the_new_name(pair: Pair) -> None:
    pair[0].rename(TEMP, "NEW")
    async with Member(pair[0], "c") as third:
        assert third.plant.tag("NEW").index == 0


def test_the_plant_is_that_of_the_first() -> None:
    with pytest.raises(UsageError, match="speed of a member"):
        Member(Simulator(), speed=2.0)
