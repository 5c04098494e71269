"""Streams of entities: reading, windows, moving, following."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings, strategies as st

from pichannels import clock
from pichannels.message import Message
from pichannels.remote import (
    END,
    START,
    ContextError,
    EntityStream,
    Gap,
    Kind,
    Mode,
    ModeRefused,
    PositionLost,
    SourceFailed,
    StreamInUse,
    StreamNotFound,
    StreamPositionError,
    UnsupportedOperation,
    fixed,
    from_iterable,
    pack,
    unpack,
)
from pichannels.remote.rings import Ring
from pichannels.values import DigitalState, Sample, Tag
from tests.unit.remote.world import Numbers, World, soon


async def test_values_come_with_their_types(world: World) -> None:
    sample = Sample(Tag("w", "n"), 17, DigitalState("On", 1, False))
    values = [1, "a", b"b", Decimal("1.50"), datetime.now(UTC), {"k": (1, None)}]
    message = Message("x/y", [sample], {"lane": "live"})
    message.ctx["before"] = {"payload": 1, "meta": {}}
    world.hub.publish("s", fixed([*values, message]))
    async with world.link.entities("s") as stream:
        *plain, last = await stream.receive()
    assert plain == values
    assert [type(value) for value in plain] == [type(value) for value in values]
    assert last.to_dict() == message.to_dict()


async def test_names_are_listed_with_kind_mode_and_ends(world: World) -> None:
    world.hub.publish("a/x", fixed([1, 2]))
    world.hub.publish("a/y", fixed(b"abc"))
    world.hub.publish("b", fixed([]))
    found = await world.link.list("a/*")
    assert [(x.name, x.kind, x.first, x.end) for x in found] == [
        ("a/x", Kind.ENTITIES, 0, 2),
        ("a/y", Kind.BYTES, 0, 3),
    ]
    assert Mode.FIXED in found[0].mode


async def test_many_names_are_listed(here: World) -> None:
    for number in range(450):
        here.hub.publish(f"s{number:03}", fixed([]))
    found = await here.link.list()
    assert [x.name for x in found] == [f"s{number:03}" for number in range(450)]


async def test_an_unknown_name_is_told(world: World) -> None:
    with pytest.raises(StreamNotFound, match="'none'"):
        await world.link.entities("none")


async def test_a_stream_is_opened_only_as_what_it_is(world: World) -> None:
    world.hub.publish("s", fixed([1]))
    with pytest.raises(ModeRefused, match="entities"):
        await world.link.bytes("s")
    with pytest.raises(ModeRefused, match="write") as caught:
        await world.link.entities("s", mode="r+")
    assert caught.value.facts["missing"] == "write"


async def test_a_source_that_does_not_open_is_told_and_leaves_nothing(
    world: World,
) -> None:
    numbers = Numbers()
    numbers.error = ValueError("secret")
    world.hub.publish("s", numbers)
    tasks = len(asyncio.all_tasks())
    with pytest.raises(Exception, match="could not be opened") as caught:
        await world.link.entities("s")
    assert "secret" not in str(caught.value)
    await soon(lambda: len(asyncio.all_tasks()) <= tasks)


async def test_the_smaller_window_counts(world: World) -> None:
    await world.other_hub(limits={"window_items": 100})
    world.hub.publish("s", numbers := Numbers())
    link = await world.connect()
    async with link.entities("s", readahead=1000) as stream:
        await stream.wait_readable()
        assert stream.limits.items == 100
        await soon(lambda: numbers.given == 100)


async def test_no_more_is_read_than_the_window_allows(world: World) -> None:
    world.hub.publish("s", numbers := Numbers())
    async with world.link.entities("s", readahead=100) as stream:
        for _ in range(10):
            await anext(stream)
        for _ in range(20):
            await world.link.list()
        assert numbers.given <= 110
        assert all(items <= 100 for items, _ in numbers.asked)


async def test_bytes_limit_the_window_too(world: World) -> None:
    world.hub.publish("s", numbers := Numbers(padding=10**6))
    async with world.link.entities("s", readahead_bytes=4 * 2**20) as stream:
        await stream.wait_readable()
        for _ in range(20):
            await world.link.list()
        # One more may be ready to go.
        assert numbers.given <= 5
        assert stream.core.waiting <= 4


async def test_an_item_larger_than_the_window_gets_through(world: World) -> None:
    world.hub.publish("s", Numbers(20, padding=5000))
    async with world.link.entities("s", readahead_bytes=100) as stream:
        assert [value[0] async for value in stream] == list(range(20))


async def test_without_readahead_only_what_is_asked_for_is_read(world: World) -> None:
    world.hub.publish("s", numbers := Numbers())
    async with world.link.entities("s", readahead=0) as stream:
        assert await stream.receive(3) == (0, 1, 2)
        assert await stream.receive(2) == (3, 4)
    assert numbers.given == 5


async def test_reading_ahead_saves_round_trips(here: World) -> None:
    here.hub.publish("s", Numbers(1000))
    link, line = await here.counted()
    sent: dict[int, int] = {}
    for window in (1, 1000):
        before = line.sent
        async with link.entities("s", readahead=window) as stream:
            assert len([value async for value in stream]) == 1000
        sent[window] = line.sent - before
    assert sent[1] >= 1000
    assert sent[1000] <= 10


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text()
        | st.binary()
        | st.decimals(allow_nan=False)
        | st.datetimes(timezones=st.just(UTC))
        | st.uuids(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
@settings(max_examples=60, deadline=None)
def test_any_message_comes_as_it_was(payload: object) -> None:
    message = Message("x/y", payload, {"fact": payload})
    found = unpack(pack([message]))[0]
    assert found.to_dict() == message.to_dict()
    assert type(found.payload) is type(payload)


async def test_a_batch_is_what_is_there(world: World) -> None:
    world.hub.publish("s", Numbers(5))
    async with world.link.entities("s") as stream:
        found = list(await stream.receive(1000))
        while more := await stream.receive(1000):
            found += more
        assert found == [0, 1, 2, 3, 4]
        assert await stream.receive() == ()


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_iterable_is_asked_only_for_what_there_is_room_for(
    world: World, is_async: bool
) -> None:
    pulled = 0

    def numbers() -> object:
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled

    async def numbers_too() -> object:
        for number in numbers():  # type: ignore[attr-defined]
            yield number

    world.hub.publish("s", from_iterable(numbers_too if is_async else numbers))  # type: ignore[arg-type]
    assert pulled == 0
    async with world.link.entities("s", readahead=10) as stream:
        assert [await anext(stream) for _ in range(3)] == [1, 2, 3]
        for _ in range(10):
            await world.link.list()
        assert pulled <= 13


async def test_what_an_iterable_raises_ends_reading_behind_what_came(
    world: World,
) -> None:
    async def numbers() -> object:
        yield 1
        yield 2
        raise ValueError("secret")

    world.hub.publish("s", from_iterable(numbers))  # type: ignore[arg-type]
    async with world.link.entities("s") as stream:
        assert [await anext(stream), await anext(stream)] == [1, 2]
        with pytest.raises(SourceFailed) as caught:
            await anext(stream)
        assert "secret" not in str(caught.value)


# Moving


async def test_after_a_seek_nothing_old_comes(world: World) -> None:
    world.hub.publish("s", Numbers())
    async with world.link.entities("s", readahead=1000) as stream:
        assert await anext(stream) == 0
        await soon(lambda: stream.core.waiting > 500)
        await stream.receive(600)
        assert await stream.seek(25_000) == 25_000
        assert await anext(stream) == 25_000
        assert stream.position == 25_001


async def test_places_count_from_both_ends_and_from_here(world: World) -> None:
    numbers = Numbers(900)
    numbers.first = 500
    world.hub.publish("s", numbers)
    async with world.link.entities("s") as stream:
        assert await anext(stream) == 500
        assert await stream.seek(-1, END) == 899
        assert await stream.seek(10, START) == 510
        assert await stream.receive(2) == (510, 511)
        assert await stream.seek(-2, 1) == 510  # type: ignore[arg-type]
        assert await stream.ends() == await numbers_ends(numbers)


async def numbers_ends(numbers: Numbers) -> object:
    return (await numbers.about()).ends


async def test_a_seek_out_of_range_costs_only_that(world: World) -> None:
    world.hub.publish("s", fixed([1, 2]))
    async with world.link.entities("s") as stream:
        with pytest.raises(StreamPositionError):
            await stream.seek(99)
        assert await stream.seek(0) == 0
        assert await stream.receive() == (1, 2)


async def test_what_goes_only_forward_does_not_go_back(world: World) -> None:
    world.hub.publish("s", Numbers(), Mode.READ | Mode.SEEK_ON)
    async with world.link.entities("s", readahead=100) as stream:
        await stream.receive(10)
        with pytest.raises(UnsupportedOperation):
            await stream.seek(0)
        # What was read ahead is gone through; what is farther is gone to.
        assert [await stream.seek(50), await anext(stream)] == [50, 50]
        assert [await stream.seek(9000), await anext(stream)] == [9000, 9000]


async def test_where_a_stream_begins_can_be_said(world: World) -> None:
    world.hub.publish("s", Numbers(100))
    async with world.link.entities("s", start=98) as stream:
        first = await stream.receive_items(1)
        bookmark = first[0].bookmark
        assert (first[0].position, str(bookmark)) == (98, '["numbers",99,""]')
    async with world.link.entities("s", start=bookmark) as stream:
        assert [value async for value in stream] == [99]


async def test_a_ring_finds_times(world: World) -> None:
    ring = Ring(keep=100)

    class Hand:
        ticks = 0

        def now(self) -> int:
            return self.ticks

        def monotonic(self) -> float:
            return asyncio.get_running_loop().time()

    with clock.use(hand := Hand()):
        for hand.ticks in range(0, 200_000_000, 10_000_000):
            ring.put(hand.ticks)
    world.hub.publish("s", ring)
    moment = datetime.fromtimestamp(12.5, UTC)
    async with world.link.entities("s") as stream:
        assert await stream.seek_time(moment) == 13
        assert await anext(stream) == 130_000_000
    async with world.link.entities("s", start=moment) as stream:
        assert await anext(stream) == 130_000_000


async def test_the_start_is_moved_by_who_may(world: World) -> None:
    may = Mode.READ | Mode.WRITE | Mode.SEEK | Mode.TRIM | Mode.START_UP
    world.hub.publish("s", numbers := Numbers(10, may))
    async with (
        world.link.entities("s", mode="r+", readahead=2) as stream,
        world.link.entities("s") as reader,
    ):
        assert await stream.receive(2) == (0, 1)
        await stream.trim()
        assert (numbers.first, stream.position) == (2, 2)
        assert await anext(stream) == 2
        with pytest.raises(UnsupportedOperation):
            await reader.trim()


# Following


async def test_the_end_ends_and_a_seek_sees_what_came_since(world: World) -> None:
    world.hub.publish("s", numbers := Numbers(2))
    async with world.link.entities("s") as stream:
        assert [value async for value in stream] == [0, 1]
        numbers.grow()
        # The end is something to read, too.
        await stream.wait_readable()
        assert await stream.receive() == ()
        await stream.seek(2)
        assert await stream.receive() == (2,)


async def test_who_follows_gets_all_that_is_added(world: World) -> None:
    world.hub.publish("s", ring := Ring(keep=20_000))
    async with world.link.entities("s", follow=True, start=START) as stream:
        ring.put("first")
        assert await anext(stream) == "first"

        async def add() -> None:
            for number in range(10_000):
                ring.put(number)
                if number % 500 == 0:
                    await asyncio.sleep(0)

        adding = asyncio.create_task(add())
        found: list[object] = []
        while len(found) < 10_000:
            found += await stream.receive()
        await adding
        assert found == list(range(10_000))


async def test_a_timeout_loses_nothing(world: World) -> None:
    world.hub.publish("s", ring := Ring())
    async with world.link.entities("s", follow=True) as stream:
        for number in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await anext(stream)
            ring.put(number)
            assert await anext(stream) == number


async def test_who_is_overtaken_is_told_where_it_goes_on(world: World) -> None:
    world.hub.publish("s", ring := Ring(keep=10))
    async with world.link.entities("s", readahead=0, follow=True) as stream:
        for number in range(50):
            ring.put(number)
        with pytest.raises(PositionLost) as caught:
            await anext(stream)
        assert caught.value.first_available == 40
        await stream.seek(40)
        assert await anext(stream) == 40


async def test_who_is_overtaken_may_get_a_gap(world: World) -> None:
    world.hub.publish("s", ring := Ring(keep=10, overflow="skip"))
    async with world.link.entities("s", readahead=0, follow=True) as stream:
        for number in range(50):
            ring.put(number)
        assert await anext(stream) == Gap(0, 40)
        assert await anext(stream) == 40
        assert stream.position == 41


async def test_what_was_pruned_is_lost(world: World) -> None:
    ring = Ring(keep=400)
    for number in range(900):
        ring.put(number)
    world.hub.publish("s", ring)
    async with world.link.entities("s") as stream:
        assert await anext(stream) == 500
        with pytest.raises(PositionLost) as caught:
            await stream.seek(100)
        assert caught.value.first_available == 500


async def test_bytes_bound_a_ring_too() -> None:
    ring = Ring(keep=1000, keep_bytes=10_000)
    for _ in range(100):
        ring.put(b"x" * 1000)
    assert len(ring) == 9
    assert ring.size <= 10_000


# Use by several tasks


async def test_a_second_reader_of_a_stream_is_refused(world: World) -> None:
    world.hub.publish("s", ring := Ring())
    async with world.link.entities("s", follow=True) as stream:
        first = asyncio.create_task(stream.receive())
        await asyncio.sleep(0)
        with pytest.raises(StreamInUse):
            await stream.receive()
        ring.put("for the first")
        assert await first == ("for the first",)


async def test_many_readers_each_see_all(world: World) -> None:
    world.hub.publish("s", numbers := Numbers(500))

    async def read(window: int) -> int:
        async with world.link.entities("s", readahead=window) as stream:
            return sum([value async for value in stream])

    sums = await asyncio.gather(*(read(window) for window in range(1, 200, 10)))
    assert set(sums) == {sum(range(500))}
    assert numbers.opened == numbers.closed == 20


async def test_fifty_streams_on_one_link_are_read_by_a_task_each(world: World) -> None:
    rings = [Ring() for _ in range(50)]
    for number, ring in enumerate(rings):
        world.hub.publish(f"s{number}", ring)

    names = [f"s{number}" for number in range(50)]
    streams = [await world.link.entities(name, follow=True) for name in names]

    async def first(stream: EntityStream) -> object:
        await stream.wait_readable()
        return await anext(stream)

    reading = asyncio.gather(*map(first, streams))
    for number, ring in enumerate(rings):
        ring.put(number)
    found = await reading
    assert found == list(range(50))


async def test_a_fault_of_the_source_is_recovered_from_by_a_seek(world: World) -> None:
    world.hub.publish("s", numbers := Numbers(10))
    async with world.link.entities("s", readahead=2) as stream:
        assert await anext(stream) == 0
        numbers.error = OSError("secret")
        with pytest.raises(ContextError) as caught:
            while True:
                await anext(stream)
        assert "secret" not in str(caught.value)
        numbers.error = None
        await stream.seek(0)
        assert await anext(stream) == 0
