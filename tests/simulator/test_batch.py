"""`POST batch`: parts, their answers, and what they take from each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from pichannels.simulator import Plant, Simulator

TEMP, FLOW = "UNIT1.BOILER.TEMP", "UNIT1.FEED.FLOW"
LONG = 3600.0
Body = Mapping[str, Any]


def get(sim: Simulator, path: str, **more: Any) -> dict[str, Any]:
    """A part that reads below the base URL."""
    return {"Method": "GET", "Resource": sim.url + path, **more}


def point(sim: Simulator, tag: str = TEMP) -> dict[str, Any]:
    """A part that reads a point."""
    return get(sim, f"/points/{sim.plant.tag(tag).web_id}")


def of_unit(sim: Simulator, count: int) -> dict[str, Any]:
    """A part that lists the first points."""
    server = sim.plant.server.web_id("Full")
    return get(sim, f"/dataservers/{server}/points?maxCount={count}")


def each(sim: Simulator, path: str, *parameters: str) -> dict[str, Any]:
    """A part that reads something of each point of the part `points`."""
    return {
        "Method": "GET",
        "RequestTemplate": {"Resource": sim.url + path},
        "ParentIds": ["points"],
        "Parameters": list(parameters),
    }


async def send(sim: Simulator, body: Any, **headers: str) -> tuple[int, Any]:
    """Status and JSON of a batch."""
    headers["X-Requested-With"] = "test"
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(sim.url + "/batch", json=body) as answer,
    ):
        return answer.status, await answer.json(content_type=None)


async def answers(sim: Simulator, **parts: Body) -> Any:
    """The answers of a batch by their ids."""
    status, body = await send(sim, parts)
    assert status == 207, body
    return body


async def test_each_part_has_its_own_status(sim: Simulator) -> None:
    found = await answers(sim, good=point(sim), bad=get(sim, r"/points?path=\\S\NO"))
    assert [(name, one["Status"]) for name, one in found.items()] == [
        ("good", 200),
        ("bad", 404),
    ]


async def test_a_part_has_headers_and_content(sim: Simulator) -> None:
    one = (await answers(sim, a=point(sim)))["a"]
    assert list(one) == ["Status", "Headers", "Content"]
    assert one["Headers"] == {"Content-Type": "application/json; charset=utf-8"}
    assert one["Content"]["Name"] == TEMP


async def test_an_unknown_route_is_answered_as_outside(sim: Simulator) -> None:
    one = (await answers(sim, a=get(sim, "/nothing")))["a"]
    assert one["Status"] == 404 and "No HTTP resource" in one["Content"]["Message"]


async def test_only_the_path_of_a_resource_counts(sim: Simulator) -> None:
    part = point(sim)
    part["Resource"] = part["Resource"].replace(sim.url, "https://other:9/piwebapi")
    assert (await answers(sim, a=part))["a"]["Status"] == 200


async def test_the_body_of_a_part_reaches_its_route(sim: Simulator) -> None:
    url = f"/streams/{sim.plant.tag(TEMP).web_id}/updates"
    part = get(sim, url) | {"Method": "POST", "Content": "{}"}
    assert (await answers(sim, a=part))["a"]["Content"]["SourceName"] == TEMP


async def test_a_part_uses_what_its_parent_found(sim: Simulator) -> None:
    sim.push(TEMP, 71.5)
    value = {
        "Method": "GET",
        "Resource": "{0}?selectedFields=Value",
        "ParentIds": ["point"],
        "Parameters": ["$.point.Content.Links.Value"],
    }
    found = await answers(sim, value=value, point=point(sim))
    assert list(found) == ["value", "point"]
    assert found["value"]["Content"] == {"Value": 71.5}


async def test_a_resource_can_be_a_path_itself(sim: Simulator) -> None:
    part = {
        "Method": "GET",
        "Resource": "$.point.Content.Links.Self",
        "ParentIds": ["point"],
    }
    found = await answers(sim, point=point(sim), again=part)
    assert found["again"]["Content"] == found["point"]["Content"]


async def test_content_takes_what_was_found(sim: Simulator) -> None:
    part = get(sim, "/streams/{0}/updates", ParentIds=["point"]) | {
        "Method": "POST",
        "Content": '{"{1}": {0}}',
        "Parameters": ["$.point.Content.WebId", "$.point.Content.Id"],
    }
    found = await answers(sim, point=point(sim), part=part)
    assert found["part"]["Status"] == 200


async def test_a_template_is_a_request_for_each_match(sim: Simulator) -> None:
    ends = each(sim, "/streams/{0}/end", "$.points.Content.Items[*].WebId")
    found = (await answers(sim, points=of_unit(sim, 7), ends=ends))["ends"]
    assert found["Status"] == 207 and found["Content"]["Total"] == 7
    assert [one["Status"] for one in found["Content"]["Items"]] == [200] * 7


async def test_several_parameters_go_side_by_side(sim: Simulator) -> None:
    items = "$.points.Content.Items[*]."
    part = each(sim, "/streams/{0}/end?ignored={1}", items + "WebId", items + "Name")
    found = (await answers(sim, points=of_unit(sim, 3), part=part))["part"]
    assert found["Content"]["Total"] == 3


async def test_parameters_of_different_length_are_refused(sim: Simulator) -> None:
    part = each(sim, "/{0}{1}", "$.points.Content.Items[*].WebId", "$.points.Status")
    found = (await answers(sim, points=of_unit(sim, 3), part=part))["part"]
    assert found["Status"] == 400 and "different numbers" in str(found["Content"])


async def test_a_template_without_a_match_asks_nothing(sim: Simulator) -> None:
    part = each(sim, "/streams/{0}/end", "$.points.Content.None[*].WebId")
    found = (await answers(sim, points=of_unit(sim, 3), part=part))["part"]
    assert found["Content"] == {"Total": 0, "Items": []}


async def test_one_of_a_template_may_fail(sim: Simulator) -> None:
    sim.faults.tag(TEMP, 403)
    ends = each(sim, "/streams/{0}/end", "$.points.Content.Items[*].WebId")
    found = (await answers(sim, points=of_unit(sim, 2), ends=ends))["ends"]
    assert [one["Status"] for one in found["Content"]["Items"]] == [403, 200]


async def test_what_waits_for_a_failed_part_is_not_run(sim: Simulator) -> None:
    before = get(sim, "/nothing")
    after = get(sim, "/system/status", ParentIds=["before"])
    last = get(sim, "/system/status", ParentIds=["after"])
    found = await answers(sim, before=before, after=after, last=last)
    assert found["after"]["Status"] == found["last"]["Status"] == 409
    assert "'before' failed with status 404" in found["after"]["Content"]


@pytest.mark.parametrize(
    ("resource", "told"),
    [
        ("$.point.Content.None", "selects 0 values"),
        ("$.other.Content.WebId", "selects 0 values"),
        ("$.point.Content.Links[*]", "instead of one"),
        ("$.point[", "is not valid"),
        ("points/1", "absolute"),
        ("http://[", "not a URL"),
    ],
)
async def test_a_resource_that_is_none_fails_alone(
    sim: Simulator, resource: str, told: str
) -> None:
    part = {"Method": "GET", "Resource": resource, "ParentIds": ["point"]}
    found = await answers(sim, point=point(sim), other=point(sim), part=part)
    assert found["part"]["Status"] == 400
    assert told in str(found["part"]["Content"]["Errors"])


async def test_the_admin_routes_are_not_in_reach(sim: Simulator) -> None:
    part = get(sim, "")
    part["Resource"] = part["Resource"].replace("piwebapi", "simulator/faults")
    assert (await answers(sim, a=part))["a"]["Status"] == 404


@pytest.mark.parametrize("path", ["/batch", "/streams/{}/channel"])
async def test_a_part_is_neither_a_batch_nor_a_channel(
    sim: Simulator, path: str
) -> None:
    part = get(sim, path.format(sim.plant.tag(TEMP).web_id))
    part["Method"] = "POST" if path == "/batch" else "GET"
    part["Headers"] = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    found = await answers(sim, a=part, b=point(sim))
    assert [found["a"]["Status"], found["b"]["Status"]] == [400, 200]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ([], "could not be read"),
        ({}, "no requests"),
        ({"a": {"Method": "GET"}}, "'a' needs a Resource"),
        ({"a": {"Resource": "x"}}, "missing required field"),
        ({"a": {"Method": "GET", "Resource": "x", "ParentIds": ["b"]}}, "'b' of 'a'"),
        (
            {
                "a": {"Method": "GET", "Resource": "x", "ParentIds": ["b"]},
                "b": {"Method": "GET", "Resource": "x", "ParentIds": ["a"]},
            },
            "depend on each other",
        ),
    ],
)
async def test_a_batch_that_makes_no_sense_is_refused(
    sim: Simulator, body: Any, told: str
) -> None:
    status, answer = await send(sim, body)
    assert status == 400 and told in answer["Errors"][0]


async def test_a_fault_strikes_parts_too(sim: Simulator) -> None:
    sim.faults.status(503, count=2, path="points")
    found = await answers(sim, **{str(n): point(sim) for n in range(5)})
    assert sorted(one["Status"] for one in found.values()) == [200] * 3 + [503] * 2


@pytest.mark.parametrize("abort", [False, True])
async def test_half_of_a_part_is_a_text(sim: Simulator, abort: bool) -> None:
    sim.faults.truncate(path="points", abort=abort)
    found = await answers(sim, a=point(sim), b=point(sim))
    assert sorted(type(one["Content"]).__name__ for one in found.values()) == [
        "dict",
        "str",
    ]


async def test_parts_that_are_slow_wait_at_the_same_time(sim: Simulator) -> None:
    sim.faults.slow(0.1, path="points")
    start = sim.clock.now()
    await answers(sim, **{str(n): point(sim) for n in range(10)})
    assert sim.clock.now() - start < 8_000_000


async def test_parts_count_for_the_rate_limit_and_a_batch_is_one_request() -> None:
    async with Simulator(Plant(tags=9, activity=0), poll=LONG, rate_limit=4) as sim:
        found = await answers(sim, **{str(n): point(sim) for n in range(5)})
        statuses = sorted(one["Status"] for one in found.values())
        assert statuses == [200] * 3 + [429] * 2 and sim.requests == 1


async def test_the_login_of_a_batch_is_that_of_its_parts() -> None:
    plant = Plant(tags=9, activity=0)
    async with Simulator(plant, poll=LONG, auth="secret") as sim:
        parts = {"a": point(sim)}
        _, body = await send(sim, parts, Authorization="Bearer secret")
        assert body["a"]["Status"] == 200
        assert (await send(sim, parts))[0] == 401


@pytest.mark.parametrize(("limit", "status"), [(0, 403), (2, 400), (3, 207)])
async def test_a_server_may_limit_or_refuse_batches(limit: int, status: int) -> None:
    plant = Plant(tags=9, activity=0)
    async with Simulator(plant, poll=LONG, batch_limit=limit) as sim:
        parts = {str(n): point(sim) for n in range(3)}
        assert (await send(sim, parts))[0] == status
