"""One limiter for all clients of a server keeps it from being overrun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from yarl import URL

from pichannels import clock
from pichannels.channels import BaseChannel
from pichannels.errors import Backpressure
from pichannels.limiter import Limits, Priority
from pichannels.piwebasync import APIRequest, Controller, HTTPClient, Limiter
from pichannels.piwebasync.exceptions import HTTPClientError
from pichannels.piwebasync.limiting import Limiters, limiter_for
from pichannels.simulator import Plant, Simulator

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Server

FAST = Limits(rate=1000, concurrency=1)


@asynccontextmanager
async def a_server() -> AsyncIterator[tuple[Simulator, APIRequest]]:
    async with Simulator(Plant(tags=10, activity=0), poll=60) as sim:
        url = URL(sim.url)
        pi = Controller(url.scheme, str(url.host), url.port, url.path)
        yield sim, pi.dataservers.list()


async def test_a_storm_of_429_is_answered_by_far_fewer_requests(
    server: Server,
) -> None:
    limiter = Limiter(Limits(rate=100, settle=0.02, slowest=0.2))
    times: list[float] = []

    async def refuse(request: web.Request) -> web.Response:
        times.append(clock.monotonic())
        return web.json_response({"Errors": ["Rate limit was reached."]}, status=429)

    server.handler = refuse
    request = server.controller.dataservers.list()
    async with (
        HTTPClient(limiter=limiter) as one,
        HTTPClient(limiter=limiter, priority="history") as other,
    ):
        await asyncio.gather(*(client.get(request) for client in (one, other) * 10))
    # At the full rate they were over after a fifth of a second.
    assert times[-1] - times[0] > 2 * len(times) / 100
    assert limiter.statistics()["rate"] == 20


async def test_a_storm_from_the_simulator_never_exceeds_the_limit() -> None:
    limiter = Limiter(Limits(rate=50, fall=0.9, settle=0.2))
    async with a_server() as (sim, request), HTTPClient(limiter=limiter) as client:
        sim.faults.status(429, count=None)
        began = clock.monotonic()
        await asyncio.gather(*(client.get(request) for _ in range(30)))
        took = clock.monotonic() - began
    assert sim.faults.counts["status"] == 30
    assert 30 / took <= 50


async def test_the_servers_own_limit_is_never_reached() -> None:
    limiter = Limiter(Limits(rate=40))
    async with Simulator(Plant(tags=5), poll=60, rate_limit=45) as sim:
        url = URL(sim.url)
        request = Controller("http", str(url.host), url.port, url.path).system.status()
        async with HTTPClient(limiter=limiter) as client:
            await asyncio.gather(*(client.get(request) for _ in range(60)))
    assert limiter.statistics()["too_many"] == 0


async def test_retry_after_is_kept() -> None:
    async with a_server() as (sim, request):
        limiter = Limiter(Limits(rate=1000))
        sim.faults.status(503, retry_after=0.3)
        async with HTTPClient(limiter=limiter) as client:
            await client.get(request)
            began = clock.monotonic()
            await client.get(request)
    assert clock.monotonic() - began >= 0.29


async def test_live_requests_go_before_history() -> None:
    order: list[Priority] = []

    async def ask(priority: Priority) -> None:
        async with limiter.turn(priority) as turn:
            order.append(priority)
            await asyncio.sleep(0)
            turn.answered(200, {})

    limiter = Limiter(FAST)
    priorities: tuple[Priority, ...] = ("history", "history", "live", "live")
    async with limiter.turn():
        asked = [asyncio.create_task(ask(priority)) for priority in priorities]
        await asyncio.sleep(0)
    await asyncio.gather(*asked)
    assert order == ["live", "live", "history", "history"]


async def test_paused_history_waits_until_it_is_resumed() -> None:
    limiter = Limiter(FAST)
    limiter.pause_history()

    async def ask() -> None:
        async with limiter.turn("history"):
            pass

    task = asyncio.create_task(ask())
    await asyncio.sleep(0.01)
    assert limiter.statistics()["waiting_history"] == 1
    limiter.resume_history()
    await task


async def test_cancelled_requests_leave_their_place_to_others() -> None:
    limiter = Limiter(FAST)

    async def ask() -> None:
        async with limiter.turn():
            await asyncio.sleep(60)

    tasks = [asyncio.create_task(ask()) for _ in range(5)]
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    async with asyncio.timeout(10), limiter.turn() as turn:
        turn.answered(200, {})
    assert limiter.statistics()["running_live"] == 0
    assert limiter.statistics()["rate"] == 1000


async def test_a_server_that_does_not_answer_is_asked_less(unused_port: int) -> None:
    limiter = Limiter(Limits(rate=100))
    request = Controller("http", "127.0.0.1", unused_port).dataservers.list()
    async with HTTPClient(limiter=limiter) as client:
        with pytest.raises(HTTPClientError):
            await client.get(request)
    assert limiter.statistics()["rate"] == 50


async def test_too_many_waiting_requests_are_told() -> None:
    limiter = Limiter(FAST, max_waiting=1)

    async def ask() -> None:
        async with limiter.turn():
            pass

    async with limiter.turn():
        waiting = asyncio.create_task(ask())
        await asyncio.sleep(0)
        with pytest.raises(Backpressure, match="1 waiting request"):
            await ask()
    await waiting


async def test_whoever_asks_a_server_shares_its_limiter() -> None:
    limiters = Limiters()
    one = limiters.of("https://PI.test/piwebapi")
    assert limiters.of("wss://pi.test:443/piwebapi/streams/W/channel") is one
    assert limiters.of("http://pi.test/piwebapi") is not one


async def test_members_of_a_logical_server_share_one_limiter() -> None:
    limiters = Limiters()
    one = limiters.of("https://pi1.test", "https://pi2.test")
    assert limiters.of("https://pi2.test") is one
    assert list(limiters.statistics()) == ["pi1.test:443"]


async def test_a_server_may_have_limits_of_its_own() -> None:
    special = {"pi.test": Limits(rate=5), "pi.test:8443": Limits(rate=7)}
    limiters = Limiters(Limits(rate=99), special)
    urls = ("https://pi.test", "https://pi.test:8443", "https://other.test")
    rates = [limiters.of(url).statistics()["rate"] for url in urls]
    assert rates == [5, 7, 99]


async def test_what_is_in_a_channel_uses_the_limiters_above_it() -> None:
    channel = BaseChannel("above")
    below = channel.fork(name="below")
    channel.limiters = Limiters()
    limiter = limiter_for(below, "https://pi.test")
    assert limiter is channel.limiters.of("https://pi.test")
    assert limiter_for(None, "https://pi.test") is not limiter
