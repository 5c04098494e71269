"""Reads go on at another member when one has failed, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from socket import socket
from typing import NamedTuple

import pytest

from pichannels.errors import UsageError
from pichannels.piwebasync import Controller
from pichannels.piwebasync.exceptions import HTTPClientError
from pichannels.piwebasync.failover import FailoverClient
from pichannels.piwebasync.members import Members, Switched
from pichannels.piwebasync.server import PIServer
from pichannels.simulator import Member, Plant, Simulator

TEMP, FLOW = "UNIT1.BOILER.TEMP", "UNIT1.FEED.FLOW"
ATTRIBUTE = "UNIT1.PUMP1.STATUS"


class Group(NamedTuple):
    a: Simulator
    b: Simulator
    client: FailoverClient
    pi: Controller
    told: list[Switched]

    @property
    def members(self) -> Members:
        return self.client.members


@asynccontextmanager
async def a_group(timeout: float = 5.0) -> AsyncIterator[Group]:
    """Two servers of one plant, and a client of both."""
    async with Simulator(Plant(tags=20), poll=60) as a, Member(a, "b") as b:
        members = PIServer(url=a.url, others=(b.url,)).members()
        told: list[Switched] = []
        members.listen(told.append)
        async with FailoverClient(members, timeout=timeout) as client:
            yield Group(a, b, client, Controller.from_url(a.url), told)


async def test_nothing_changes_while_the_first_answers() -> None:
    async with a_group() as group:
        response = await group.client.get(group.pi.dataservers.list())
    assert response.url.startswith(group.a.url)
    assert group.told == []


@pytest.mark.parametrize("code", [502, 503, 504])
async def test_a_member_that_is_out_of_order_is_left(code: int) -> None:
    async with a_group() as group:
        group.a.faults.status(code, count=None)
        response = await group.client.get(group.pi.dataservers.list())
    assert response.url.startswith(group.b.url)
    assert [(s.before, s.after) for s in group.told] == [(group.a.url, group.b.url)]
    assert group.told[0].reason.startswith(str(code))


async def test_a_member_that_is_gone_is_left() -> None:
    async with a_group() as group:
        await group.a.close()
        (await group.client.get(group.pi.dataservers.list())).raise_for_status()
    assert group.members.current == group.b.url


async def test_a_web_exception_and_a_cut_body_are_failures_of_a_member() -> None:
    async with a_group() as group:
        group.a.faults.web_exception()
        group.b.faults.truncate(abort=True)
        response = await group.client.get(group.pi.dataservers.list())
        # Both have failed, so that the first answer there was is told.
        assert response.status_code == 502
        (await group.client.get(group.pi.dataservers.list())).raise_for_status()
    assert group.members.current == group.a.url


@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 429, 500])
async def test_an_answer_about_the_request_is_returned(code: int) -> None:
    async with a_group() as group:
        group.a.faults.status(code)
        response = await group.client.get(group.pi.dataservers.list())
    assert (response.status_code, group.told) == (code, [])


@pytest.mark.parametrize("kind", ["points", "attributes", "elements"])
async def test_objects_are_found_at_the_other_member_by_their_paths(kind: str) -> None:
    async with a_group() as group:
        attribute = group.a.assets.roots[0].children[0].children[0].children[0]
        web_id = {
            "points": group.a.plant.tag(TEMP).web_id,
            "attributes": attribute.attributes[0].web_id_as("Full"),
            "elements": attribute.web_id_as("Full"),
        }[kind]
        request = getattr(group.pi, kind).get(web_id)
        before = await group.client.get(request)
        await group.a.close()
        after = await group.client.get(request)
    assert after.path == before.path
    assert after.web_id != before.web_id


async def test_web_ids_of_another_member_are_looked_up_once() -> None:
    async with a_group() as group:
        web_ids = [tag.web_id for tag in group.a.tags]
        request = group.pi.streamsets.get_end_adhoc(web_ids)
        before = await group.client.get(request)
        await group.a.close()
        after = await group.client.get(request)
        again = await group.client.get(request)
    names = [one.select("Items.Name") for one in (before, after, again)]
    assert names[0] == names[1] == names[2]
    assert len(group.members.web_ids) == len(web_ids)


async def test_web_ids_without_a_path_are_known_from_the_table() -> None:
    async with a_group() as group:
        tag = group.a.plant.tag(TEMP)
        short = tag.web_id_as("IDOnly")
        group.members.web_ids.learn(group.a.url, tag.path, short)
        await group.a.close()
        response = await group.client.get(group.pi.points.get(short))
    assert response.name == TEMP


async def test_paths_have_a_web_id_at_the_member_in_use() -> None:
    async with a_group() as group:
        paths = [group.a.plant.tag(name).path for name in (TEMP, FLOW)]
        at_a = await group.client.web_ids([*paths, r"\\SIMSRV\NONE"])
        group.members.use(group.b.url)
        at_b = await group.client.web_ids(paths)
    assert at_a == {path: group.a.plant.tag(path).web_id for path in paths}
    assert at_b == {path: group.b.plant.tag(path).web_id for path in paths}


async def test_a_read_under_load_is_never_lost() -> None:
    async with a_group() as group:
        web_id = group.a.plant.tag(TEMP).web_id
        request = group.pi.streams.get_value(web_id)
        answered = asyncio.Event()

        async def read() -> None:
            for _ in range(10):
                (await group.client.get(request)).raise_for_status()
                answered.set()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(20):
                tasks.create_task(read())
            await answered.wait()
            await group.a.close()
    assert [switch.after for switch in group.told] == [group.b.url]


async def test_all_members_may_fail_and_come_back() -> None:
    async with a_group() as group:
        request = group.pi.dataservers.list()
        for sim in (group.a, group.b):
            sim.faults.status(503)
        assert (await group.client.get(request)).status_code == 503
        (await group.client.get(request)).raise_for_status()
    assert group.told == []


async def test_without_any_member_the_failure_is_told() -> None:
    async with a_group() as group:
        await group.a.close()
        await group.b.close()
        with pytest.raises(HTTPClientError, match="got no answer"):
            await group.client.get(group.pi.dataservers.list())


async def test_a_write_is_sent_again_only_where_none_was_received() -> None:
    async with a_group() as group:
        web_id = group.a.plant.tag(TEMP).web_id
        request = group.pi.streams.update_value(web_id, {"Value": 1.0})
        group.a.faults.status(503)
        refused = await group.client.post(request)
        assert (refused.status_code, refused.url[:30]) == (503, group.a.url[:30])
        await group.a.close()
        response = await group.client.post(request)
    assert response.url.startswith(group.b.url)


async def test_a_slow_query_is_not_the_fault_of_a_member_that_answers_others() -> None:
    async with a_group() as group:
        group.a.faults.slow(30.0, path="/points")
        quick, slow = group.pi.dataservers.list(), group.pi.points.get_by_path(r"\\S\T")
        failing = asyncio.create_task(group.client.get(slow, timeout=0.1))
        while not failing.done():
            await group.client.get(quick)
        with pytest.raises(HTTPClientError, match=r"none within 0\.1 s"):
            await failing
    assert group.told == []


async def test_a_member_that_hangs_is_left() -> None:
    async with a_group(timeout=0.2) as group:
        group.a.faults.slow(30.0)
        (await group.client.get(group.pi.dataservers.list())).raise_for_status()
    assert group.members.current == group.b.url


async def test_a_request_for_another_server_is_refused() -> None:
    async with a_group() as group:
        with pytest.raises(UsageError, match="at none of the members"):
            await group.client.get(Controller("https", "x").dataservers.list())


async def test_a_member_behind_which_nothing_answers_is_left_soon() -> None:
    with socket() as deaf, socket() as first, socket() as second:
        # Nobody accepts, and there is no room for a third that waits.
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for caller in (first, second):
            caller.setblocking(False)
            caller.connect_ex(deaf.getsockname())
        async with a_group() as group:
            url = f"http://127.0.0.1:{deaf.getsockname()[1]}/piwebapi"
            members = Members([url, group.b.url])
            request = Controller.from_url(url).dataservers.list()
            async with FailoverClient(members, connect_timeout=0.2) as client:
                (await client.get(request)).raise_for_status()
    reason = members.statistics()[url]["reason"]
    assert reason == "no connection within 0.2 s"


@pytest.mark.parametrize("web_id_type", ["IDOnly", "LocalIDOnly"])
async def test_web_ids_that_pi_told_with_a_path_are_known_everywhere(
    web_id_type: str,
) -> None:
    async with a_group() as group:
        path = group.a.plant.tag(TEMP).path
        point = await group.client.get(
            group.pi.points.get_by_path(path, web_id_type=web_id_type)
        )
        await group.a.close()
        response = await group.client.get(group.pi.points.get(point.web_id))
    assert (response.name, group.members.current) == (TEMP, group.b.url)


async def test_a_web_id_that_means_something_else_elsewhere_is_not_sent() -> None:
    async with a_group() as group:
        request = group.pi.points.get(group.a.plant.tag(TEMP).web_id_as("LocalIDOnly"))
        await group.a.close()
        with pytest.raises(HTTPClientError, match="may be another object"):
            await group.client.get(request)


async def test_a_query_that_no_member_can_answer_moves_nobody() -> None:
    async with a_group() as group:
        for sim in (group.a, group.b):
            sim.faults.status(502, count=None, path="/points")
        bad = group.pi.points.get_by_path(r"\\S\T")
        good = group.pi.dataservers.list()
        answers = await asyncio.gather(*map(group.client.get, [bad, good] * 10))
    assert [answer.status_code for answer in answers] == [502, 200] * 10
    assert group.told == []


async def test_a_write_that_a_member_refuses_moves_those_that_follow() -> None:
    async with a_group() as group:
        group.a.faults.status(503)
        body = {"Value": 1.0}
        write = group.pi.streams.update_value(group.a.plant.tag(TEMP).web_id, body)
        first, second = [await group.client.post(write) for _ in range(2)]
    assert first.status_code == 503
    assert second.url.startswith(group.b.url)
