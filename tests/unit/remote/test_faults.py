"""Faults that others had, and peers that do not keep to the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from pichannels.errors import NotConnected
from pichannels.remote import (
    ContextError,
    Hub,
    HubLimits,
    HubServer,
    ItemTooLarge,
    Kind,
    LimitReached,
    Link,
    Mode,
    RefusedError,
    StreamFailed,
    StreamLost,
    StreamPositionError,
    StreamProtocolError,
    StreamState,
    StreamWithdrawn,
    Transport,
    Whence,
    connect,
    file,
    fixed,
    memory_pair,
)
from pichannels.remote.errors import Problem, error_from
from pichannels.remote.frames import (
    Bye,
    Data,
    Fail,
    Frame,
    Hello,
    List,
    Listed,
    Open,
    Opened,
    Ping,
    Read,
    Refused,
    Started,
    StreamFrame,
    WData,
    Write,
    decode_frame,
    encode_frame,
)
from pichannels.remote.rings import Ring
from pichannels.retry import RetryPolicy
from tests.unit.remote.world import Line, Numbers, World, soon


async def test_a_failure_wakes_everyone_who_waits(world: World, tmp_path: Path) -> None:
    world.hub.publish("s", Ring())
    world.hub.publish("f", file(tmp_path / "f", "w+b"))
    stream = await world.link.entities("s", follow=True)
    async with world.link.bytes("f", "wb"):
        pass
    follower = await world.link.bytes("f", follow=True)
    waiting = [
        asyncio.create_task(stream.receive()),
        asyncio.create_task(follower.read()),
        asyncio.create_task(stream.wait_closed()),
    ]
    await asyncio.sleep(0)
    world.hub.withdraw("s")
    world.hub.withdraw("f")
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [
        StreamWithdrawn,
        StreamWithdrawn,
        type(None),
    ]
    # Whoever comes later is told the same, and closing is no trouble.
    with pytest.raises(StreamWithdrawn):
        await stream.wait_readable()
        await stream.receive()
    await stream.aclose()


async def test_a_name_that_is_withdrawn_while_it_opens_is_refused(
    world: World,
) -> None:
    world.hub.publish("s", numbers := Numbers())
    numbers.may_open.clear()
    opening = asyncio.create_task(_opened(world.link))
    await soon(lambda: any(link.streams for link in world.hub._links))
    world.hub.withdraw("s", "gone")
    numbers.may_open.set()
    with pytest.raises(RefusedError, match="gone"):
        await opening
    await soon(lambda: numbers.opened == numbers.closed == 1)


async def _opened(link: Link) -> None:
    await link.entities("s")


async def test_without_time_to_wait_there_is_one_outcome(world: World) -> None:
    world.hub.publish("s", Ring())
    async with world.link.entities("s", follow=True) as stream:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await stream.receive()
        assert stream.state is StreamState.ACTIVE


async def test_closing_after_a_fault_completes_and_may_be_repeated(
    world: World,
) -> None:
    world.hub.publish("s", numbers := Numbers(3))
    stream = await world.link.entities("s")
    with pytest.raises(StreamPositionError):
        await stream.seek(99)
    await stream.aclose()
    await stream.aclose()
    assert numbers.closed == 1


async def _closed(stream: object, world: World, line: Line) -> None:
    await stream.aclose()  # type: ignore[attr-defined]


async def _withdrawn(stream: object, world: World, line: Line) -> None:
    world.hub.withdraw("s")


async def _cut(stream: object, world: World, line: Line) -> None:
    line.hang_up()


async def _shut(stream: object, world: World, line: Line) -> None:
    await world.hub.aclose()


async def _faulty(stream: object, world: World, line: Line) -> None:
    with pytest.raises(ContextError):
        await stream.seek(10**9)  # type: ignore[attr-defined]
    await stream.aclose()  # type: ignore[attr-defined]


Way = Callable[[object, World, Line], Awaitable[None]]


@pytest.mark.parametrize("way", [_closed, _withdrawn, _cut, _shut, _faulty])
async def test_a_source_is_closed_once_whatever_happens(world: World, way: Way) -> None:
    world.hub.publish("s", numbers := Numbers())
    link, line = await world.line(retry=None)
    stream = await link.entities("s", follow=True)
    await anext(stream)
    await way(stream, world, line)
    await soon(lambda: numbers.closed)
    await stream.aclose()
    assert (numbers.opened, numbers.closed) == (1, 1)


async def test_a_long_upload_takes_a_window_of_memory(
    world: World, tmp_path: Path
) -> None:
    await world.other_hub(limits={"window_bytes": 50_000})
    world.hub.publish("f", file(tmp_path / "f", "w+b"))
    link = await world.connect()
    async with link.bytes("f", "wb") as stream:
        (served,) = next(iter(world.hub._links)).streams.values()
        writing = asyncio.create_task(stream.write(b"x" * 3_000_000))
        most = 0
        while not writing.done():
            await asyncio.sleep(0)
            held = [w for w in served.core._writes if isinstance(w, WData)]
            most = max(most, sum(len(data) for w in held for data in w.batch))
    assert 0 < most <= 50_000


# Items and frames that are too large


async def test_an_item_larger_than_a_frame_is_told_with_its_size(
    world: World,
) -> None:
    await world.other_hub(limits={"frame_bytes": 100_000})
    link = await world.connect(frame_bytes=100_000)
    world.hub.publish("s", fixed(["small", b"x" * 200_000, "behind"]))
    async with link.entities("s") as stream:
        assert await anext(stream) == "small"
        with pytest.raises(ItemTooLarge) as caught:
            await anext(stream)
        assert caught.value.size == 200_005
        await stream.seek(2)
        assert await anext(stream) == "behind"


async def test_a_frame_larger_than_is_taken_ends_the_connection() -> None:
    hub = Hub(limits=HubLimits(frame_bytes=20_000))
    async with hub, HubServer(hub) as server, aiohttp.ClientSession() as http:
        socket = await http.ws_connect(server.url)
        assert (await socket.receive()).type is aiohttp.WSMsgType.BINARY
        await socket.send_bytes(b"x" * 30_000)
        while (await socket.receive()).type is not aiohttp.WSMsgType.CLOSE:
            pass
        assert socket.close_code == 1009


# Peers that do not keep to the protocol


class Peer:
    """One end of a connection, on which any frame can be sent."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    async def send(self, *frames: Frame) -> None:
        for frame in frames:
            await self.transport.send(encode_frame(frame))

    async def until(self, kind: type[Frame], stream: int = 0) -> Frame:
        while True:
            frame = decode_frame(await self.transport.receive())
            is_other = isinstance(frame, StreamFrame) and stream not in (
                0,
                frame.stream,
            )
            if isinstance(frame, kind) and not is_other:
                return frame


async def hostile_reader(hub: Hub) -> Peer:
    peer = Peer(await hub.dial())
    await peer.send(Hello(1, 10**6))
    await peer.until(Hello)
    return peer


async def test_who_writes_more_than_granted_loses_that_stream_only(
    here: World, tmp_path: Path
) -> None:
    here.hub.publish("f", file(tmp_path / "f", "w+b"))
    here.hub.publish("s", Numbers(10))
    peer = await hostile_reader(here.hub)
    await peer.send(
        Open(1, "f", None, Mode.WRITE),
        Open(2, "s", None, Mode.READ),
        Write(1, 1, 0, Whence.START),
    )
    started = await peer.until(Started)
    assert isinstance(started, Started)
    await peer.send(WData(1, 1, 0, [b"x" * 100_000] * 50))
    failed = await peer.until(StreamFrame, 1)
    assert getattr(failed, "problem").code == "protocol"  # noqa: B009
    await peer.send(Read(2, 1, 0, Whence.START, "", True, 5, 1000))
    data = await peer.until(Data, 2)
    assert isinstance(data, Data) and len(data.batch) == 5
    assert (await here.hub.report()).broken == 1


@pytest.mark.parametrize(
    "frame", [Hello(1, 10**6), Listed(1, [], False), Bye("tired")], ids=repr
)
async def test_a_frame_that_no_client_sends_ends_the_link(
    here: World, frame: Frame
) -> None:
    peer = await hostile_reader(here.hub)
    await peer.send(frame)
    with pytest.raises(NotConnected):
        await peer.until(Ping)


async def test_who_does_not_greet_is_not_served(here: World) -> None:
    for first in (encode_frame(List(1, "*")), encode_frame(Hello(2, 10**6)), b"\xff"):
        transport = await here.hub.dial()
        await transport.send(first)
        with pytest.raises(NotConnected):
            while True:
                await transport.receive()
    await soon(lambda: not here.hub._links or len(here.hub._links) == 1)


async def test_who_asks_and_does_not_listen_is_cut_off(here: World) -> None:
    peer = await hostile_reader(here.hub)
    with pytest.raises(NotConnected):
        for _ in range(100_000):
            await peer.send(Ping())


async def test_a_mode_that_is_none_is_refused(here: World) -> None:
    here.hub.publish("s", fixed([1]))
    peer = await hostile_reader(here.hub)
    for mode in (2**40, 0, Mode.SEEK_BACK):
        await peer.send(Open(1, "s", None, mode))
        assert isinstance(await peer.until(Refused), Refused)


async def test_a_publisher_that_sends_more_than_granted_fails_the_stream() -> None:
    here, there = memory_pair()
    peer = Peer(there)

    async def dial() -> Transport:
        return here

    async def publish() -> None:
        await peer.send(Hello(1, 10**6))
        opening = await peer.until(Open)
        assert isinstance(opening, Open)
        id = opening.stream
        await peer.send(Opened(id, Kind.ENTITIES, Mode.READ, "", "", 0, 9, 100, 10**6))
        await peer.until(Read)
        await peer.send(Started(id, 1, 0, 0, 9, 0, 0), Data(id, 1, 0, [b"\x01"] * 3))

    publishing = asyncio.create_task(publish())
    async with connect(dial, retry=None) as link:
        stream = await link.entities("s", readahead=2)
        with pytest.raises(StreamProtocolError, match="granted"):
            await stream.receive()
            await stream.receive()
        await publishing


async def test_a_failure_right_behind_the_open_is_told() -> None:
    here, there = memory_pair()
    peer = Peer(there)

    async def dial() -> Transport:
        return here

    async def publish() -> None:
        await peer.send(Hello(1, 10**6))
        opening = await peer.until(Open)
        assert isinstance(opening, Open)
        id = opening.stream
        await peer.send(
            Opened(id, Kind.ENTITIES, Mode.READ, "", "", 0, 9, 100, 10**6),
            Fail(id, Problem("withdrawn", "gone")),
        )

    publishing = asyncio.create_task(publish())
    async with connect(dial, retry=None) as link:
        with pytest.raises((RefusedError, StreamWithdrawn), match="gone"):
            await link.entities("s")
    await publishing


async def test_facts_of_any_name_are_taken() -> None:
    facts = dict.fromkeys(("self", "name", "reason", "a b", ""), 1)
    error = error_from(Problem("unheard of", "so", facts), "s", StreamFailed)  # type: ignore[arg-type]
    assert (type(error), error.name, error.facts) == (StreamFailed, "s", facts)


async def test_writers_on_a_link_are_bounded(world: World, tmp_path: Path) -> None:
    limits = {"window_bytes": 1000, "written_bytes_per_link": 2500}
    await world.other_hub(limits=limits)
    for number in range(3):
        world.hub.publish(f"f{number}", file(tmp_path / f"f{number}", "wb"))
    link = await world.connect()
    streams = [await link.bytes(f"f{number}", "wb") for number in range(2)]
    with pytest.raises(LimitReached, match="for writing"):
        await link.bytes("f2", "wb")
    await streams[0].aclose()


async def test_a_link_is_made_again_whatever_dialling_raises(
    here: World, caplog: pytest.LogCaptureFixture
) -> None:
    here.hub.publish("s", fixed([1]))
    made: list[Transport] = []

    async def dial() -> Transport:
        if len(made) == 1:
            made.append(made[0])
            raise ValueError("odd")
        made.append(await here.hub.dial())
        return made[-1]

    quick = RetryPolicy(attempts=0, initial=0.001, maximum=0.001)
    async with connect(dial, retry=quick) as link:
        await made[0].aclose()
        await soon(lambda: len(made) == 3)
        assert len(await link.list()) == 1
    assert "could not be made" in caplog.text


async def test_a_hub_that_never_answers_is_given_up(here: World) -> None:
    end, other = memory_pair()

    async def dial() -> Transport:
        return end

    link = Link(dial, timeout=0.05, retry=None)
    with pytest.raises(NotConnected, match="no answer"):
        await link.open_link()
    # It may greet, and not answer.
    first, second = memory_pair()

    async def dial_again() -> Transport:
        return first

    await second.send(encode_frame(Hello(1, 10**6)))
    async with connect(dial_again, timeout=0.05, retry=None) as silent:
        with pytest.raises(NotConnected, match="no answer"):
            await silent.entities("s")
    await other.aclose()


async def test_a_link_without_retry_is_gone_for_good(world: World) -> None:
    world.hub.publish("s", Ring())
    link, line = await world.line(retry=None)
    async with link.entities("s", follow=True, resume=True) as stream:
        line.hang_up()
        with pytest.raises(StreamLost):
            await stream.receive()
    with pytest.raises(NotConnected):
        await link.list()
