"""Bad days of a server: everything is read in the end, and it is not overrun."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from aiohttp import web

from pichannels import clock
from pichannels.limiter import Limits
from pichannels.piwebasync import Controller, HTTPClient, Limiter
from pichannels.piwebasync.history import recorded
from pichannels.piwebasync.server import PIServer
from pichannels.retry import RetryPolicy
from pichannels.simulator import Member, Plant, Simulator

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Server

PATIENT = RetryPolicy(attempts=50, initial=0.001, maximum=1.0)
TEMP = "UNIT1.BOILER.TEMP"
HOUR = 36_000_000_000


def most_in(seconds: float, times: list[float]) -> int:
    """The largest number of requests in any such span."""
    return max(bisect_right(times, t + seconds) - n for n, t in enumerate(times))


async def test_many_clients_in_a_storm_of_429_stay_under_the_limit(
    server: Server,
) -> None:
    times: list[float] = []

    async def refuse(request: web.Request) -> web.Response:
        times.append(clock.monotonic())
        # Every other one is refused, as a server does at its limit.
        status = 429 if len(times) % 2 else 200
        return web.json_response({"Items": []}, status=status)

    server.handler = refuse
    limiter = Limiter(Limits(rate=60, fall=0.9, settle=0.2))
    request = server.controller.dataservers.list()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        for number in range(10):
            client = HTTPClient(
                limiter=limiter,
                priority="history" if number % 2 else "live",
                retry=PATIENT,
            )
            await stack.enter_async_context(client)
            reads = [client.get(request) for _ in range(3)]
            for read in reads:
                tasks.create_task(read)
    assert len(times) >= 60
    assert most_in(1.0, times) <= 60


async def test_nothing_is_asked_while_a_server_wants_to_be_left_alone(
    server: Server,
) -> None:
    times: list[float] = []

    async def refuse(request: web.Request) -> web.Response:
        times.append(clock.monotonic())
        first = len(times) == 1
        headers = {"Retry-After": "0.3"} if first else {}
        return web.json_response({}, status=429 if first else 200, headers=headers)

    server.handler = refuse
    limiter = Limiter(Limits(rate=1000, concurrency=1))
    request = server.controller.dataservers.list()
    async with (
        HTTPClient(limiter=limiter, retry=PATIENT) as one,
        HTTPClient(limiter=limiter, retry=PATIENT) as other,
    ):
        answers = await asyncio.gather(*(c.get(request) for c in (one, other) * 5))
    assert {answer.status_code for answer in answers} == {200}
    assert times[1] - times[0] >= 0.3


async def test_history_is_whole_although_answers_break_off() -> None:
    end = clock.now() - HOUR
    async with (
        Simulator(Plant(tags=10), poll=60) as sim,
        HTTPClient(retry=PATIENT) as client,
    ):
        sim.faults.truncate(abort=True, count=2, path="recorded", after=1)
        sim.faults.web_exception(count=2, path="recorded", after=1)
        sim.faults.status(503, count=3, path="recorded", after=2)
        found = recorded(
            client,
            Controller.from_url(sim.url),
            sim.plant.tag(TEMP).web_id,
            end - HOUR,
            end,
            page=50,
        )
        ticks = [sample.ticks async for sample in found]
        assert ticks == [event.ticks for event in sim.truth(TEMP, end - HOUR, end)]
    assert sim.faults.counts == {"truncate": 2, "web_exception": 2, "status": 3}


async def test_members_that_fail_in_turn_lose_no_read() -> None:
    async with (
        Simulator(Plant(tags=10, activity=0), poll=60) as a,
        Member(a) as b,
    ):
        server = PIServer(url=a.url, others=(b.url,))
        members = server.members()
        request = server.controller().streams.get_value(a.plant.tag(TEMP).web_id)
        async with server.client(retry=PATIENT) as client:
            for bad, good in ((a, b), (b, a), (a, b)):
                bad.faults.status(502, count=None)
                good.faults.clear()
                members.use(bad.url)
                reads = [client.get(request) for _ in range(20)]
                for response in await asyncio.gather(*reads):
                    response.raise_for_status()
                assert members.current == good.url
