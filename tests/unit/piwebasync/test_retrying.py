"""A read is tried again where that may help, and a write never is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from pichannels import clock
from pichannels.piwebasync import Controller, HTTPClient
from pichannels.piwebasync.exceptions import HTTPClientError
from pichannels.retry import RetryPolicy
from pichannels.simulator import Plant, Simulator

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Server

SOON = RetryPolicy(attempts=3, initial=0.001, maximum=1.0)


def failing(server: Server, *statuses: int, after: str | None = None) -> None:
    """Have the server answer so, and then well."""
    rest = iter(statuses)

    async def answer(request: web.Request) -> web.Response:
        status = next(rest, 200)
        headers = {"Retry-After": after} if after and status != 200 else {}
        return web.json_response({"WebId": "W"}, status=status, headers=headers)

    server.handler = answer


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_server_that_is_busy_is_asked_again(
    server: Server, status: int
) -> None:
    failing(server, status, status)
    async with HTTPClient(retry=SOON) as client:
        response = await client.get(server.controller.dataservers.list())
    assert (response.status_code, len(server.requests)) == (200, 3)


@pytest.mark.parametrize("status", [400, 401, 404, 500])
async def test_what_will_not_change_is_asked_once(server: Server, status: int) -> None:
    failing(server, status)
    async with HTTPClient(retry=SOON) as client:
        response = await client.get(server.controller.dataservers.list())
    assert (response.status_code, len(server.requests)) == (status, 1)


async def test_the_last_answer_is_returned(server: Server) -> None:
    failing(server, *[503] * 9)
    async with HTTPClient(retry=SOON) as client:
        response = await client.get(server.controller.dataservers.list())
    assert (response.status_code, len(server.requests)) == (503, 3)


async def test_retry_after_is_waited_for(server: Server) -> None:
    failing(server, 429, after="0.2")
    began = clock.monotonic()
    async with HTTPClient(retry=SOON) as client:
        await client.get(server.controller.dataservers.list())
    assert 0.2 <= clock.monotonic() - began < 1.0


async def test_a_longer_retry_after_than_allowed_is_left_to_the_caller(
    server: Server,
) -> None:
    failing(server, 503, after="60")
    async with HTTPClient(retry=SOON) as client:
        response = await client.get(server.controller.dataservers.list())
    assert (response.status_code, len(server.requests)) == (503, 1)


async def test_a_write_is_sent_once(server: Server) -> None:
    failing(server, 503)
    request = server.controller.streams.update_value("W", {"Value": 1})
    async with HTTPClient(retry=SOON) as client:
        response = await client.post(request)
    assert (response.status_code, len(server.requests)) == (503, 1)


async def test_cut_answers_and_web_exceptions_are_asked_for_again() -> None:
    async with Simulator(Plant(tags=5), poll=60) as sim:
        sim.faults.truncate(abort=True)
        sim.faults.web_exception()
        async with HTTPClient(retry=SOON) as client:
            answer = await client.get(Controller.from_url(sim.url).dataservers.list())
        answer.raise_for_status()
    assert sim.faults.counts == {"truncate": 1, "web_exception": 1}


async def test_a_server_that_is_not_there_is_told_in_the_end(unused_port: int) -> None:
    request = Controller("http", "127.0.0.1", unused_port).dataservers.list()
    async with HTTPClient(retry=SOON) as client:
        with pytest.raises(HTTPClientError, match="got no answer"):
            await client.get(request)
