"""Points are found in bulk, and what is not found is told path by path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from aiohttp import web
from yarl import URL

from pichannels.errors import DecodeError
from pichannels.piwebasync import Controller, HTTPClient
from pichannels.piwebasync.exceptions import HTTPClientError, HTTPStatusError
from pichannels.piwebasync.resolve import (
    Point,
    Resolution,
    find_points,
    parse_points_multiple,
    resolve_paths,
)
from pichannels.simulator import Plant, Simulator
from pichannels.values import Tag

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Server

FIXTURES = Path(__file__).parents[2] / "fixtures" / "piwebapi"


def controller_of(sim: Simulator) -> Controller:
    url = URL(sim.url)
    return Controller(url.scheme, str(url.host), url.port, url.path)


def test_points_and_failures_are_told_by_path() -> None:
    raw = (FIXTURES / "d30_points_multiple_207.json").read_bytes()
    known, unknown = r"\\simsrv\Unit1.TI101.PV", r"\\SIMSRV\nosuch"
    found = parse_points_multiple(raw, [known, unknown, r"\\SIMSRV\left.out"])
    assert found.points[known].id == 7
    assert found.failures == {
        unknown: "The specified path was not found.",
        r"\\SIMSRV\left.out": "it is missing in PI's answer",
    }


def test_a_resolution_can_be_kept_and_read_again() -> None:
    point = Point("W", "T", r"\\S\T", 7, engineering_units="°C", future=True)
    found = Resolution({r"\\S\T": point}, {r"\\S\U": "gone"})
    text = msgspec.json.encode(found)
    assert msgspec.json.decode(text, type=Resolution) == found


def test_the_tag_of_a_point_has_the_id_as_key() -> None:
    point = Point("W", "T", r"\\S\T", 7, engineering_units="°C")
    assert point.tag("plant") == Tag("T", r"\\S\T", "W", "plant", "7", "°C")


async def test_many_paths_are_resolved_in_few_requests() -> None:
    async with Simulator(Plant(tags=300, activity=0), poll=60) as sim:
        paths = [tag.path for tag in sim.tags]
        wrong = [r"\\SIMSRV\no such tag", "UNIT1"]
        async with HTTPClient() as client:
            found = await resolve_paths(client, controller_of(sim), paths + wrong)
        web_ids = {path: point.web_id for path, point in found.points.items()}
        assert web_ids == {tag.path: tag.web_id for tag in sim.tags}
        assert set(found.failures) == set(wrong)


async def test_a_name_filter_reads_all_pages() -> None:
    async with Simulator(Plant(tags=95, activity=0), poll=60) as sim:
        async with HTTPClient() as client:
            server = sim.plant.tag(sim.tags[0].name).path.split("\\")[2]
            found = await find_points(client, controller_of(sim), server, page=10)
        assert {p.name for p in found} == {tag.name for tag in sim.tags}
        assert {p.engineering_units for p in found} >= {sim.tags[0].units}


async def test_an_unknown_server_is_told() -> None:
    async with Simulator(Plant(tags=10, activity=0), poll=60) as sim:
        async with HTTPClient() as client:
            with pytest.raises(HTTPStatusError):
                await find_points(client, controller_of(sim), "NOSUCH")


async def test_a_lost_server_is_told_as_such(unused_port: int) -> None:
    controller = Controller("http", "127.0.0.1", unused_port)
    paths = [rf"\\S\{n:0100d}" for n in range(100)]
    async with HTTPClient() as client:
        with pytest.raises(HTTPClientError):
            await resolve_paths(client, controller, paths)


async def test_an_answer_without_points_is_not_understood(server: Server) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"Items": [{"Name": 1}]})

    server.handler = answer
    async with HTTPClient() as client:
        with pytest.raises(DecodeError, match="a data server"):
            await find_points(client, server.controller, "S")


async def test_one_refused_request_ends_the_resolution(server: Server) -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.json_response({"Errors": ["Rate limit was reached."]}, status=429)

    server.handler = refuse
    paths = [rf"\\S\{n:0100d}" for n in range(100)]
    async with HTTPClient() as client:
        with pytest.raises(HTTPStatusError, match="Rate limit") as caught:
            await resolve_paths(client, server.controller, paths)
    assert caught.value.status_code == 429
