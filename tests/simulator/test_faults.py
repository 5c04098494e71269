"""Faults on demand, as a client meets them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from pichannels import clock
from pichannels.errors import UsageError
from pichannels.simulator import Faults, Plant, Simulator
from pichannels.simulator.faults import parse_fault

TEMP, FLOW = "UNIT1.BOILER.TEMP", "UNIT1.FEED.FLOW"


async def send(sim: Simulator, *values: float) -> None:
    for value in values:
        sim.push(TEMP, value)
    sim.tick()


def read(text: str) -> list[Any]:
    return [e["Value"] for s in json.loads(text)["Items"] for e in s["Items"]]


@pytest.mark.parametrize(
    ("how", "kinds"),
    [
        ("close", {WSMsgType.CLOSE}),
        ("fin", {WSMsgType.CLOSED, WSMsgType.ERROR}),
        ("reset", {WSMsgType.CLOSED, WSMsgType.ERROR}),
    ],
)
async def test_channels_are_dropped(
    sim: Simulator, client: Any, how: Any, kinds: set[WSMsgType]
) -> None:
    async with client.channel([TEMP]) as channel:
        await sim.connected()
        sim.faults.drop(how)
        assert (await channel.receive(timeout=5)).type in kinds
        await asyncio.wait_for(sim.disconnected(), 5)


async def test_a_drop_has_the_close_code_that_was_asked_for(
    sim: Simulator, client: Any
) -> None:
    async with client.channel([TEMP]) as channel:
        await sim.connected()
        sim.faults.drop(code=1011)
        assert (await channel.receive()).data == 1011


async def test_a_stalled_channel_is_open_and_silent(
    sim: Simulator, client: Any
) -> None:
    async with client.channel([TEMP]) as channel:
        await sim.connected()
        sim.faults.stall()
        await send(sim, 1.0)
        with pytest.raises(TimeoutError):
            await channel.receive(timeout=0.05)
        sim.faults.resume()
        assert read(await channel.receive_str()) == [1.0]


async def test_a_stall_ends_by_itself(sim: Simulator, client: Any) -> None:
    async with client.channel([TEMP]) as channel:
        await sim.connected()
        sim.faults.stall(0.02)
        await send(sim, 1.0)
        assert read(await channel.receive_str()) == [1.0]


async def test_half_a_message_ends_the_channel(sim: Simulator, client: Any) -> None:
    async with client.channel([TEMP]) as channel:
        await sim.connected()
        sim.faults.half_message()
        await send(sim, 1.0)
        message = await channel.receive(timeout=5)
    assert message.type in (WSMsgType.CLOSED, WSMsgType.ERROR)


async def test_a_message_comes_twice(sim: Simulator, client: Any) -> None:
    async with client.channel([TEMP]) as channel:
        await sim.connected()
        sim.faults.duplicate()
        await send(sim, 1.0)
        await asyncio.sleep(0)
        assert await channel.receive_str() == await channel.receive_str()


async def test_events_come_in_disorder(sim: Simulator, client: Any) -> None:
    async with client.channel([TEMP]) as channel:
        await sim.connected()
        sim.faults.disorder()
        await send(sim, 1.0, 2.0, 3.0)
        assert read(await channel.receive_str()) == [3.0, 2.0, 1.0]


async def test_a_fragmented_message_is_whole_again(sim: Simulator, client: Any) -> None:
    async with client.channel([TEMP]) as channel:
        await sim.connected()
        sim.faults.fragment(size=7)
        await send(sim, 1.0)
        await asyncio.sleep(0)
        await send(sim, 2.0)
        assert read(await channel.receive_str()) == [1.0]
        assert read(await channel.receive_str()) == [2.0]


async def test_an_oversized_message_is_valid_json(sim: Simulator, client: Any) -> None:
    async with client.channel([TEMP]) as channel:
        await sim.connected()
        sim.faults.oversize()
        await send(sim, 1.0)
        text = await channel.receive_str()
    assert len(text) >= 5 * 1024 * 1024 and read(text) == [1.0]


@pytest.mark.parametrize("code", [401, 429, 500, 502, 503])
async def test_the_next_requests_fail(sim: Simulator, client: Any, code: int) -> None:
    sim.faults.status(code, count=2)
    found = []
    for _ in range(3):
        async with client.session.get(sim.url + "/") as answer:
            found.append(answer.status)
    assert found == [code, code, 200]


class Watch(clock.SystemClock):
    """A clock that stands until it is moved."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def test_a_fault_may_last_for_a_while() -> None:
    faults, watch = Faults(), Watch()
    with clock.use(watch):
        faults.status(500, seconds=5)
        during = [len(faults.strikes("/")) for _ in range(3)]
        watch.seconds = 6
        assert (during, faults.strikes("/")) == ([1, 1, 1], [])


async def test_a_fault_may_concern_some_paths_and_come_later(
    sim: Simulator, client: Any
) -> None:
    sim.faults.status(500, path="dataservers", after=1)
    found = [(await client.get(path))[0] for path in ("/", "/dataservers") * 3]
    assert found == [200, 200, 200, 500, 200, 200]


async def test_an_answer_may_ask_to_come_back_later(
    sim: Simulator, client: Any
) -> None:
    sim.faults.status(503, retry_after=7)
    async with client.session.get(sim.url + "/") as answer:
        assert answer.headers["Retry-After"] == "7"
        assert answer.content_type == "text/html"


async def test_a_second_handshake_may_be_refused(sim: Simulator, client: Any) -> None:
    sim.faults.status(401, path="channel", after=1)
    async with client.channel([TEMP]):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await client.channel([TEMP])
    assert caught.value.status == 401


async def test_answers_may_be_slow(sim: Simulator, client: Any) -> None:
    sim.faults.slow(0.05, count=1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.get("/"), 0.02)
    assert (await client.get("/"))[0] == 200


async def test_a_body_may_be_cut_in_half(sim: Simulator, client: Any) -> None:
    sim.faults.truncate()
    with pytest.raises(json.JSONDecodeError):
        await client.get("/system/status")


async def test_a_connection_may_end_within_a_body(sim: Simulator, client: Any) -> None:
    sim.faults.truncate(abort=True)
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.get("/system/status")


async def test_a_refused_tag_is_silent_on_a_channel(
    sim: Simulator, client: Any
) -> None:
    sim.faults.tag(TEMP, 403)
    async with client.channel([TEMP, FLOW]) as channel:
        await sim.connected()
        sim.push(TEMP, 1.0)
        sim.push(FLOW, 2.0)
        sim.tick()
        assert read(await channel.receive_str()) == [2.0]


async def test_a_tag_fault_ends(sim: Simulator, client: Any) -> None:
    path = f"/streams/{sim.plant.tag(TEMP).web_id}/value"
    sim.faults.tag(TEMP, 409)
    sim.faults.tag(TEMP, None)
    assert (await client.get(path))[0] == 200


async def test_clear_ends_every_fault(sim: Simulator, client: Any) -> None:
    sim.faults.status(500, count=None)
    sim.faults.tag(TEMP)
    sim.faults.stall()
    sim.faults.clear()
    assert (await client.get(f"/points/{sim.tags[0].web_id}"))[0] == 200
    assert sim.faults.flowing.is_set()


async def test_the_rate_limit_answers_429(session: aiohttp.ClientSession) -> None:
    async with Simulator(Plant(tags=1, activity=0), rate_limit=3) as sim:
        found = []
        for _ in range(4):
            async with session.get(sim.url + "/") as answer:
                found.append(answer.status)
    assert found == [200, 200, 200, 429]


@pytest.mark.parametrize("auth", [("op1", "secret"), "token"])
async def test_only_who_logs_in_is_answered(
    session: aiohttp.ClientSession, auth: Any
) -> None:
    login = (
        aiohttp.encode_basic_auth(*auth)
        if isinstance(auth, tuple)
        else f"Bearer {auth}"
    )
    async with Simulator(Plant(tags=1, activity=0), auth=auth) as sim:
        async with session.get(sim.url + "/") as answer:
            assert answer.status == 401 and answer.headers["WWW-Authenticate"]
        headers = {"Authorization": login}
        url = f"{sim.url}/streamsets/channel?webId={sim.tags[0].web_id}"
        async with session.ws_connect(url, headers=headers):
            await sim.connected()


@pytest.mark.parametrize(
    ("fault", "options", "told"),
    [
        ("dorp", {}, "did you mean 'drop'"),
        ("attach", {}, "no fault 'attach'"),
        ("stall", {"minutes": 3}, "minutes"),
        ("drop", {"how": "gently"}, "gently"),
    ],
)
def test_an_unknown_fault_or_option_is_told(
    fault: str, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        Faults().inject(fault, **options)


def test_a_fault_is_read_from_one_word() -> None:
    assert parse_fault("status:code=503,path=recorded,seconds=1.5") == (
        "status",
        {"code": 503, "path": "recorded", "seconds": 1.5},
    )


def test_an_option_without_a_value_is_told() -> None:
    with pytest.raises(UsageError, match="'count' has no value"):
        parse_fault("status:count")
