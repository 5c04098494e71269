"""The examples of piwebasync's and pi_stream_util's documents, against a simulator.

They stand as printed but for what is marked with `was:`. In all of them the packages
`piwebasync` and `pi_stream_util` are `pichannels.piwebasync`, and the hosts are the
simulator's.
"""

from __future__ import annotations

import ast
import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from yarl import URL

# was: from piwebasync import Controller, HTTPClient, WebsocketMessage
# was: from pi_stream_util import Stream
from pichannels.piwebasync import Controller, HTTPClient, Stream, WebsocketMessage

# was: not imported at all
from pichannels.piwebasync.exceptions import ChannelUpdateError, PIWebAsyncException
from pichannels.simulator import Plant, Simulator

TEMP, FLOW = "UNIT1.BOILER.TEMP", "UNIT1.FEED.FLOW"
LOGIN = ("user", "password")


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(Plant(tags=50, activity=0), poll=60) as simulator:
        yield simulator


@pytest.fixture
async def guarded() -> AsyncIterator[Simulator]:
    """A simulator that asks for a login."""
    async with Simulator(Plant(tags=50), poll=60, auth=LOGIN) as simulator:
        yield simulator


def host_of(sim: Simulator) -> str:
    return str(URL(sim.url).host)


def pushed(sim: Simulator, value: float, tag: str = TEMP) -> None:
    sim.push(tag, value)
    sim.tick()


# piwebasync


async def test_the_first_example_of_piwebasync(
    guarded: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        request = Controller(
            scheme="http",  # was: "https"
            host=host_of(guarded),  # was: "mypihost.com"
            port=guarded.port,  # was: the port of the scheme
            root="piwebapi",
            # was: "\\\\MyDataserver\\MyPoint"
        ).points.get_by_path(guarded.plant.tag(TEMP).path)
        # was: auth=NegotiateAuth() of async_negotiate_auth, which is not on the index
        async with HTTPClient(auth=LOGIN, safe_chars="/?:=&%;\\") as client:
            response = await client.get(request)
            # was: this request was missing; a point has no values of its own
            response = await client.get(
                Controller(
                    "http", host_of(guarded), guarded.port, "piwebapi"
                ).streams.get_recorded(response.web_id, max_count=10)
            )
        # was: outside of main, where there is no response
        print(response.select("Items.Timestamp", "Items.Value"))  # noqa: T201

    await main()  # was: asyncio.run(main()) where the module is the program
    columns = ast.literal_eval(capsys.readouterr().out)
    assert len(columns["Items.Timestamp"]) == len(columns["Items.Value"]) == 10


async def test_a_point_without_values_gives_empty_columns(guarded: Simulator) -> None:
    # The same example with its selection as printed: from the point itself.
    pi = Controller("http", host_of(guarded), guarded.port, root="piwebapi")
    request = pi.points.get_by_path(guarded.plant.tag(TEMP).path)
    async with HTTPClient(auth=LOGIN, safe_chars="/?:=&%;\\") as client:
        response = await client.get(request)
    found = response.select("Items.Timestamp", "Items.Value")
    assert found == {"Items.Timestamp": [], "Items.Value": []}


# pi_stream_util


def handler(message: WebsocketMessage) -> WebsocketMessage:
    return message  # was: return WebsocketMessage, the class


async def test_basic_usage(sim: Simulator) -> None:
    async def main() -> list[Any]:
        webid = sim.plant.tag(TEMP).web_id  # was: 'my_webid'
        request = Controller(
            "ws",  # was: 'wss'
            host_of(sim),  # was: 'mypihost'
            sim.port,  # was: the port of the scheme
            root="piwebapi",
        ).streamsets.get_channel_adhoc([webid])
        queue: asyncio.Queue[WebsocketMessage] = asyncio.Queue()
        stream = Stream(queue)
        # Start the stream
        stream_id = await stream.start(request, handler)
        # Stream will start processing messages and putting them in the queue
        await sim.connected()  # was: nothing is waited for
        pushed(sim, 1.5)
        message = await queue.get()
        # Stop the stream
        await stream.stop()
        return [stream_id, *message.select("Items.Items.Value").values()]

    stream_id, values = await main()
    assert (len(stream_id), values) == (32, [[1.5]])


async def test_the_handler_as_printed_puts_the_class(sim: Simulator) -> None:
    def handler(message: WebsocketMessage) -> type[WebsocketMessage]:
        return WebsocketMessage

    queue: asyncio.Queue[type[WebsocketMessage]] = asyncio.Queue()
    stream = Stream(queue)
    await stream.start(request_of(sim, TEMP), handler)
    await sim.connected()
    pushed(sim, 1.0)
    assert await queue.get() is WebsocketMessage
    await stream.stop()


def request_of(sim: Simulator, *names: str) -> Any:
    webids = [sim.plant.tag(name).web_id for name in names]
    # was: Controller('wss', 'mypihost', root='piwebapi')
    pi = Controller("ws", host_of(sim), sim.port, root="piwebapi")
    return pi.streamsets.get_channel_adhoc(webids)


async def test_live_updating(sim: Simulator) -> None:
    queue: asyncio.Queue[WebsocketMessage] = asyncio.Queue()
    stream = Stream(queue)
    await stream.start(request_of(sim, TEMP), handler)
    new_request = request_of(
        sim, TEMP, FLOW
    )  # was: get_channel_adhoc([webid, new_webid])
    await stream.update(new_request)
    while queue.empty():
        pushed(sim, 2.0, FLOW)
        await asyncio.sleep(0.01)
    message = await queue.get()
    assert message.select("Items.Name") == {"Items.Name": [FLOW]}
    await stream.stop()


async def test_stream_error_callbacks(
    sim: Simulator, capsys: pytest.CaptureFixture[str]
) -> None:
    called = asyncio.Event()

    # was: def error_callback(fut: asyncio.Future):
    def error_callback(fut: asyncio.Future[None]) -> None:
        print("Stream encountered an error")  # noqa: T201
        called.set()  # was: not there

    stream = Stream(asyncio.Queue(), dead_channel_timeout=0.01)
    await stream.start(request_of(sim, TEMP), handler, on_error_callback=error_callback)
    sim.faults.status(503, count=None)
    sim.faults.drop()
    await called.wait()
    assert "Stream encountered an error" in capsys.readouterr().out
    with pytest.raises(PIWebAsyncException):
        await stream.stop()


async def test_stopping_the_stream(sim: Simulator) -> None:
    stream = Stream(asyncio.Queue())
    await stream.start(request_of(sim, TEMP), handler)
    sim.faults.status(404, path="channel")
    with pytest.raises(ChannelUpdateError):
        await stream.update(request_of(sim, FLOW), rollback=False)
    told: list[PIWebAsyncException] = []
    for _ in range(2):
        try:
            await stream.stop()
        except PIWebAsyncException as exc:
            # Do something with error
            told.append(exc)  # was: raise
    assert [type(error) for error in told] == [ChannelUpdateError]
