"""Windows and joins as pipes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pichannels.channels import BaseChannel
from pichannels.dataflow import Application, Cache, CacheError, Proxy, Record
from pichannels.dataflow.windows import (
    Late,
    Match,
    Session,
    Tumbling,
    Window,
    WindowPipe,
    join,
    window,
)
from pichannels.errors import DecodeError, UsageError
from pichannels.message import Message
from pichannels.values import Sample, Tag
from pichannels.windows import Shape

SECOND = 10**7
START = 1_700_000_040


def reading(second: int, value: float, site: str = "N") -> dict[str, Any]:
    return {"at": float(START + second), "v": value, "site": {"name": site}}


def piped(*values: Any, pipe: WindowPipe) -> list[Any]:
    """What a pipe makes of values, up to the end of the stream."""
    application, found = Application(), list[Any]()

    async def source() -> AsyncIterator[Any]:
        for value in values:
            yield value

    application.handle(source, pipe=[pipe], sink=[found.append])(lambda value: value)
    asyncio.run(application.stream())
    return found


def made(second: int, key: str, total: float, revision: int = 0) -> Window:
    start = (START + second) * SECOND
    return Window(key, start, start + 60 * SECOND, {"sum": total}, revision)


MINUTES = Tumbling(60)
GETTERS: dict[str, Any] = {"key": "site.name", "time": "at", "value": "v"}


def test_values_are_grouped_and_told_up_to_the_last() -> None:
    values = [reading(1, 1), reading(2, 5, "S"), reading(59, 2), reading(60, 4)]
    found = piped(*values, pipe=window(Tumbling(60), ["sum"], **GETTERS))
    assert found == [made(0, "N", 3), made(60, "N", 4), made(0, "S", 5)]
    assert found[0].end_time.isoformat() == "2023-11-14T22:15:00+00:00"


def test_the_rest_can_be_left() -> None:
    pipe = window(Tumbling(60), ["sum"], rest=False, **GETTERS)
    assert piped(reading(1, 1), reading(61, 2), pipe=pipe) == [made(0, "N", 1)]


def test_samples_and_messages_need_no_getters() -> None:
    tag = Tag("TI1")
    samples = [Sample(tag, (START + at) * SECOND, float(at)) for at in (1, 2, 61)]
    message = Message(payload=samples[1:])
    found = piped(samples[0], message, pipe=window(Tumbling(60), ["sum"]))
    assert [(each.key, each.values["sum"]) for each in found] == [(tag, 3), (tag, 61)]


def test_late_values_go_aside_or_change_what_was_told() -> None:
    values = [reading(1, 1), reading(61, 2), reading(2, 4)]
    aside = piped(*values, pipe=window(Tumbling(60), ["sum"], late="side", **GETTERS))
    assert aside[1] == Late("N", values[2])
    pipe = window(Tumbling(60), ["sum"], late="update", keep=60, **GETTERS)
    assert piped(*values, pipe=pipe)[1] == made(0, "N", 5, revision=1)


async def test_a_silent_key_is_closed_by_the_clock() -> None:
    application, found = Application(), asyncio.Queue[Window]()
    end = asyncio.Event()

    async def source() -> AsyncIterator[Any]:
        yield reading(1, 1)
        yield reading(2, 2)
        await end.wait()

    pipe = window(Session(60), ["sum"], idle=0.02, rest=False, **GETTERS)
    application.handle(source, pipe=[pipe], sink=[found.put])(lambda value: value)
    running = asyncio.create_task(application.stream())
    told = await asyncio.wait_for(found.get(), 10)
    end.set()
    await running
    assert (told.values, found.empty()) == ({"sum": 3}, True)


async def test_a_stop_gives_what_is_open_while_the_source_waits() -> None:
    application, found = Application(), list[Any]()

    async def source() -> AsyncIterator[Any]:
        yield reading(1, 1)
        asyncio.get_running_loop().call_later(0.01, application.stop)
        await asyncio.Event().wait()

    pipe = window(Tumbling(60), ["sum"], idle=3600, **GETTERS)
    application.handle(source, pipe=[pipe], sink=[found.append])(lambda value: value)
    await asyncio.wait_for(application.stream(), 10)
    assert found == [made(0, "N", 1)]


async def test_an_error_of_the_source_comes_through_the_pipe() -> None:
    application = Application()

    async def source() -> AsyncIterator[Any]:
        yield reading(1, 1)
        raise ValueError("the source")

    pipe = window(Tumbling(60), ["sum"], idle=3600, **GETTERS)
    application.handle(source, pipe=[pipe])(lambda value: value)
    with pytest.raises(ValueError, match="the source"):
        await application.stream()


class Meters(BaseChannel):
    """A channel that tells when it runs."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.has_started = asyncio.Event()

    async def start_source(self) -> None:
        self.has_started.set()


async def test_the_messages_of_a_channel_are_settled_behind_the_pipe() -> None:
    channel, application = Meters("meters"), Application()
    found = asyncio.Queue[Window]()
    pipe = window(Tumbling(60), ["sum"], **GETTERS)
    application.handle(channel, pipe=[pipe], sink=[found.put])(lambda value: value)
    running = asyncio.create_task(application.stream())
    await asyncio.wait_for(channel.has_started.wait(), 10)
    for second in (1, 61):
        await asyncio.wait_for(
            channel.handle(Message(payload=reading(second, 1))), timeout=10
        )
    assert await asyncio.wait_for(found.get(), 10) == made(0, "N", 1)
    application.stop()
    await running


async def test_a_stream_is_joined_with_references() -> None:
    application, found = Application(), list[Match]()
    prices = Proxy()
    joined = join(["price"], tolerance=30, missing="drop", **GETTERS)
    go_on = asyncio.Event()

    async def flows() -> AsyncIterator[Any]:
        await prices(reading(1, 2.5))
        await prices(reading(1, 9.5, "S"))
        yield reading(5, 10)
        yield reading(20, 20)
        # That a price is later lets the last flow go out, which nothing else does.
        await prices(reading(25, 3.5))
        await go_on.wait()
        yield reading(60, 30)

    application.handle(prices, sink=[joined.reference("price")])(lambda price: price)

    @application.handle(flows, pipe=[joined], sink=[found.append])
    def seen(match: Match) -> Match:
        if match.ticks == (START + 20) * SECOND:
            go_on.set()
        return match

    await asyncio.wait_for(application.stream(), 10)
    # Of the last one the price is too old.
    assert [(m.value["v"], m.found) for m in found] == [
        (10, {"price": 2.5}),
        (20, {"price": 2.5}),
    ]


def test_what_cannot_be_is_told() -> None:
    with pytest.raises(UsageError, match="did you mean 'price'"):
        join(["price"]).reference("prize")
    with pytest.raises(UsageError, match="keep or drop"):
        join(["price"], missing="no")
    with pytest.raises(UsageError, match="above 0"):
        window(Tumbling(60), ["sum"], idle=0)
    with pytest.raises(UsageError, match="time="):
        piped(1, pipe=window(Tumbling(60), ["sum"]))
    with pytest.raises(DecodeError, match="`time` finds none"):
        piped({}, pipe=window(Tumbling(60), ["sum"], time="at"))


async def streamed(pipe: WindowPipe, *values: Any, fails: bool = False) -> list[Any]:
    """What a pipe gives to a sink, which may fail."""
    application, found = Application(), list[Any]()

    async def source() -> AsyncIterator[Any]:
        for value in values:
            yield value

    def take(told: Any) -> None:
        if fails:
            raise ValueError("the sink is away")
        found.append(told)

    application.handle(source, pipe=[pipe], sink=[take])(lambda value: value)
    with suppress(ValueError):
        await application.stream()
    return found


@pytest.fixture
async def cache(tmp_path: Path) -> AsyncIterator[Cache]:
    async with await asyncio.to_thread(Cache, str(tmp_path / "cache")) as cache:
        yield cache


def kept(cache: Cache, shape: Shape = MINUTES, **options: Any) -> WindowPipe:
    """The pipe of a process that begins."""
    with suppress(CacheError):
        cache.get_column_family("windows").keeper = None
    return window(shape, ["sum"], state=cache, **{**GETTERS, **options})


async def test_open_windows_outlive_the_process(cache: Cache) -> None:
    assert await streamed(kept(cache), reading(1, 1), reading(2, 5, "S")) == []
    found = await streamed(kept(cache), reading(3, 2), reading(61, 9))
    assert found == [made(0, "N", 3)]


async def test_a_value_whose_window_was_not_taken_counts_when_it_comes_again(
    cache: Cache,
) -> None:
    values = [reading(1, 1), reading(61, 2)]
    assert await streamed(kept(cache), *values, fails=True) == []
    found = await streamed(kept(cache), values[1], reading(121, 0))
    assert found == [made(0, "N", 1), made(60, "N", 2)]


async def test_a_message_that_comes_again_after_it_was_saved_counts_once(
    cache: Cache,
) -> None:
    first, second = (Message(payload=reading(at, 10)) for at in (1, 2))
    await streamed(kept(cache), first, second)
    found = await streamed(kept(cache), second, first, reading(61, 0))
    assert found == [made(0, "N", 20)]


async def test_a_record_that_comes_again_after_it_was_saved_counts_once(
    cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pichannels.dataflow")
    getters: dict[str, Any] = {name: f"value.{path}" for name, path in GETTERS.items()}

    def record(partition: int, offset: int, value: float) -> Record:
        at = 1 if value else 61
        return Record("t", partition, offset, 0, None, reading(at, value))

    first = [record(0, 5, 1), record(0, 6, 10), record(1, 3, 100)]
    await streamed(kept(cache, **getters), *first)
    again = [*first[1:], record(1, 4, 1000), record(0, 7, 0)]
    found = await streamed(kept(cache, **getters), *again)
    assert found == [made(0, "N", 1111)]
    told = [f"t/{n}: all up to offset {at} is in" for n, at in ((0, 6), (1, 3))]
    assert [line.startswith(t) for line, t in zip(caplog.messages, told, strict=True)]


async def test_each_pipe_has_a_state_of_its_own(cache: Cache) -> None:
    first = kept(cache)
    with pytest.raises(UsageError, match="a part of its own"):
        window(MINUTES, ["sum"], state=cache)
    second = window(
        MINUTES, ["sum"], state=cache.create_column_family("two"), **GETTERS
    )
    assert await streamed(first, reading(1, 1)) == []
    assert await streamed(second, reading(61, 1)) == []


async def test_other_windows_begin_anew(
    cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    await streamed(kept(cache), reading(1, 1))
    found = await streamed(kept(cache, Tumbling(30)), reading(2, 5), reading(61, 1))
    assert [each.values["sum"] for each in found] == [5]
    assert "begin anew" in caplog.text


async def joined(cache: Cache, *values: Any, fails: bool = False) -> list[Any]:
    """What a join that begins gives of prices and of orders, one after the other."""
    with suppress(CacheError):
        cache.get_column_family("windows").keeper = None
    pipe = join(["price"], time="at", value="v", state=cache)
    application, found = Application(), list[Any]()
    prices, orders = Proxy(), Proxy()

    async def source() -> AsyncIterator[Any]:
        for value in values:
            yield value

    def take(match: Match) -> None:
        if fails:
            raise ValueError("the sink is away")
        found.append((match.value["v"], match.found["price"]))

    @application.handle(source)
    async def apart(value: Any) -> None:
        await (prices if value["site"]["name"] == "price" else orders)(value)

    application.handle(prices, sink=[pipe.reference("price")])(lambda value: value)
    application.handle(orders, pipe=[pipe], sink=[take])(lambda value: value)
    with suppress(ValueError):
        await application.stream()
    return found


async def test_what_waits_in_a_join_outlives_the_process(cache: Cache) -> None:
    prices = [reading(at, at, "price") for at in (1, 5, 9)]
    assert await joined(cache, prices[0], reading(3, 30)) == []
    assert await joined(cache, prices[1], reading(7, 70)) == [(30, 1)]
    assert await joined(cache, prices[2], fails=True) == []
    assert await joined(cache) == [(70, 5)]
    assert await joined(cache) == []
