"""PI channels: what goes out, when, and what does not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from pichannels.simulator import Plant, Simulator
from pichannels.simulator.simtime import SECOND, parse_time, time_text

TEMP, FLOW, STATUS = "UNIT1.BOILER.TEMP", "UNIT1.FEED.FLOW", "UNIT1.PUMP1.STATUS"


async def values(channel: aiohttp.ClientWebSocketResponse) -> dict[str, list[Any]]:
    """The values of each stream in the next message."""
    message = json.loads(await channel.receive_str())
    return {
        stream["Name"]: [event["Value"] for event in stream["Items"]]
        for stream in message["Items"]
    }


async def test_a_poll_sends_all_that_changed_in_one_message(
    sim: Simulator, client: Any
) -> None:
    async with client.channel([TEMP, FLOW, STATUS]) as channel:
        await sim.connected()
        for value in (1.0, 2.0):
            sim.push(TEMP, value)
        sim.push(FLOW, 3.0)
        sim.tick()
        assert await values(channel) == {TEMP: [1.0, 2.0], FLOW: [3.0]}


async def test_other_tags_do_not_come(sim: Simulator, client: Any) -> None:
    async with client.channel([TEMP]) as channel:
        await sim.connected()
        sim.push(FLOW, 1.0)
        sim.push(TEMP, 2.0)
        sim.tick()
        assert await values(channel) == {TEMP: [2.0]}


async def test_what_was_before_does_not_come(sim: Simulator, client: Any) -> None:
    sim.push(TEMP, 1.0)
    async with client.channel([TEMP]) as channel:
        await sim.connected()
        sim.push(TEMP, 2.0)
        sim.tick()
        assert await values(channel) == {TEMP: [2.0]}


async def test_initial_values_come_first_where_asked_for(
    sim: Simulator, client: Any
) -> None:
    sim.push(TEMP, 1.0)
    async with client.channel([TEMP, STATUS], includeInitialValues="True") as channel:
        found = await values(channel)
    assert found[TEMP] == [1.0] and found[STATUS][0]["Name"] == "Pt Created"


async def test_a_heartbeat_comes_after_that_many_silent_polls(
    sim: Simulator, client: Any
) -> None:
    async with client.channel([TEMP], heartbeatRate="3") as channel:
        await sim.connected()
        sim.tick()
        sim.tick()
        sim.push(TEMP, 1.0)
        sim.tick()
        assert await values(channel) == {TEMP: [1.0]}
        for _ in range(3):
            sim.tick()
        assert await values(channel) == {}


async def test_no_heartbeat_comes_unless_asked_for(sim: Simulator, client: Any) -> None:
    async with client.channel([TEMP], heartbeatRate="0") as channel:
        await sim.connected()
        for _ in range(50):
            sim.tick()
        sim.push(TEMP, 1.0)
        sim.tick()
        assert await values(channel) == {TEMP: [1.0]}


async def test_a_channel_of_one_stream(sim: Simulator, client: Any) -> None:
    url = f"{sim.url}/streams/{sim.plant.tag(TEMP).web_id}/channel"
    async with client.session.ws_connect(url) as channel:
        await sim.connected()
        sim.push(TEMP, 1.0)
        sim.tick()
        assert await values(channel) == {TEMP: [1.0]}


async def test_web_ids_come_in_the_form_that_was_asked_for(
    sim: Simulator, client: Any
) -> None:
    async with client.channel(
        [TEMP], webIdType="IDOnly", includeInitialValues="true"
    ) as channel:
        message = json.loads(await channel.receive_str())
    assert message["Items"][0]["WebId"] == sim.plant.tag(TEMP).web_id_as("IDOnly")


async def test_two_channels_get_the_same(sim: Simulator, client: Any) -> None:
    async with client.channel([TEMP]) as one, client.channel([TEMP, FLOW]) as two:
        await sim.connected(2)
        sim.push(TEMP, 1.0)
        sim.tick()
        assert await values(one) == await values(two) == {TEMP: [1.0]}


async def test_an_edit_comes_as_substituted(sim: Simulator, client: Any) -> None:
    ticks = sim.push(TEMP, 1.0).ticks
    async with client.channel([TEMP]) as channel:
        await sim.connected()
        sim.edit(TEMP, ticks, 5.0)
        sim.tick()
        event = json.loads(await channel.receive_str())["Items"][0]["Items"][0]
    assert (event["Timestamp"], event["Value"]) == (time_text(ticks), 5.0)
    assert event["Substituted"] is True


async def test_a_deletion_comes_as_a_bad_value(sim: Simulator, client: Any) -> None:
    ticks = sim.push(TEMP, 1.0).ticks
    async with client.channel([TEMP]) as channel:
        await sim.connected()
        sim.delete(TEMP, ticks)
        sim.tick()
        event = json.loads(await channel.receive_str())["Items"][0]["Items"][0]
    assert (event["Value"]["Name"], event["Good"]) == ("No Data", False)


async def test_late_events_reach_one_who_connected_during_the_outage(
    session: aiohttp.ClientSession,
) -> None:
    async with Simulator(Plant(tags=50), poll=3600) as sim:
        start = sim.clock.now()
        sim.outage(TEMP, 600, delay=7200)
        sim.clock.advance(300)
        query = {"webId": sim.plant.tag(TEMP).web_id}
        url = f"{sim.url}/streamsets/channel"
        async with session.ws_connect(url, params=query, max_msg_size=0) as channel:
            await sim.connected()
            sim.clock.advance(600 + 7200)
            sim.tick()
            items = json.loads(await channel.receive_str())["Items"][0]["Items"]
    times = [parse_time(item["Timestamp"], 0) for item in items]
    assert any(start < ticks < start + 10 * SECOND for ticks in times)
    assert times != sorted(times)


async def test_everything_archived_while_connected_came_over_the_channel(
    session: aiohttp.ClientSession,
) -> None:
    plant = Plant(tags=50, activity=5)
    got: set[tuple[str, str]] = set()
    async with Simulator(plant, poll=3600) as sim:
        query = [("webId", tag.web_id) for tag in plant.tags]
        url = f"{sim.url}/streamsets/channel"
        async with session.ws_connect(url, params=query, max_msg_size=0) as channel:
            await sim.connected()
            start = sim.clock.now()
            for _ in range(10):
                end = sim.clock.advance(10)
                sim.tick()
                for stream in json.loads(await channel.receive_str())["Items"]:
                    got |= {(stream["Name"], e["Timestamp"]) for e in stream["Items"]}
        held = {
            (tag.name, time_text(event.ticks))
            for tag in plant.tags
            if not tag.latency and not tag.jitter
            for event in sim.truth(tag, start, end)
        }
    assert len(held) > 500 and not held - got


async def test_polls_come_by_themselves(session: aiohttp.ClientSession) -> None:
    async with Simulator(Plant(tags=1, activity=0), poll=0.01) as sim:
        query = {"webId": sim.plant.tags[0].web_id, "heartbeatRate": "1"}
        url = f"{sim.url}/streamsets/channel"
        async with session.ws_connect(url, params=query) as channel:
            assert [await values(channel) for _ in range(5)] == [{}] * 5


async def test_overflow_loses_events_without_a_sign(
    session: aiohttp.ClientSession,
) -> None:
    plant = Plant(tags=1, activity=0)
    async with Simulator(plant, poll=3600, overflow=100) as sim:
        url = f"{sim.url}/streamsets/channel?webId={plant.tags[0].web_id}"
        async with session.ws_connect(url) as channel:
            await sim.connected()
            for n in range(150):
                sim.push(TEMP, float(n))
            sim.tick()
            found = await values(channel)
            assert len(found[TEMP]) == 100 and sim.channels[0].lost == 50


async def test_a_raw_text_goes_to_every_channel(sim: Simulator, client: Any) -> None:
    async with client.channel([TEMP]) as one, client.channel([FLOW]) as two:
        await sim.connected(2)
        sim.send("not json")
        assert [await one.receive_str(), await two.receive_str()] == ["not json"] * 2


async def test_closing_the_simulator_closes_its_channels_in_order(
    session: aiohttp.ClientSession,
) -> None:
    async with Simulator(Plant(tags=1, activity=0)) as sim:
        url = f"{sim.url}/streamsets/channel?webId={sim.tags[0].web_id}"
        channel = await session.ws_connect(url)
        waiting = asyncio.create_task(channel.receive())
        await sim.connected()
    message = await waiting
    assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)


async def test_a_channel_that_the_client_closes_is_gone(
    sim: Simulator, client: Any
) -> None:
    async with client.channel([TEMP]):
        await sim.connected()
    await asyncio.wait_for(sim.disconnected(), 5)
    assert sim.channels == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/streamsets/channel", 400),
        ("/streamsets/channel?webId=nonsense", 400),
        ("/streamsets/channel?webId=F1DPUpo8Dw1vPk-aQSp9XBuOYA____fw", 404),
        ("/streamsets/channel?webId={}&heartbeatRate=often", 400),
        ("/streamsets/{}/channel", 409),
    ],
)
async def test_a_handshake_that_does_not_fit_is_refused(
    sim: Simulator, client: Any, path: str, status: int
) -> None:
    web_id = sim.plant.tag(TEMP).web_id
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await client.session.ws_connect(sim.url + path.format(web_id))
    assert caught.value.status == status


async def test_a_channel_over_plain_http_is_refused(
    sim: Simulator, client: Any
) -> None:
    query = ("webId", sim.plant.tag(TEMP).web_id)
    status, body = await client.get("/streamsets/channel", query)
    assert (status, body["Errors"]) == (
        400,
        ["The protocol of the request is not supported."],
    )


async def test_more_tags_than_an_url_holds_are_refused(
    session: aiohttp.ClientSession,
) -> None:
    async with Simulator(Plant(tags=600, activity=0)) as sim:
        short = "&".join(f"webId={tag.web_id_as('IDOnly')}" for tag in sim.tags[:400])
        async with session.ws_connect(f"{sim.url}/streamsets/channel?{short}"):
            await sim.connected()
        every = "&".join(f"webId={tag.web_id_as('IDOnly')}" for tag in sim.tags)
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(f"{sim.url}/streamsets/channel?{every}")
    assert caught.value.status == 400
