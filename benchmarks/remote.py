"""Remote streams, against a bare websocket of aiohttp with the same frames.

Both ends are in this process; an item is a message with 1 KiB of text. What stands
for another way to do it is a stream of `grpc.aio`, where grpcio is installed.
"""

from __future__ import annotations

import asyncio
import importlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp import web

from benchmarks.measure import Aim, Benchmark, Case, Measured, Stopwatch
from benchmarks.options import Options
from pichannels.message import Message
from pichannels.remote import Hub, HubLimits, HubServer, Link, Ring, connect, fixed
from pichannels.remote.entities import pack, unpack
from pichannels.remote.frames import TURN_BYTES, Data, decode_frame, encode_frame

__all__ = ["prepare"]

_ITEM: Final = 1024
_BATCH: Final = TURN_BYTES // _ITEM
_STREAMS: Final = 100
_ROUND_TRIP: Final = 0.02
_ITEMS_FLOOR: Final = "websocket, frames of items"
_BYTES_FLOOR: Final = "websocket, frames of bytes"

Run = Callable[[int], Awaitable[Measured]]


def _packed(count: int) -> list[bytes]:
    return [pack(Message("text/plain", f"{n:x}".zfill(_ITEM))) for n in range(count)]


def _kept(count: int) -> Ring:
    """Items as the tail of a channel has them: packed once, for all readers."""
    ring = Ring(count)
    for each in _packed(count):
        ring.put_packed(each)
    return ring


# A bare websocket


def _item_frames(packed: list[bytes]) -> Iterator[Data]:
    for first in range(0, len(packed), _BATCH):
        yield Data(1, 1, first, packed[first : first + _BATCH])


def _byte_frames(data: bytes) -> Iterator[Data]:
    for first in range(0, len(data), TURN_BYTES):
        yield Data(1, 1, first, [data[first : first + TURN_BYTES]])


async def _bare(frames: Callable[[], Iterator[Data]], is_items: bool) -> None:
    """Send frames from one end to the other, which takes them apart."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        for frame in frames():
            await socket.send_bytes(encode_frame(frame))
        await socket.close()
        return socket

    app = web.Application()
    app.router.add_get("/", serve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        async for message in socket:
            frame = decode_frame(message.data)
            assert isinstance(frame, Data)
            for item in frame.batch if is_items else ():
                unpack(item)
    await runner.cleanup()


async def _bare_items(count: int) -> Measured:
    packed = _packed(count)
    with Stopwatch() as watch:
        await _bare(partial(_item_frames, packed), is_items=True)
    return watch.measured(count)


async def _bare_bytes(count: int) -> Measured:
    data = bytes(count * _ITEM)
    with Stopwatch() as watch:
        await _bare(partial(_byte_frames, data), is_items=False)
    return watch.measured(count)


# Ours


@asynccontextmanager
async def _linked(hub: Hub) -> AsyncIterator[Link]:
    async with hub, HubServer(hub, port=0) as server, connect(server.url) as link:
        yield link


async def _items(count: int) -> Measured:
    hub = Hub()
    hub.publish("items", _kept(count))
    async with _linked(hub) as link:
        with Stopwatch() as watch:
            assert await _read(link, "items") == count
    return watch.measured(count)


async def _read(link: Link, name: str) -> int:
    count = 0
    async with link.entities(name, readahead=10_000) as stream:
        while found := await stream.receive(_BATCH):
            count += len(found)
    return count


async def _one_by_one(count: int) -> Measured:
    hub = Hub()
    hub.publish("items", _kept(count))
    async with _linked(hub) as link:
        with Stopwatch() as watch:
            async with link.entities("items", readahead=10_000) as stream:
                found = [stream.position async for _ in stream]
    assert found[-1] == count
    return watch.measured(count)


async def _bytes(count: int) -> Measured:
    hub = Hub()
    hub.publish("bytes", fixed(bytes(count * _ITEM)))
    async with _linked(hub) as link:
        with Stopwatch() as watch:
            async with link.bytes("bytes") as stream:
                while await stream.receive():
                    pass
                assert stream.position == count * _ITEM
    return watch.measured(count)


async def _many(count: int) -> Measured:
    """The same items by 100 streams on one link."""
    part = max(count // _STREAMS, 1)
    hub = Hub(limits=HubLimits(streams_per_link=_STREAMS))
    kept = _kept(part)
    names = [f"items/{number}" for number in range(_STREAMS)]
    for name in names:
        hub.publish(name, kept)
    async with _linked(hub) as link:
        with Stopwatch() as watch:
            found = await asyncio.gather(*(_read(link, name) for name in names))
    assert sum(found) == part * _STREAMS
    return watch.measured(part * _STREAMS)


# Read-ahead at a distance


class _Distance:
    """Passes on what comes, each piece half a round trip later."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """The port to connect to."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        yield server.sockets[0].getsockname()[1]
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        near, far = await asyncio.open_connection("127.0.0.1", self._port)
        for source, sink in ((reader, far), (near, writer)):
            task = asyncio.create_task(self._pass(source, sink))
            self._tasks.add(task)

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        waiting: deque[bytes] = deque()
        while data := await source.read(2**18):
            waiting.append(data)
            loop.call_later(_ROUND_TRIP / 2, lambda: sink.write(waiting.popleft()))
        await asyncio.sleep(_ROUND_TRIP / 2)
        sink.close()


def _far(window: int) -> Run:
    async def run(count: int) -> Measured:
        hub = Hub()
        hub.publish("items", _kept(count))
        async with (
            hub,
            HubServer(hub, port=0) as server,
            _Distance(server.port).listening() as port,
            connect(f"http://127.0.0.1:{port}") as link,
            link.entities("items", readahead=window) as stream,
        ):
            with Stopwatch() as watch:
                left = count
                while found := await stream.receive(min(window, _BATCH)):
                    left -= len(found)
            assert left == 0
        return watch.measured(count)

    return run


# gRPC


def _grpc() -> Any:
    try:
        return importlib.import_module("grpc.aio")
    except ImportError:
        return None


def _over_grpc(aio: Any, *, batch: int) -> Run:
    """A stream of items, or of as many at once as our frames have."""
    grpc = importlib.import_module("grpc")

    async def run(count: int) -> Measured:
        packed = _packed(count)

        async def serve(request: bytes, context: Any) -> AsyncIterator[bytes]:
            for frame in _item_frames(packed):
                if batch > 1:
                    yield encode_frame(frame)
                    continue
                for each in frame.batch:
                    yield each

        method = grpc.unary_stream_rpc_method_handler(serve)
        handler = grpc.method_handlers_generic_handler("items", {"read": method})
        server = aio.server()
        server.add_generic_rpc_handlers((handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with Stopwatch() as watch:
                left = count
                async for data in channel.unary_stream("/items/read")(b""):
                    left -= _unpacked(data, batch)
            assert left == 0
        await server.stop(None)
        return watch.measured(count)

    return run


def _unpacked(data: bytes, batch: int) -> int:
    if batch == 1:
        unpack(data)
        return 1
    frame = decode_frame(data)
    assert isinstance(frame, Data)
    return len([unpack(item) for item in frame.batch])


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """Bare websockets, remote streams, and gRPC."""
    count = options.count(40_000)
    far = options.count(20_000)
    aio = _grpc() if options.with_peer else None
    one, many = "grpc.aio, an item each", "grpc.aio, the same batches"
    cases = [
        Case(_ITEMS_FLOOR, _bare_items, count),
        Case(
            "entities, in batches",
            _items,
            count,
            Aim(_ITEMS_FLOOR, 0.8),
            Aim(many) if aio else None,
        ),
        Case(
            "entities, one by one",
            _one_by_one,
            count // 2,
            Aim(_ITEMS_FLOOR),
            Aim(one) if aio else None,
        ),
        Case("100 streams on one link", _many, count, Aim(_ITEMS_FLOOR)),
        Case(_BYTES_FLOOR, _bare_bytes, count * 8),
        Case("bytes", _bytes, count * 8, Aim(_BYTES_FLOOR, 0.8)),
        *(
            Case(
                f"20 ms away, read-ahead {window}", _far(window), min(far, window * 20)
            )
            for window in (10, 100, 1000, 10_000)
        ),
    ]
    if aio is not None:
        cases += [
            Case(many, _over_grpc(aio, batch=_BATCH), count),
            Case(one, _over_grpc(aio, batch=1), count // 2),
        ]
    notes = ["Both ends are in one process; an item, and a row of bytes, is 1 KiB."]
    if aio is None and options.with_peer:
        notes.append("grpc.aio is left out: grpcio is not installed.")
    yield Benchmark(
        "remote",
        "Remote streams: items of 1 KiB",
        "KiB",
        ("cpu", "wall"),
        cases,
        notes,
    )
