"""Client and simulator share no code; together they show what each gets wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from yarl import URL

from pichannels import clock
from pichannels.piwebasync import APIRequest, Controller, HTTPClient, WebsocketClient
from pichannels.piwebasync.exceptions import ChannelRefused, ChannelRollback
from pichannels.piwebasync.frames import ChannelEvent, Lost
from pichannels.piwebasync.parsing import parse_channel, parse_stream_set, to_samples
from pichannels.piwebasync.splitting import RecordedPager
from pichannels.piwebasync.webids import decode
from pichannels.retry import RetryPolicy
from pichannels.simulator import Plant, Simulator
from pichannels.values import Sample, format_ticks

TEMP, FLOW = "UNIT1.BOILER.TEMP", "UNIT1.FEED.FLOW"
AT_ONCE = RetryPolicy(attempts=0, initial=0.001, maximum=0.01, jitter=1.0)
HOUR = 36_000_000_000


def controller_of(sim: Simulator) -> Controller:
    url = URL(sim.url)
    return Controller(url.scheme, str(url.host), url.port, url.path)


def channel_of(sim: Simulator, *names: str, **options: Any) -> APIRequest:
    web_ids = [sim.plant.tag(name).web_id for name in names]
    return controller_of(sim).streamsets.get_channel_adhoc(web_ids, **options)


async def samples(client: WebsocketClient, count: int) -> list[Sample]:
    found: list[Sample] = []
    while len(found) < count:
        for frame in await client.recv_many():
            found += to_samples(parse_channel(frame)).samples
    return found


def a_simulator(**options: Any) -> Simulator:
    return Simulator(Plant(tags=100, activity=0), **({"poll": 60.0} | options))


async def test_what_the_plant_measures_arrives_with_exact_time() -> None:
    async with a_simulator() as sim, WebsocketClient(channel_of(sim, TEMP)) as client:
        await sim.connected()
        event = sim.push(TEMP, 1.5)
        sim.tick()
        (sample,) = await samples(client, 1)
    assert (sample.tag.name, sample.ticks, sample.value) == (TEMP, event.ticks, 1.5)


async def test_every_kind_of_tag_has_an_initial_value_that_is_understood() -> None:
    async with Simulator(Plant(tags=150), poll=60) as sim:
        names = [tag.name for tag in sim.tags]
        request = channel_of(sim, *names, include_initial_values=True)
        async with WebsocketClient(request) as client:
            found = to_samples(parse_channel(await client.recv_raw()))
    assert {sample.tag.name for sample in found.samples} == set(names)
    assert found.failures == []


async def test_web_ids_of_the_simulator_are_decoded_and_made_again() -> None:
    async with a_simulator() as sim:
        for tag in sim.tags:
            assert decode(tag.web_id).encode() == tag.web_id


@pytest.mark.parametrize("how", ["close", "fin", "reset"])
async def test_twenty_forced_drops_are_all_survived_and_told(how: Any) -> None:
    events: list[ChannelEvent] = []
    async with a_simulator() as sim:
        client = WebsocketClient(
            channel_of(sim, TEMP),
            reconnect=True,
            backoff=AT_ONCE,
            on_event=events.append,
        )
        async with client:
            for number in range(20):
                await sim.connected()
                sim.push(TEMP, float(number))
                sim.tick()
                (sample,) = await samples(client, 1)
                assert sample.value == number
                sim.faults.drop(how)
                await sim.disconnected()
    lost = [event for event in events if isinstance(event, Lost)]
    assert len(lost) >= 19


async def test_half_a_message_costs_the_connection_and_is_told() -> None:
    async with a_simulator() as sim:
        client = WebsocketClient(channel_of(sim, TEMP), reconnect=True, backoff=AT_ONCE)
        async with client:
            await sim.connected()
            sim.faults.half_message()
            sim.push(TEMP, 1.0)
            sim.tick()
            await sim.disconnected()
            await sim.connected()
            sim.push(TEMP, 2.0)
            sim.tick()
            assert [s.value for s in await samples(client, 1)] == [2.0]


async def test_oversized_and_fragmented_messages_are_whole() -> None:
    async with a_simulator() as sim, WebsocketClient(channel_of(sim, TEMP)) as client:
        await sim.connected()
        sim.faults.oversize()
        sim.push(TEMP, 1.0)
        sim.tick()
        assert [s.value for s in await samples(client, 1)] == [1.0]
        sim.faults.fragment(10)
        sim.push(TEMP, 2.0)
        sim.tick()
        assert [s.value for s in await samples(client, 1)] == [2.0]


async def test_a_stalled_server_is_found_by_its_missing_heartbeats() -> None:
    lost: asyncio.Future[Lost] = asyncio.Future()

    def note(event: ChannelEvent) -> None:
        if isinstance(event, Lost) and not lost.done():
            lost.set_result(event)

    async with a_simulator(poll=0.02) as sim:
        request = channel_of(sim, TEMP, heartbeat_rate=1)
        client = WebsocketClient(
            request, heartbeat=0.05, reconnect=True, backoff=AT_ONCE, on_event=note
        )
        async with client:
            await client.recv_raw()
            sim.faults.stall()
            task = asyncio.create_task(client.recv_raw())
            assert (await lost).reason == "silence"
            sim.faults.resume()
            await task


async def test_credentials_are_asked_for_by_the_handshake() -> None:
    async with a_simulator(auth=("user", "secret")) as sim:
        with pytest.raises(ChannelRefused) as caught:
            await WebsocketClient(channel_of(sim, TEMP))
        async with WebsocketClient(channel_of(sim, TEMP), auth=("user", "secret")) as c:
            assert c.is_open
    assert caught.value.status_code == 401


async def test_the_tag_list_changes_without_losing_the_channel() -> None:
    async with a_simulator() as sim, WebsocketClient(channel_of(sim, TEMP)) as client:
        sim.faults.status(404, path="channel")
        with pytest.raises(ChannelRollback):
            await client.update(channel_of(sim, FLOW), rollback=True)
        await client.update(channel_of(sim, TEMP, FLOW))
        await sim.connected()
        sim.push(FLOW, 2.0)
        sim.tick()
        assert [s.tag.name for s in await samples(client, 1)] == [FLOW]


async def test_history_is_read_page_by_page_as_the_archive_holds_it() -> None:
    async with Simulator(Plant(tags=30), poll=60) as sim:
        end = clock.now() - HOUR
        start = end - 6 * HOUR
        controller = controller_of(sim)

        def build(web_ids: Sequence[str], at: str, count: int) -> APIRequest:
            return controller.streamsets.get_recorded_adhoc(
                web_ids, start_time=at, end_time=format_ticks(end), max_count=count
            )

        tags = sim.tags[:5]
        ids = [tag.web_id for tag in tags]
        pager = RecordedPager(build, ids, format_ticks(start), max_count=97)
        counts = dict.fromkeys((tag.name for tag in tags), 0)
        async with HTTPClient() as client:
            while pager.request is not None:
                response = await client.get(pager.request)
                response.raise_for_status()
                page = pager.feed(parse_stream_set(response.raw_response))
                for sample in to_samples(page).samples:
                    counts[sample.tag.name] += 1
            whole = await client.get(build(ids, format_ticks(start), 150_000 // 5))
        expected = parse_stream_set(whole.raw_response)
    assert counts == {s.name: len(s.events) for s in expected.streams}
    assert sum(counts.values()) > 300
