"""History comes whole, each event once, however many there are and of how many."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from aiohttp import web

from pichannels import clock
from pichannels.errors import UsageError
from pichannels.piwebasync import Controller, HTTPClient
from pichannels.piwebasync.exceptions import (
    APIException,
    HTTPClientError,
    HTTPStatusError,
)
from pichannels.piwebasync.failover import FailoverClient
from pichannels.piwebasync.history import interpolated, recorded, values
from pichannels.piwebasync.server import PIServer
from pichannels.simulator import Member, Plant, Simulator, State
from pichannels.values import DigitalState, Sample, Tag, format_ticks, parse_ticks

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Server

HOUR = 36_000_000_000
TEMP, PUMP = "UNIT1.BOILER.TEMP", "UNIT1.PUMP1.STATUS"


class Place(NamedTuple):
    sim: Simulator
    client: HTTPClient
    pi: Controller
    start: int
    end: int

    def web_id(self, name: str = TEMP) -> str:
        return self.sim.plant.tag(name).web_id

    def truth(self, name: str) -> list[tuple[str, int]]:
        events = self.sim.truth(name, self.start, self.end)
        return [(name, event.ticks) for event in events]

    def asked(self) -> int:
        return self.sim.faults.counts["slow"]


@asynccontextmanager
async def a_place(
    tags: int = 20, hours: float = 2, activity: float = 1.0, **options: Any
) -> AsyncIterator[Place]:
    end = clock.now() - HOUR
    async with Simulator(
        Plant(tags=tags, activity=activity), poll=60, **options
    ) as sim:
        sim.faults.slow(0.0)  # Counts the requests.
        async with HTTPClient() as client:
            start = end - round(hours * HOUR)
            yield Place(sim, client, Controller.from_url(sim.url), start, end)


def named(samples: Sequence[Sample]) -> list[tuple[str, int]]:
    return [(sample.tag.name, sample.ticks) for sample in samples]


async def test_a_long_range_comes_whole_and_in_order() -> None:
    async with a_place() as place:
        found = recorded(
            place.client, place.pi, place.web_id(), place.start, place.end, page=100
        )
        samples = [sample async for sample in found]
        assert named(samples) == place.truth(TEMP)
    assert found.count == len(samples) > 100
    assert place.asked() >= len(samples) // 100


async def test_many_streams_come_whole_over_urls_of_a_length() -> None:
    async with a_place(hours=0.5) as place:
        names = [tag.name for tag in place.sim.tags]
        web_ids = [place.web_id(name) for name in names]
        found = recorded(
            place.client,
            place.pi,
            web_ids,
            place.start,
            place.end,
            page=50,
            url_limit=600,
        )
        samples = [sample async for sample in found]
        truth = [event for name in names for event in place.truth(name)]
    assert Counter(named(samples)) == Counter(truth)
    assert found.failures == {}


async def test_more_events_of_one_instant_than_a_page_holds_all_come() -> None:
    async with a_place(activity=0) as place:
        for value in range(25):
            place.sim.push(TEMP, float(value % 2), place.start + HOUR)
        found = recorded(
            place.client, place.pi, place.web_id(), place.start, place.end, page=4
        )
        samples = [sample async for sample in found]
    assert [sample.value for sample in samples] == [n % 2 for n in range(25)]
    assert len({sample.event_id for sample in samples}) == 25


async def test_an_instant_that_no_answer_holds_is_told() -> None:
    async with a_place(activity=0, max_items=10) as place:
        for _ in range(25):
            place.sim.push(TEMP, 1.0, place.start + HOUR)
        found = recorded(
            place.client,
            place.pi,
            place.web_id(),
            place.start,
            place.end,
            item_limit=10,
        )
        with pytest.raises(APIException, match="more than 10 events at"):
            [sample async for sample in found]


@pytest.mark.parametrize("most", [60, 500])
async def test_a_server_that_gives_less_is_asked_for_less(most: int) -> None:
    async with a_place(max_items=most) as place:
        names = [TEMP, "UNIT1.BOILER.PRESSURE", "UNIT1.FEED.FLOW"]
        web_ids = [place.web_id(name) for name in names]
        found = recorded(place.client, place.pi, web_ids, place.start, place.end)
        samples = [sample async for sample in found]
        truth = [event for name in names for event in place.truth(name)]
    assert Counter(named(samples)) == Counter(truth)


async def test_a_stream_that_pi_does_not_know_costs_no_other() -> None:
    async with a_place(hours=0.2) as place:
        unknown = place.sim.plant.server.web_id().replace("DS", "DP")
        web_ids = [place.web_id(), unknown, place.web_id(PUMP)]
        found = recorded(place.client, place.pi, web_ids, place.start, place.end)
        samples = [sample async for sample in found]
        truth = place.truth(TEMP) + place.truth(PUMP)
    assert Counter(named(samples)) == Counter(truth)
    assert list(found.failures) == [unknown]


async def test_one_stream_that_pi_refuses_raises() -> None:
    async with a_place() as place:
        place.sim.faults.tag(TEMP, 403)
        found = recorded(place.client, place.pi, place.web_id(), place.start)
        with pytest.raises(HTTPClientError, match="denied"):
            [sample async for sample in found]


async def test_the_tags_are_those_of_the_caller() -> None:
    async with a_place(hours=0.1) as place:
        tag = Tag("boiler", server="plant", key="1")
        found = recorded(
            place.client,
            place.pi,
            place.web_id(),
            place.start,
            place.end,
            tags={place.web_id(): tag},
        )
        assert {sample.tag async for sample in found} == {tag}


async def test_states_are_states() -> None:
    async with a_place(hours=5) as place:
        found = recorded(place.client, place.pi, place.web_id(PUMP), place.start)
        values = {type(sample.value) async for sample in found}
    assert values == {DigitalState}


def reading() -> int:
    """How many pages are on their way."""
    names = [task.get_name() for task in asyncio.all_tasks()]
    return names.count("read history")


async def test_one_page_is_on_its_way_while_one_is_taken_and_none_after() -> None:
    async with a_place() as place:
        found = recorded(
            place.client, place.pi, place.web_id(), place.start, place.end, page=100
        )
        pages = found.pages()
        await anext(pages)
        assert reading() == 1
        await pages.aclose()
        assert reading() == 0


async def test_history_goes_on_at_another_member() -> None:
    async with (
        a_place() as place,
        Member(place.sim) as other,
        PIServer(url=place.sim.url, others=(other.url,)).client() as client,
    ):
        assert isinstance(client, FailoverClient)
        web_ids = [place.web_id(), place.web_id(PUMP)]
        found = recorded(client, place.pi, web_ids, place.start, place.end, page=100)
        samples: list[Sample] = []
        async for page in found.pages():
            samples += page
            if client.members.current == place.sim.url:
                await place.sim.close()
        truth = place.truth(TEMP) + place.truth(PUMP)
    assert client.members.current == other.url
    assert Counter(named(samples)) == Counter(truth)
    assert {s.tag.web_id for s in samples} == set(web_ids)


async def test_values_at_equal_distances_come_in_parts() -> None:
    async with a_place(hours=1) as place:
        web_ids = [place.web_id(), place.web_id("UNIT1.FEED.FLOW")]
        found = interpolated(
            place.client,
            place.pi,
            web_ids,
            place.start,
            place.end,
            60.5,
            item_limit=14,
        )
        samples = [sample async for sample in found]
    step = 605_000_000
    expected = list(range(place.start, place.end + 1, step))
    for web_id in web_ids:
        assert [s.ticks for s in samples if s.tag.web_id == web_id] == expected
    assert place.asked() == -(-len(expected) // 7)


@pytest.mark.parametrize("most", [1, 5])
async def test_a_server_that_gives_fewer_values_is_asked_for_fewer(most: int) -> None:
    async with a_place(hours=1, max_items=most) as place:
        web_ids = [place.web_id(), place.web_id("UNIT1.FEED.FLOW")]
        found = interpolated(
            place.client, place.pi, web_ids, place.start, place.end, 600
        )
        samples = [sample async for sample in found]
    assert Counter(sample.tag.web_id for sample in samples) == dict.fromkeys(web_ids, 7)


async def test_the_present_values_of_many_streams_come_over_short_urls() -> None:
    async with a_place() as place:
        names = [tag.name for tag in place.sim.tags]
        web_ids = [place.web_id(name) for name in names]
        found = values(place.client, place.pi, web_ids, url_limit=500)
        samples = [sample async for sample in found]
    assert [sample.tag.name for sample in samples] == names
    assert place.asked() > 3


@pytest.mark.parametrize("known", [True, False])
async def test_the_value_of_one_stream_at_a_time(known: bool) -> None:
    async with a_place() as place:
        tag = place.sim.plant.tag(PUMP)
        tags = {tag.web_id: Tag(PUMP)} if known else None
        found = values(place.client, place.pi, tag.web_id, place.end, tags=tags)
        (sample,) = [sample async for sample in found]
        event = place.sim.truth(PUMP, place.end - 10 * HOUR, place.end)[-1]
    assert isinstance(event.value, State)
    assert (sample.tag.name, sample.value.name) == (PUMP, event.value.name)


@pytest.mark.parametrize(
    ("start", "end", "interval"), [("*-1d", "*", 60), (0, 10, 0), (10, 0, 60)]
)
def test_distances_need_fixed_times(start: Any, end: Any, interval: float) -> None:
    with pytest.raises(UsageError):
        interpolated(HTTPClient(), Controller("https", "x"), "W", start, end, interval)


def test_a_time_without_zone_is_told() -> None:
    with pytest.raises(UsageError, match="no time zone"):
        recorded(HTTPClient(), Controller("https", "x"), "W", datetime(2023, 1, 1))


async def test_a_set_in_which_tags_are_known_keeps_to_the_length_of_urls() -> None:
    async with a_place(hours=0.1) as place:
        tags = {tag.web_id: Tag(tag.name) for tag in place.sim.tags}
        found = recorded(
            place.client,
            place.pi,
            list(tags),
            place.start,
            place.end,
            tags=tags,
            url_limit=500,
        )
        samples = [sample async for sample in found]
        truth = [e for tag in place.sim.tags for e in place.truth(tag.name)]
    assert Counter(named(samples)) == Counter(truth)
    assert place.asked() < len(tags)


@pytest.mark.parametrize("count", [1, 3, 20])
async def test_a_request_that_is_wrong_is_told_after_few_tries(count: int) -> None:
    async with a_place() as place:
        web_ids = [tag.web_id for tag in place.sim.tags[:count]]
        found = recorded(place.client, place.pi, web_ids, "nonsense")
        with pytest.raises(HTTPStatusError, match="'nonsense' could not be parsed"):
            [sample async for sample in found]
    assert place.asked() < 12


async def test_streams_of_which_none_can_be_read_raise() -> None:
    async with a_place() as place:
        unknown = [
            f"{place.web_id()[:26]}AAAA{letter}A{place.web_id()[32:]}"
            for letter in "BCD"
        ]
        found = recorded(place.client, place.pi, unknown, place.start)
        with pytest.raises(HTTPStatusError, match="404"):
            [sample async for sample in found]
    assert list(found.failures) == unknown


async def test_a_long_history_takes_no_more_memory_than_a_short_one(
    server: Server,
) -> None:
    async def page(request: web.Request) -> web.Response:
        first = parse_ticks(request.query["startTime"])
        last = min(first + 200, 10_000)
        events = [
            {"Timestamp": format_ticks(n), "Value": n} for n in range(first, last)
        ]
        return web.json_response({"Items": [{"WebId": "W", "Items": events}]})

    server.handler = page
    peaks: list[int] = []
    async with HTTPClient() as client:
        found = recorded(client, server.controller, "W", 1, page=200)
        tracemalloc.start()
        try:
            async for _ in found.pages():
                peaks.append(tracemalloc.get_traced_memory()[1])
                tracemalloc.reset_peak()
        finally:
            tracemalloc.stop()
    assert (found.count, len(peaks)) == (9_999, 51)
    assert max(peaks[-10:]) < 1.5 * max(peaks[5:15])


async def test_a_range_that_runs_backwards_comes_backwards() -> None:
    async with a_place(hours=0.5) as place:
        found = recorded(
            place.client, place.pi, place.web_id(), place.end, place.start, page=30
        )
        ticks = [sample.ticks async for sample in found]
        truth = [ticks for _, ticks in place.truth(TEMP)]
    assert ticks == truth[::-1]
