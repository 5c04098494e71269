"""The judge knows where PI was silent by itself, and excuses nothing else."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientSession, web

from tests.faults.outages import Outages, apart, silences
from tests.servers.proxy import Proxy, Websocket

STAYS = Websocket(1.0, 30.0)
BROKEN = Websocket(1.0, 9.9, 10.0)
SILENT = Websocket(1.0, 9.0, 10.0)


@pytest.mark.parametrize(
    ("websockets", "found"),
    [
        ([STAYS, BROKEN, Websocket(11.0, 30.0)], []),
        ([STAYS, SILENT, Websocket(12.0, 30.0)], [(9.0, 12.0)]),
        ([STAYS, SILENT, BROKEN, Websocket(12, 30), Websocket(14, 30)], [(9.0, 14.0)]),
    ],
    ids=["broken", "silent", "silent with others"],
)
def test_silence_is_until_as_many_are_open_again(
    websockets: list[Websocket], found: list[tuple[float, float]]
) -> None:
    assert list(silences(websockets, 0.8)) == found


def test_a_silence_is_doubted_with_the_margins_of_the_ledger() -> None:
    margins = {"settle": 1.0, "overlap": 2.0, "ahead": 3.0}
    outages = Outages(margins, 1.0, 0.5, lambda moment: int(moment * 10**7))
    found = outages.doubtful([STAYS, SILENT, Websocket(12.0, 30.0)])
    assert found == [(2 * 10**7, 20 * 10**7)]


def test_ranges_that_touch_are_one() -> None:
    assert apart([(5, 7), (1, 2), (2, 3), (6, 9)]) == [(1, 3), (5, 9)]


async def test_the_proxy_knows_when_a_websocket_was_heard_last() -> None:
    answered = asyncio.Event()

    async def answer(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        async for message in websocket:
            await websocket.send_str(message.data)
            answered.set()
        return websocket

    served = web.Application()
    served.router.add_get("/", answer)
    runner = web.AppRunner(served, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with Proxy(runner.addresses[0][1]) as proxy, ClientSession() as session:
        url = f"http://127.0.0.1:{proxy.port}/"
        async with session.ws_connect(url) as websocket:
            (known,) = proxy.websockets
            proxy.swallow("answered")
            await websocket.send_str("x")
            await answered.wait()
            heard = known.heard
            proxy.heal()
            await websocket.receive()
            assert (heard, known.ended) == (known.opened, None)
            assert known.heard > heard
    await runner.cleanup()
    assert known.ended is not None
