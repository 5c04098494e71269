"""Stream updates: signing up, asking what has come, and markers that are lost."""

from __future__ import annotations

from typing import Any

import pytest

from pichannels.simulator import Plant, Simulator
from pichannels.simulator.signups import EXPIRY

TEMP, FLOW = "UNIT1.BOILER.TEMP", "UNIT1.FEED.FLOW"


def web_id(sim: Simulator, name: str) -> str:
    return sim.plant.tag(name).web_id


async def post(client: Any, path: str, *params: tuple[str, str]) -> tuple[int, Any]:
    async with client.session.post(client.sim.url + path, params=params) as answer:
        return answer.status, await answer.json()


async def sign_up(client: Any, name: str) -> str:
    found = web_id(client.sim, name)
    _, body = await post(client, f"/streams/{found}/updates")
    return str(body["LatestMarker"])


async def test_a_signup_has_a_marker_and_its_source(
    sim: Simulator, client: Any
) -> None:
    found = web_id(sim, TEMP)
    status, body = await post(client, f"/streams/{found}/updates")
    assert status == 200
    assert list(body) == [
        *("Source", "SourceName", "SourcePath", "LatestMarker", "Status")
    ]
    assert body["Source"] == found and body["LatestMarker"].endswith("_0")


async def test_signing_up_again_gives_the_newest_marker(
    sim: Simulator, client: Any
) -> None:
    marker = await sign_up(client, TEMP)
    sim.push(TEMP, 1.0)
    _, body = await post(client, f"/streams/{web_id(sim, TEMP)}/updates")
    assert body["Status"] == "AlreadyRegistered"
    assert body["LatestMarker"] == marker.replace("_0", "_1")


async def test_events_come_once_the_marker_has_moved(
    sim: Simulator, client: Any
) -> None:
    marker = await sign_up(client, TEMP)
    sim.push(TEMP, 1.0)
    sim.push(TEMP, 2.0)
    for _ in range(2):
        _, body = await client.get(f"/streams/updates/{marker}")
        assert [event["Value"] for event in body["Events"]] == [1.0, 2.0]
    _, body = await client.get(f"/streams/updates/{body['LatestMarker']}")
    assert (body["Status"], body["Events"]) == ("Created", [])


async def test_edits_and_deletions_have_their_action(
    sim: Simulator, client: Any
) -> None:
    event = sim.push(TEMP, 1.0)
    marker = await sign_up(client, TEMP)
    sim.edit(TEMP, event.ticks, 2.0)
    sim.delete(TEMP, event.ticks)
    _, body = await client.get(f"/streams/updates/{marker}")
    assert [event["Action"] for event in body["Events"]] == ["Update", "Delete"]


async def test_a_set_has_a_marker_for_each_stream(sim: Simulator, client: Any) -> None:
    ids = [("webId", web_id(sim, name)) for name in (TEMP, FLOW)]
    sim.faults.tag(FLOW, 404)
    _, body = await post(client, "/streamsets/updates", *ids)
    good, bad = body["Items"]
    assert (good["Status"], bad["Status"]) == ("Succeeded", "Failed")
    assert "LatestMarker" not in bad and bad["Exception"]["Errors"]


async def test_a_set_is_asked_for_by_its_markers(sim: Simulator, client: Any) -> None:
    markers = [await sign_up(client, name) for name in (TEMP, FLOW)]
    sim.push(FLOW, 3.0)
    _, body = await client.get(
        "/streamsets/updates", *(("marker", marker) for marker in markers)
    )
    found = {item["SourceName"]: len(item["Events"]) for item in body["Items"]}
    assert found == {TEMP: 0, FLOW: 1}


@pytest.mark.parametrize(
    ("marker", "status"), [("0" * 32 + "_0", 404), ("nonsense", 409), ("{}_7", 409)]
)
async def test_markers_that_are_none_are_refused(
    sim: Simulator, client: Any, marker: str, status: int
) -> None:
    known = (await sign_up(client, TEMP)).removesuffix("_0")
    found, _ = await client.get(f"/streams/updates/{marker.format(known)}")
    assert found == status


async def test_one_forgotten_signup_fails_alone(sim: Simulator, client: Any) -> None:
    markers = [await sign_up(client, name) for name in (TEMP, FLOW)]
    sim.faults.expire(TEMP)
    _, body = await client.get(
        "/streamsets/updates", *(("marker", marker) for marker in markers)
    )
    assert [item["Status"] for item in body["Items"]] == ["Failed", "Created"]


async def test_without_any_signup_the_cache_is_gone(
    sim: Simulator, client: Any
) -> None:
    marker = await sign_up(client, TEMP)
    sim.faults.inject("expire")
    status, _ = await client.get("/streamsets/updates", ("marker", marker))
    assert status == 404


async def test_signups_that_nobody_asks_for_expire(sim: Simulator, client: Any) -> None:
    marker = await sign_up(client, TEMP)
    sim.clock.advance(EXPIRY + 1)
    status, _ = await client.get(f"/streams/updates/{marker}")
    assert status == 404


async def test_too_many_waiting_events_break_a_signup(session: Any) -> None:
    async with Simulator(Plant(tags=10, activity=0), poll=60, overflow=2) as sim:
        path = f"{sim.url}/streams/{sim.tags[0].web_id}/updates"
        async with session.post(path) as answer:
            marker = (await answer.json())["LatestMarker"]
        for number in range(3):
            sim.push(sim.tags[0].name, float(number))
        async with session.get(f"{sim.url}/streams/updates/{marker}") as answer:
            assert "removed after an error" in await answer.text()


async def test_static_attributes_have_no_updates(sim: Simulator, client: Any) -> None:
    boiler = sim.assets.server.database_path + r"\Site\Area1\Unit1\Boiler"
    static = sim.assets.attribute(boiler + "|Design Pressure")
    assert static is not None
    status, body = await post(client, f"/streams/{static.web_id_as('Full')}/updates")
    assert status == 409 and "updates" in body["Errors"][0]
