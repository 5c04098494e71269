"""Admin routes: the same from another process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pichannels.simulator import Simulator
from pichannels.simulator.simtime import SECOND, time_text

TEMP = "UNIT1.BOILER.TEMP"


def base(sim: Simulator) -> str:
    return sim.url.removesuffix("/piwebapi") + "/simulator"


async def test_a_fault_is_set_and_told(sim: Simulator, client: Any) -> None:
    status, body = await client.admin("faults", fault="status", code=503, count=1)
    assert (status, body["http"][0]["status"]) == (200, 503)
    async with client.session.get(sim.url + "/") as answer:
        assert answer.status == 503


async def test_faults_are_cleared(sim: Simulator, client: Any) -> None:
    sim.faults.status(500, count=None)
    async with client.session.delete(base(sim) + "/faults") as answer:
        assert (await answer.json())["http"] == []


async def test_faults_do_not_strike_the_admin_routes(
    sim: Simulator, client: Any
) -> None:
    sim.faults.status(500, count=None)
    async with client.session.get(base(sim)) as answer:
        assert (await answer.json())["Tags"] == 100


async def test_an_event_is_pushed_edited_and_deleted(
    sim: Simulator, client: Any
) -> None:
    time = time_text(sim.clock.now() - SECOND)
    await client.admin("push", tag=TEMP, value=1.0, time=time, questionable=True)
    await client.admin("push", tag="UNIT1.PUMP1.STATUS", value="RUNNING")
    _, edited = await client.admin("edit", tag=TEMP, time=time, value=2.0)
    _, deleted = await client.admin("delete", tag=TEMP, start=time)
    assert edited["substituted"] and deleted == {"Deleted": 1}


async def test_the_truth_is_told(sim: Simulator, client: Any) -> None:
    event = sim.push(TEMP, 1.5)
    params = {"tag": TEMP, "start": "*-1m"}
    async with client.session.get(base(sim) + "/truth", params=params) as answer:
        body = await answer.json()
    assert body == {"Events": [{"ticks": event.ticks, "value": 1.5}]}


async def test_a_channel_is_told_with_what_it_lost(sim: Simulator, client: Any) -> None:
    async with client.channel([TEMP]):
        await sim.connected()
        async with client.session.get(base(sim)) as answer:
            (channel,) = (await answer.json())["Channels"]
    assert (channel["Pending"], channel["Lost"]) == (0, 0)


async def test_an_outage_and_the_clock(sim: Simulator, client: Any) -> None:
    before = sim.clock.now()
    await client.admin("outage", tags="UNIT1.*", duration=3600, state="I/O Timeout")
    await client.admin("clock", advance=60, speed=2)
    assert sim.clock.now() > before + 60 * SECOND and sim.clock.speed == 2
    assert not sim.truth(TEMP, before, sim.clock.now())[0].good


async def test_a_text_is_sent_as_it_is(sim: Simulator, client: Any) -> None:
    async with client.channel([TEMP]) as channel:
        await sim.connected()
        async with client.session.post(base(sim) + "/send", data=b"{oops"):
            assert await channel.receive_str() == "{oops"


async def test_a_flood_begins_when_its_frames_are_ready(
    sim: Simulator, client: Any
) -> None:
    async with client.channel([TEMP]) as channel:
        await sim.connected()
        status, body = await client.admin("flood", streams=2, events=1, frames=5)
        messages = [json.loads(await channel.receive_str()) for _ in range(5)]
    assert (status, body) == (202, {"Values": 10}) and len(messages[4]["Items"]) == 2


@pytest.mark.parametrize(
    ("action", "body", "told"),
    [
        ("faults", {"fault": "dorp"}, "did you mean 'drop'"),
        ("push", {"value": 1}, "no 'tag'"),
        ("push", {"tag": "NOSUCH", "value": 1}, "no tag 'NOSUCH'"),
        ("push", {"tag": TEMP, "value": 1, "colour": "red"}, "colour"),
        ("edit", {"tag": TEMP, "time": "soon", "value": 1}, "soon"),
        ("flood", {"streams": 10, "size": 3}, "size"),
    ],
)
async def test_what_does_not_fit_is_told(
    client: Any, action: str, body: dict[str, Any], told: str
) -> None:
    status, answer = await client.admin(action, **body)
    assert status == 400 and told in answer["Errors"][0]


async def test_a_body_that_is_no_json_is_told(sim: Simulator, client: Any) -> None:
    async with client.session.post(base(sim) + "/push", data=b"tag=x") as answer:
        assert answer.status == 400
