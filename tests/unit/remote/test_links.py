"""Links: what is lost with them, what goes on, who is let in, how they end."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

import aiohttp
import pytest

from pichannels.errors import NotConnected, SettingsError, TryAgain, UsageError
from pichannels.remote import (
    Access,
    AccessDenied,
    Action,
    ByteStream,
    CallFailed,
    EntityStream,
    Hub,
    HubServer,
    LimitReached,
    Mode,
    Permission,
    PositionLost,
    RefusedError,
    StreamClosed,
    StreamFailed,
    StreamLost,
    StreamNotFound,
    StreamState,
    StreamWithdrawn,
    connect,
    file,
    fixed,
    method,
)
from pichannels.remote.rings import Ring
from pichannels.remote.transports import Transport
from pichannels.retry import RetryPolicy
from tests.unit.remote.world import Line, Numbers, World, soon

QUICK = RetryPolicy(attempts=0, initial=0.001, maximum=0.01)


# What is lost


async def test_a_lost_link_wakes_whoever_waits(world: World, tmp_path: Path) -> None:
    world.hub.publish("s", Ring())
    world.hub.publish("f", file(tmp_path / "f", "w+b"))
    link, line = await world.line(retry=QUICK)
    stream = await link.entities("s", follow=True)
    writer = await link.bytes("f", "wb")
    await writer.write(b"abc")
    await writer.flush()
    reading = asyncio.create_task(stream.receive())
    asking = asyncio.create_task(link.call("none", "none"))
    await asyncio.sleep(0)
    line.hang_up()
    with pytest.raises(StreamLost) as caught:
        await reading
    assert isinstance(caught.value, TryAgain)
    await asyncio.gather(asking, return_exceptions=True)
    with pytest.raises(StreamLost) as lost:
        await writer.flush()
        await writer.write(b"d")
        await writer.flush()
    assert lost.value.stored == 3
    # The link is made again by itself.
    assert {x.name for x in await link.list()} == {"s", "f"}
    await stream.aclose()
    await writer.aclose()


async def test_a_link_that_is_silent_is_found(world: World) -> None:
    hub = await world.other_hub(heartbeat=0.1)
    hub.publish("s", numbers := Numbers(1))
    link, line = await world.line(heartbeat=0.1, retry=None)
    async with link.entities("s", follow=True) as stream:
        assert await anext(stream) == 0
        line.swallow()
        with pytest.raises(StreamLost, match="nothing came"):
            await anext(stream)
        # The other side finds it, too, and lets go of its source.
        await soon(lambda: numbers.closed == 1)


async def test_a_slow_reader_is_not_a_dead_one(world: World) -> None:
    hub = await world.other_hub(heartbeat=0.05)
    hub.publish("s", Numbers(3000, padding=1000))
    link = await world.connect(heartbeat=0.05, retry=None)
    async with link.entities("s", readahead=10) as stream:
        found = len(await stream.receive(1))
        await asyncio.sleep(0.4)
        while items := await stream.receive():
            found += len(items)
        assert found == 3000


async def test_a_stalled_stream_does_not_block_others(world: World) -> None:
    world.hub.publish("s", numbers := Numbers(30_000))
    async with (
        world.link.entities("s") as stalled,
        world.link.entities("s") as stream,
    ):
        await anext(stalled)
        count = 0
        while items := await stream.receive():
            count += len(items)
        assert count == 30_000
        assert numbers.given < 33_000


# What goes on


async def test_twenty_cuts_leave_the_sequence_as_it_is(world: World) -> None:
    seed = random.randrange(2**32)
    sys.stdout.write(f"seed {seed}\n")
    rng = random.Random(seed)
    world.hub.publish("s", Numbers(20_000))
    link, line = await world.line(retry=QUICK)
    cuts = sorted(rng.sample(range(20_000), 20))
    found: list[int] = []
    async with link.entities("s", readahead=500, resume=True) as stream:
        while items := await stream.receive(rng.randrange(1, 300)):
            found += items
            while cuts and len(found) >= cuts[0]:
                cuts.pop(0)
                line.hang_up()
                await soon(lambda: line.connections == 21 - len(cuts))
    assert found == list(range(20_000))


async def test_bytes_go_on_where_they_were_but_not_with_another_file(
    world: World, tmp_path: Path
) -> None:
    data = random.Random(3).randbytes(300_000)
    path, other = tmp_path / "f", tmp_path / "other"
    for each in (path, other):
        await asyncio.to_thread(each.write_bytes, data)
    world.hub.publish("f", file(path))
    link, line = await world.line(retry=QUICK)
    async with link.bytes("f", readahead=20_000, resume=True) as stream:
        found = b""
        for _ in range(5):
            found += await stream.readexactly(40_000)
            await cut(line, stream)
            line.refusing = False
            await soon(lambda: stream.state is StreamState.ACTIVE)
        assert found + await stream.readexactly(40_000) == data[:240_000]
        await cut(line, stream)
        await asyncio.to_thread(other.replace, path)
        line.refusing = False
        with pytest.raises(PositionLost, match="another sequence"):
            while await stream.receive():
                pass


async def cut(line: Line, stream: EntityStream | ByteStream) -> None:
    """Break the link, and let there be none until `refusing` is taken back."""
    line.refusing = True
    line.hang_up()
    await soon(lambda: stream.state is StreamState.SUSPENDED)


async def test_what_was_pruned_while_the_link_was_lost_is_told(world: World) -> None:
    world.hub.publish("s", ring := Ring(keep=10))
    ring.put(0)
    link, line = await world.line(retry=QUICK)
    async with link.entities("s", follow=True, resume=True) as stream:
        assert await anext(stream) == 0
        await cut(line, stream)
        for number in range(1, 100):
            ring.put(number)
        line.refusing = False
        with pytest.raises(PositionLost) as caught:
            await anext(stream)
        assert caught.value.first_available == 90


async def test_another_sequence_under_the_name_is_not_gone_on_with(
    world: World,
) -> None:
    world.hub.publish("s", ring := Ring())
    ring.put("old")
    link, line = await world.line(retry=QUICK)
    async with link.entities("s", follow=True, resume=True) as stream:
        assert await anext(stream) == "old"
        await cut(line, stream)
        world.hub.withdraw("s")
        world.hub.publish("s", other := Ring())
        line.refusing = False
        other.put("new")
        other.put("newer")
        with pytest.raises(PositionLost, match="another sequence"):
            await anext(stream)
        await stream.seek(0)
        assert await stream.receive() == ("new", "newer")


async def test_a_reader_goes_on_with_the_next_hub(here: World) -> None:
    numbers = Numbers(10)
    here.hub.publish("s", numbers)
    link, line = await here.counted(retry=QUICK)
    async with link.entities("s", follow=True, resume=True) as stream:
        assert sum([await anext(stream) for _ in range(10)]) == 45
        line.refusing = True
        await here.hub.aclose()
        line.hub = await here.other_hub()
        line.hub.publish("s", numbers)
        numbers.grow()
        line.refusing = False
        assert await anext(stream) == 10


async def test_resuming_ends_after_a_while(world: World) -> None:
    world.hub.publish("s", Ring())
    link, line = await world.line(retry=QUICK)
    async with link.entities(
        "s", follow=True, resume=True, resume_within=0.1
    ) as stream:
        reading = asyncio.create_task(stream.receive())
        await cut(line, stream)
        world.hub.withdraw("s")
        line.refusing = False
        with pytest.raises(StreamLost, match="nothing is published"):
            await reading


# How it ends


async def test_withdrawing_a_name_tells_why_and_leaves_others(world: World) -> None:
    world.hub.publish("a", Ring())
    world.hub.publish("b", ring := Ring())
    async with (
        world.link.entities("a", follow=True) as stream,
        world.link.entities("b", follow=True) as other,
    ):
        reading = asyncio.create_task(stream.receive())
        world.hub.withdraw("a", "it moves to another plant")
        with pytest.raises(StreamWithdrawn, match="another plant"):
            await reading
        ring.put(1)
        assert await anext(other) == 1
    assert stream.state is StreamState.CLOSED


async def test_a_hub_that_shuts_down_says_so(world: World) -> None:
    world.hub.publish("s", Ring())
    world.hub.publish("n", Numbers(5000))
    tail = await world.link.entities("s", follow=True)
    numbers = await world.link.entities("n", readahead=10)
    closing = asyncio.create_task(world.hub.aclose(drain=10))
    with pytest.raises(StreamWithdrawn, match="shutting down"):
        await tail.receive()
    with pytest.raises(RefusedError, match="shutting down"):
        await world.link.entities("n")
    # What is read to its end is given the time for it.
    assert sum([1 async for _ in numbers]) == 5000
    await numbers.aclose()
    await closing
    with pytest.raises(StreamFailed):
        await tail.receive()


async def test_leaving_early_closes_the_source(world: World) -> None:
    world.hub.publish("s", numbers := Numbers())
    async with world.link.entities("s") as stream:
        async for number in stream:
            if number == 5:
                break
    await stream.wait_closed()
    assert (numbers.opened, numbers.closed) == (1, 1)
    with pytest.raises(StreamClosed):
        await stream.receive()
    await stream.aclose()


async def test_opening_and_closing_leaves_nothing(world: World, tmp_path: Path) -> None:
    world.hub.publish("s", numbers := Numbers())
    (tmp_path / "f").write_bytes(b"x")
    world.hub.publish("f", file(tmp_path / "f"))
    tasks, handles = len(asyncio.all_tasks()), await asyncio.to_thread(open_files)
    for number in range(500):
        async with world.link.entities("s", readahead=1) as stream:
            await anext(stream)
        if number % 10 == 0:
            async with world.link.bytes("f") as opened:
                assert await opened.read() == b"x"
    assert numbers.closed == 500
    await soon(lambda: len(asyncio.all_tasks()) <= tasks)
    assert await asyncio.to_thread(open_files) <= handles


def open_files() -> int:
    """How many this process has open, where the system tells."""
    known = Path("/proc/self/fd")
    return len(list(known.iterdir())) if known.is_dir() else 0


async def test_who_leaves_while_the_source_is_slow_does_not_wait(world: World) -> None:
    world.hub.publish("s", ring := Ring())
    async with world.link.entities("s", follow=True) as stream:
        reading = asyncio.create_task(stream.receive())
        await asyncio.sleep(0)
        reading.cancel()
    assert (await world.hub.report()).streams == []
    assert not ring.is_recording or len(ring) == 0


async def test_a_source_that_fails_to_close_is_closed_for_the_client(
    world: World,
) -> None:
    world.hub.publish("s", numbers := Numbers())
    numbers.close_error = ValueError("nobody hears it")
    async with world.link.entities("s") as stream:
        await anext(stream)
    await stream.wait_closed()
    assert stream.core.is_closed


# Who is let in


def authorize(token: str | None) -> Access | None:
    known = {
        "reader": [Permission("plant/*", [Action.READ])],
        "writer": [Permission("*", [Action.READ, Action.WRITE])],
        "lister": [Permission("*", [Action.LIST])],
        "caller": [Permission("sorter", [Action.CALL])],
    }
    return Access(token, known[token]) if token in known else None


async def test_each_token_has_its_permissions(world: World, tmp_path: Path) -> None:
    hub = await world.other_hub(authorize=authorize)
    hub.publish("plant/f", file(tmp_path / "f", "w+b"))
    hub.publish("other", fixed([1]))
    hub.expose("sorter", Service())
    reader = await world.connect(token="reader")
    assert [x.name for x in await reader.list()] == ["plant/f"]
    with pytest.raises(AccessDenied, match="write"):
        await reader.bytes("plant/f", "r+b")
    with pytest.raises(AccessDenied, match="read"):
        await reader.entities("other")
    with pytest.raises(AccessDenied, match="call"):
        await reader.call("sorter", "add", 1, 2)
    async with (await world.connect(token="writer")).bytes("plant/f", "wb") as stream:
        await stream.write(b"x")
    lister = await world.connect(token="lister")
    assert len(await lister.list()) == 2
    with pytest.raises(AccessDenied):
        await lister.entities("other")
    caller = await world.connect(token="caller")
    assert await caller.call("sorter", "add", 1, 2) == 3
    for wrong in ("nobody", None):
        with pytest.raises(AccessDenied):
            await world.connect(token=wrong)


async def test_a_server_for_others_needs_tokens() -> None:
    with pytest.raises(SettingsError, match="authorize"):
        HubServer(Hub(), "0.0.0.0")


async def test_pages_of_other_sites_are_not_let_in(here: World) -> None:
    here.hub.publish("s", fixed(b"x"))
    async with (
        HubServer(here.hub) as server,
        aiohttp.ClientSession(headers={"Origin": "https://evil.example"}) as session,
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(server.url)
        assert caught.value.status == 403
        async with session.get(server.url, headers={"Host": "evil.example"}) as answer:
            assert answer.status == 403


async def test_more_streams_than_allowed_are_refused(world: World) -> None:
    await world.other_hub(limits={"streams_per_link": 3, "links_per_client": 2})
    world.hub.publish("s", fixed([1]))
    link = await world.connect()
    streams = [await link.entities("s") for _ in range(3)]
    with pytest.raises(LimitReached) as caught:
        await link.entities("s")
    assert caught.value.facts["limit"] == 3
    await streams[0].aclose()
    await soon(lambda: streams[0].core.is_closed)
    await link.entities("s")
    await world.connect()
    with pytest.raises(NotConnected, match="too many links"):
        await world.connect()


async def test_where_no_hub_is_that_is_told(here: World) -> None:
    async with HubServer(here.hub) as server:
        url = server.url
    with pytest.raises(NotConnected):
        await connect(url, retry=None).open_link()
    with pytest.raises(UsageError):
        connect("ftp://host")


# Calls


class Service:
    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.begun = asyncio.Event()

    @method
    def add(self, a: int, b: int = 1) -> int:
        return a + b

    @method
    async def wait(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()

    @method
    def fail(self, *, kindly: bool) -> None:
        raise NotConnected("the plant", "no answer") if kindly else ValueError("secret")

    def hidden(self) -> str:
        return "secret"


async def test_methods_are_called_with_what_they_take(world: World) -> None:
    world.hub.expose("s", Service())
    service = world.link.service("s")
    assert [await service.add(1), await service.add(1, b=5)] == [2, 6]
    with pytest.raises(CallFailed, match="does not take"):
        await service.add("1")
    with pytest.raises(CallFailed, match="does not take"):
        await service.add()
    for name in ("hidden", "__init__", "ad"):
        with pytest.raises(StreamNotFound, match="no method"):
            await world.link.call("s", name)


async def test_what_a_method_raises_is_told_without_what_is_inside(
    world: World,
) -> None:
    world.hub.expose("s", Service())
    with pytest.raises(CallFailed, match="the plant is not connected"):
        await world.link.call("s", "fail", kindly=True)
    with pytest.raises(CallFailed) as caught:
        await world.link.call("s", "fail", kindly=False)
    assert "secret" not in str(caught.value)
    assert caught.value.facts["type"] == "ValueError"


async def test_who_waits_no_longer_cancels_the_call(world: World) -> None:
    world.hub.expose("s", service := Service())
    call = asyncio.create_task(world.link.call("s", "wait"))
    await service.begun.wait()
    call.cancel()
    await service.cancelled.wait()
    assert call.cancelled()


async def test_too_many_calls_are_refused(world: World) -> None:
    await world.other_hub(limits={"calls_per_link": 2})
    world.hub.expose("s", Service())
    link = await world.connect()
    calls = [asyncio.create_task(link.call("s", "wait")) for _ in range(3)]
    done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    assert isinstance(done.pop().exception(), LimitReached)
    for call in waiting:
        call.cancel()
    await asyncio.wait(waiting)


async def test_what_is_not_marked_or_annotated_is_not_exposed() -> None:
    class Bare:
        @method
        def add(self, a):  # type: ignore[no-untyped-def]
            return a

    with pytest.raises(UsageError, match="marks no method"):
        Hub().expose("s", object())
    with pytest.raises(UsageError, match="no annotation"):
        Hub().expose("s", Bare())


# Counting


async def test_what_goes_on_is_counted(world: World) -> None:
    world.hub.publish("s", Numbers(5000))
    async with world.link.entities("s", readahead=100) as stream:
        await stream.receive(10)
        await soon(lambda: stream.core.waiting == 90)
        (report,) = (await world.hub.report()).streams
        assert (report.sent, report.position, report.lag) == (100, 100, 4900)
        assert report.credit_items == 0


def test_a_name_is_published_once_and_only_for_what_the_source_can() -> None:
    hub = Hub()
    hub.publish("s", fixed([1]))
    with pytest.raises(UsageError, match="taken"):
        hub.publish("s", fixed([1]))
    with pytest.raises(UsageError, match="write"):
        hub.publish("w", fixed([1]), Mode.READ | Mode.WRITE)
    with pytest.raises(UsageError):
        hub.withdraw("none")


@pytest.mark.parametrize(
    "mode",
    [
        Mode.SEEK_BACK,
        Mode.WRITE | Mode.FIXED,
        Mode.READ | Mode.FIXED | Mode.END_UP,
        Mode.WRITE | Mode.EXTEND,
        Mode.WRITE | Mode.TRUNCATE,
        Mode.READ | Mode.TRIM | Mode.START_UP,
    ],
    ids=str,
)
def test_modes_that_contradict_themselves_are_refused(mode: Mode) -> None:
    with pytest.raises(UsageError):
        mode.check()


class Noting:
    """A connection that notes whether it was closed."""

    def __init__(self, inner: Transport) -> None:
        self.target = inner.target
        self.closed = False
        self._inner = inner

    async def send(self, data: bytes) -> None:
        await self._inner.send(data)

    async def receive(self) -> bytes:
        return await self._inner.receive()

    async def break_off(self) -> None:
        """Be lost."""
        await self._inner.aclose()

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed = True
        await self._inner.aclose()


@pytest.mark.parametrize("turns", range(8))
async def test_a_connection_is_closed_whenever_it_breaks_beside_the_close(
    turns: int,
) -> None:
    made: list[Noting] = []
    async with Hub() as hub:

        async def dial() -> Transport:
            made.append(Noting(await hub.dial()))
            return made[-1]

        async with connect(dial, retry=None):
            await made[0].break_off()
            for _ in range(turns):
                await asyncio.sleep(0)
    assert [each.closed for each in made] == [True]
