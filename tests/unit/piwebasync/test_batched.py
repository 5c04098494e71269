"""Many reads go out as few PI batches, or one by one where a server has none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from pichannels import clock
from pichannels.errors import DecodeError
from pichannels.limiter import Limits
from pichannels.piwebasync import Controller, HTTPClient, Limiter
from pichannels.piwebasync.assets import Attribute
from pichannels.piwebasync.batched import Reader
from pichannels.piwebasync.bulk import read_list
from pichannels.piwebasync.exceptions import HTTPStatusError
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.server import PIServer
from pichannels.simulator import Plant, Simulator

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Server

REFUSALS = [400, 403, 404, 405, 413, 501]


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    plant = Plant(tags=50, activity=0)
    async with Simulator(plant, poll=60, rate_limit=0) as running:
        yield running


@pytest.fixture
async def client(sim: Simulator) -> AsyncIterator[HTTPClient]:
    async with PIServer(url=sim.url).client() as opened:
        yield opened


def reader(sim: Simulator, client: HTTPClient, **options: Any) -> Reader:
    return Reader(client, PIServer(url=sim.url).controller(), **options)


def points(sim: Simulator, count: int) -> list[APIRequest]:
    pi = PIServer(url=sim.url).controller()
    return [pi.points.get(tag.web_id) for tag in sim.plant.tags[:count]]


@pytest.mark.parametrize(("count", "requests"), [(0, 0), (1, 1), (20, 1), (41, 3)])
async def test_answers_come_in_order_in_few_requests(
    sim: Simulator, client: HTTPClient, count: int, requests: int
) -> None:
    answers = await reader(sim, client, size=20).get(points(sim, count))
    names = [answer.dict()["Name"] for answer in answers]
    assert names == [tag.name for tag in sim.plant.tags[:count]]
    assert sim.requests == requests


async def test_an_answer_is_that_of_a_request_of_its_own(
    sim: Simulator, client: HTTPClient
) -> None:
    request, other = points(sim, 2)
    answer, _ = await reader(sim, client).get([request, other])
    alone = await client.get(request)
    assert answer.dict() == alone.dict() and answer.url == alone.url
    assert answer.headers["Content-Type"] == alone.headers["Content-Type"]


async def test_a_limited_client_asks_as_slowly_as_for_each_part(sim: Simulator) -> None:
    limiter = Limiter(Limits(rate=40))
    async with PIServer(url=sim.url).client(limiter=limiter) as client:
        began = clock.monotonic()
        answers = await reader(sim, client).get(points(sim, 20))
        took = clock.monotonic() - began
    assert [answer.status_code for answer in answers] == [200] * 20
    assert sim.requests == 2 and took > 0.2


async def test_a_part_fails_alone(sim: Simulator, client: HTTPClient) -> None:
    sim.faults.tag(sim.plant.tags[1].name, 403)
    answers = await reader(sim, client).get(points(sim, 3))
    assert [answer.status_code for answer in answers] == [200, 403, 200]


@pytest.mark.parametrize("status", REFUSALS)
async def test_without_batches_each_read_is_a_request(
    sim: Simulator, client: HTTPClient, status: int
) -> None:
    sim.faults.status(status, count=None, path="/batch")
    asking = reader(sim, client, size=5)
    answers = [*await asking.get(points(sim, 20)), *await asking.get(points(sim, 9))]
    assert [answer.status_code for answer in answers] == [200] * 29
    assert sim.requests == 1 + 29 and asking.refused


@pytest.mark.parametrize("status", [401, 500, 503])
async def test_other_failures_are_told(
    sim: Simulator, client: HTTPClient, status: int
) -> None:
    sim.faults.status(status, count=None, path="/batch")
    with pytest.raises(HTTPStatusError, match=str(status)):
        await reader(sim, client).get(points(sim, 3))


async def test_a_batch_goes_on_at_another_server(sim: Simulator) -> None:
    sim.faults.status(503, count=None)
    async with Simulator(Plant(tags=50, activity=0), poll=60) as other:
        pi = PIServer(url=sim.url, others=(other.url,))
        async with pi.client() as client:
            answers = await Reader(client, pi.controller()).get(points(sim, 3))
    names = [answer.dict()["Name"] for answer in answers]
    assert names == [tag.name for tag in sim.plant.tags[:3]]
    assert other.requests < 3


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_batch_that_failed_once_is_sent_again(
    sim: Simulator, client: HTTPClient, status: int
) -> None:
    sim.faults.status(status, path="/batch")
    answers = await reader(sim, client).get(points(sim, 3))
    assert [answer.status_code for answer in answers] == [200] * 3


@pytest.mark.parametrize("path", ["points", "batch"])
async def test_what_the_rate_limit_refuses_is_asked_for_again(
    sim: Simulator, client: HTTPClient, path: str
) -> None:
    sim.faults.status(429, count=2, path=path)
    answers = await reader(sim, client, pauses=(0.01, 0.02)).get(points(sim, 9))
    assert [answer.status_code for answer in answers] == [200] * 9


async def test_a_rate_limit_that_stays_is_told(
    sim: Simulator, client: HTTPClient
) -> None:
    sim.faults.status(429, count=None, path="points")
    answers = await reader(sim, client, pauses=(0.01,)).get(points(sim, 3))
    assert [answer.status_code for answer in answers] == [429] * 3
    assert sim.requests == 2


async def test_half_a_body_is_no_success(sim: Simulator, client: HTTPClient) -> None:
    sim.faults.truncate(path="points")
    answers = await reader(sim, client).get(points(sim, 2))
    with pytest.raises(HTTPStatusError, match="no JSON"):
        for answer in answers:
            answer.raise_for_status()


def pages_of(sim: Simulator, web_id: str) -> Callable[[int], APIRequest]:
    """Pages of three of all attributes of an element."""
    pi = PIServer(url=sim.url).controller()
    return lambda start: pi.elements.get_attributes(
        web_id, search_full_hierarchy=True, start_index=start, max_count=3
    )


def element(sim: Simulator, name: str) -> str:
    found = sim.assets.element(rf"\\SIMAF\Plant\Site\Area1\Unit1\{name}")
    assert found is not None
    return found.web_id_as("Full")


async def test_lists_of_a_batch_are_read_page_after_page(
    sim: Simulator, client: HTTPClient
) -> None:
    names = ["Boiler", "Feed", "Tank1"]
    builds = [pages_of(sim, element(sim, name)) for name in names]
    lists = await reader(sim, client).get_lists(builds, Attribute)
    alone = [await read_list(client, build, Attribute) for build in builds]
    assert lists == alone and min(len(one) for one in lists) > 3


async def test_a_list_that_is_not_there_is_empty(
    sim: Simulator, client: HTTPClient
) -> None:
    web_ids = ["F1Em" + "A" * 44, element(sim, "Boiler")]
    builds = [pages_of(sim, web_id) for web_id in web_ids]
    lists = await reader(sim, client).get_lists(builds, Attribute)
    assert lists[0] == [] and len(lists[1]) > 3


async def test_a_path_that_only_a_proxy_knows_is_not_in_a_batch(
    sim: Simulator, server: Server
) -> None:
    async def forward(request: web.Request) -> web.Response:
        url = sim.url + request.path_qs.removeprefix("/proxied/piwebapi")
        headers = {"X-Requested-With": "proxy"}
        body = await request.read()
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(request.method, url, data=body) as answer,
        ):
            return web.json_response(await answer.json(), status=answer.status)

    server.handler = forward
    pi = Controller("http", "127.0.0.1", server.server.port, "proxied/piwebapi")
    requests = [pi.points.get(tag.web_id) for tag in sim.plant.tags[:3]]
    async with HTTPClient() as client:
        answers = await Reader(client, pi).get(requests)
    assert [answer.status_code for answer in answers] == [200] * 3


@pytest.mark.parametrize("text", ["[]", "{}", '{"0": {"Status": "x"}}', "<html>"])
async def test_an_answer_that_is_none_is_told(server: Server, text: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=text, status=207, content_type="image/png")

    server.handler = answer
    requests = [server.controller.points.get(web_id) for web_id in "AB"]
    async with HTTPClient() as client:
        with pytest.raises(DecodeError, match="the answer to a batch"):
            await Reader(client, server.controller).get(requests)
