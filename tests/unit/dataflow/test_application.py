"""Sources reach handlers, what these give reaches sinks, and all ends as a whole."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from typing import Any, Literal

import pytest

from pichannels import clock
from pichannels.channels import BaseChannel
from pichannels.dataflow import (
    Application,
    Cache,
    Conf,
    Failure,
    Proxy,
    Stream,
    Streamed,
    Timer,
    current,
    exit_hook,
    fresh,
    handle,
    pause,
    resume,
    stop,
    stream,
)
from pichannels.errors import Backpressure, Dropped, UsageError
from pichannels.retry import RetryPolicy
from pichannels.testing import ManualClock


async def numbers(count: int = 5) -> AsyncIterator[int]:
    for number in range(count):
        yield number


def plain(value: int) -> int:
    return value * 2


async def coroutine(value: int) -> int:
    await asyncio.sleep(0)
    return value * 2


def generator(value: int) -> Iterator[int]:
    yield value * 2


async def async_generator(value: int) -> AsyncIterator[int]:
    await asyncio.sleep(0)
    yield value * 2


async def gives_generator(value: int) -> Iterator[int]:
    return generator(value)


SHAPES = [plain, coroutine, generator, async_generator, gives_generator]


# Shapes of handlers and sinks


@pytest.mark.parametrize("shape", SHAPES)
async def test_every_shape_of_handler_gives_its_output(
    app: Application, shape: Callable[..., Any]
) -> None:
    got: list[int] = []
    app.handle(numbers, sink=[got.append])(shape)
    await app.stream()
    assert got == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("shape", SHAPES)
async def test_every_kind_of_sink_gets_each_output_in_order(
    app: Application, shape: Callable[..., Any]
) -> None:
    got: list[Any] = []

    async def late(value: int) -> None:
        await asyncio.sleep(0)
        got.append(("late", value))

    class Sink:
        async def __call__(self, value: int) -> None:
            got.append(("object", value))

    sinks = [got.append, lambda value: late(value), Sink()]
    app.handle(lambda: numbers(2), sink=sinks)(shape)
    await app.stream()
    assert got == [0, ("late", 0), ("object", 0), 2, ("late", 2), ("object", 2)]


async def test_yield_gives_none_to_many(app: Application) -> None:
    got: list[Any] = []

    @app.handle(numbers, sink=[got.append])
    def handler(number: int) -> Iterator[str]:
        if number == 0:
            yield f"zero: {number}"
        if number % 2 == 0:
            yield f"even: {number}"

    await app.stream()
    assert got == ["zero: 0", "even: 0", "even: 2", "even: 4"]


async def test_what_is_returned_is_one_value_also_none(app: Application) -> None:
    got: list[Any] = []
    app.handle(lambda: numbers(1), sink=[got.append])(lambda value: [value, value])
    app.handle(lambda: numbers(1), sink=[got.append])(lambda value: None)
    await app.stream()
    assert got == [[0, 0], None]


async def test_pairs_are_unpacked_for_caches_and_whole_for_others(
    app: Application, cache: Cache
) -> None:
    got: list[Any] = []
    app.handle(numbers, sink=[cache, got.append])(lambda number: (number, [number]))
    await app.stream()
    assert (cache[3], got[3]) == ([3], (3, [3]))


async def test_a_cache_is_not_given_what_is_no_pair(
    app: Application, cache: Cache
) -> None:
    app.handle(numbers, sink=[cache])(plain)
    with pytest.raises(
        UsageError, match=r"Cache takes \(key, value\), and plain gave 0"
    ):
        await app.stream()


async def test_a_handler_needs_no_parameter(app: Application) -> None:
    calls: list[int] = []

    @app.handle(numbers)
    def handler() -> None:
        calls.append(1)

    await app.stream()
    assert len(calls) == 5


async def test_keyword_arguments_reach_those_that_take_them(app: Application) -> None:
    """Upstream left named ones alone."""
    got: list[Any] = []

    @app.handle(lambda: numbers(1), sink=[got.append])
    def all_of_them(value: int, **kwargs: Any) -> Any:
        return kwargs

    @app.handle(lambda: numbers(1), sink=[got.append])
    def named(value: int, env: str = "PROD") -> Any:
        return env

    @app.handle(lambda: numbers(1), sink=[got.append])
    def by_name_alone(*, env: str) -> Any:
        return env

    await app.stream(env="DEV", other=1)
    assert got == [{"env": "DEV", "other": 1}, "DEV", "DEV"]


async def test_keyword_arguments_that_nobody_takes_are_told(app: Application) -> None:
    @app.handle(numbers)
    def handler(value: int, env: str = "PROD") -> None:
        pass

    with pytest.raises(UsageError, match="did you mean 'env'"):
        await app.stream(envv="DEV")


async def test_a_handler_can_be_called_by_itself(app: Application) -> None:
    got: list[int] = []
    handler = app.handle(numbers, sink=[got.append])(generator)
    await handler(4)
    assert (got, handler.__name__) == ([8], "generator")


async def test_a_handler_is_a_sink_of_another(app: Application) -> None:
    got: list[int] = []
    last = app.handle(lambda: numbers(1), sink=[got.append])(lambda n: n + 100)
    app.handle(numbers, sink=[last])(plain)
    await app.stream()
    assert sorted(got) == [100, 100, 102, 104, 106, 108]


# Many to many


async def test_many_sources_and_many_handlers(app: Application) -> None:
    got: list[Any] = []

    async def letters() -> AsyncIterator[str]:
        for letter in "ab":
            yield letter

    source = numbers
    app.handle(source, letters, sink=[got.append])(lambda value: ("first", value))
    app.handle(source, sink=[got.append])(lambda value: ("second", value))
    await app.stream()
    assert sorted(got, key=str) == sorted(
        [("first", n) for n in (*range(5), "a", "b")]
        + [("second", n) for n in range(5)],
        key=str,
    )


async def test_a_source_waits_for_all_its_handlers(app: Application) -> None:
    events: list[str] = []

    async def source() -> AsyncIterator[int]:
        for number in range(2):
            events.append(f"given {number}")
            yield number

    @app.handle(source)
    async def slow(number: int) -> None:
        await asyncio.sleep(0.001)
        events.append(f"slow {number}")

    @app.handle(source)
    def quick(number: int) -> None:
        events.append(f"quick {number}")

    await app.stream()
    assert events == ["given 0", "slow 0", "quick 0", "given 1", "slow 1", "quick 1"]


@pytest.mark.parametrize("bad", [5, [1], None])
async def test_what_is_no_source_is_told_at_once(app: Application, bad: Any) -> None:
    with pytest.raises(UsageError, match="is no source"):
        app.handle(bad)


async def test_what_is_no_sink_is_told_at_once(app: Application) -> None:
    with pytest.raises(UsageError, match="is no sink"):
        app.handle(numbers, sink=[5])(plain)


async def test_a_handler_is_no_source(app: Application) -> None:
    with pytest.raises(UsageError, match=r"below @handle\(source"):
        app.handle(plain)


@pytest.mark.parametrize("name", ["sink", "pipe"])
async def test_a_single_sink_or_pipe_is_told(app: Application, name: str) -> None:
    options: dict[str, Any] = {name: print}
    with pytest.raises(UsageError, match=rf"is a list, such as {name}=\[print\]"):
        app.handle(numbers, **options)


async def test_a_function_of_a_generator_is_streamed_again(app: Application) -> None:
    got: list[int] = []
    app.handle(numbers, sink=[got.append])(plain)
    await app.stream()
    await app.stream()
    assert got == [0, 2, 4, 6, 8] * 2


async def test_a_generator_that_has_ended_is_told(app: Application) -> None:
    app.handle(numbers())(plain)
    await app.stream()
    with pytest.raises(UsageError, match="give handle the function numbers"):
        await app.stream()


# Pipes


async def pairs(values: AsyncIterable[int]) -> AsyncIterator[tuple[int, int]]:
    before = None
    async for value in values:
        if before is not None:
            yield before, value
        before = value


async def doubled(values: AsyncIterable[int]) -> AsyncIterator[int]:
    async for value in values:
        yield value * 2


async def first_two(values: AsyncIterable[int]) -> AsyncIterator[int]:
    left = 2
    async for value in values:
        yield value
        left -= 1
        if not left:
            return


async def test_pipes_follow_one_another(app: Application) -> None:
    got: list[Any] = []
    app.handle(numbers, pipe=[doubled, pairs], sink=[got.append])(lambda pair: pair)
    await app.stream()
    assert got == [(0, 2), (2, 4), (4, 6), (6, 8)]


async def test_piped_and_plain_handlers_go_in_step(app: Application) -> None:
    got: list[Any] = []
    app.handle(numbers, pipe=[doubled], sink=[got.append])(lambda n: ("doubled", n))
    app.handle(numbers, sink=[got.append])(lambda n: ("plain", n))
    app.handle(numbers, pipe=[pairs], sink=[got.append])(lambda n: ("pair", n))
    await app.stream()
    assert len(got) == 14
    places = [got.index(("plain", n)) for n in range(5)]
    assert all(
        abs(got.index(("doubled", n * 2)) - place) <= 2
        for n, place in enumerate(places)
    )


@pytest.mark.parametrize("others", [0, 1])
async def test_a_pipe_that_stops_early_hangs_nothing(
    app: Application, others: int
) -> None:
    got: list[int] = []
    everything: list[int] = []
    app.handle(numbers, pipe=[first_two], sink=[got.append])(lambda n: n)
    for _ in range(others):
        app.handle(numbers, sink=[everything.append])(lambda n: n)
    await asyncio.wait_for(app.stream(), 1)
    assert (got, everything) == ([0, 1], list(range(5)) * others)


async def test_an_error_behind_one_of_several_pipes_is_raised(app: Application) -> None:
    @app.handle(numbers, pipe=[doubled])
    def fails(number: int) -> None:
        raise ValueError(number)

    app.handle(numbers, pipe=[pairs])(lambda pair: pair)
    with pytest.raises(ValueError, match="0"):
        await asyncio.wait_for(app.stream(), 1)


# Caches and proxies between handlers


async def test_a_proxy_passes_on_whichever_handler_comes_first(
    app: Application,
) -> None:
    """Upstream lost what was published before its reader had begun."""
    proxy, got = Proxy(), list[int]()
    app.handle(numbers, sink=[proxy])(plain)
    app.handle(proxy, sink=[got.append])(plain)
    await asyncio.wait_for(app.stream(), 1)
    assert got == [0, 4, 8, 12, 16]


async def test_updates_of_a_cache_are_handled_to_the_last(
    app: Application, cache: Cache
) -> None:
    total: list[int] = []

    @app.handle(lambda: numbers(3000), sink=[cache])
    def keep(number: int) -> tuple[str, int]:
        return "number", number

    @app.handle(cache, sink=[total.append])
    async def slow(update: tuple[str, int]) -> int:
        if update[1] % 100 == 0:
            await asyncio.sleep(0)
        return update[1]

    await asyncio.wait_for(app.stream(), 5)
    assert total == list(range(3000))


async def test_a_ring_of_handlers_ends_when_all_is_worked_off(
    app: Application,
) -> None:
    there, back, got = Proxy(), Proxy(), list[int]()
    app.handle(lambda: numbers(1), sink=[there])(lambda number: 10)
    app.handle(there, sink=[back])(lambda number: number - 1)

    @app.handle(back, sink=[there])
    def again(number: int) -> Iterator[int]:
        got.append(number)
        if number > 0:
            yield number

    await asyncio.wait_for(app.stream(), 1)
    assert got == list(range(9, -1, -1))


async def test_handlers_of_updates_alone_run_until_they_are_stopped(
    app: Application, cache: Cache
) -> None:
    got: list[Any] = []
    app.handle(cache, sink=[got.append])(lambda update: update)
    running = asyncio.create_task(app.stream())
    await asyncio.sleep(0)
    await cache("a", 1)
    app.stop()
    await asyncio.wait_for(running, 10)
    assert got == [("a", 1)]


async def test_a_handler_that_multiplies_its_own_updates_is_told(
    app: Application,
) -> None:
    proxy = Proxy()

    @app.handle(lambda: numbers(1), sink=[proxy])
    def begin(number: int) -> int:
        return number

    @app.handle(proxy, sink=[proxy])
    def twice(number: int) -> Iterator[int]:
        yield number
        yield number

    with pytest.raises(Backpressure):
        await asyncio.wait_for(app.stream(), 5)


# Pausing


async def test_a_paused_source_gives_nothing_until_all_have_resumed_it(
    app: Application,
) -> None:
    """Upstream went on at the first resume."""
    got: list[int] = []
    app.handle(numbers, sink=[got.append])(lambda number: number)
    app.pause(numbers, by="one")
    app.pause(numbers, by="two")
    running = asyncio.create_task(app.stream())
    await asyncio.sleep(0.01)
    app.resume(numbers, by="one")
    app.resume(numbers, by="nobody")
    await asyncio.sleep(0.01)
    assert got == []
    app.resume(numbers, by="two")
    await asyncio.wait_for(running, 10)
    assert got == list(range(5))


async def test_a_handler_can_pause_its_own_source_at_once(app: Application) -> None:
    got: list[int] = []

    @app.handle(numbers)
    def handler(number: int) -> None:
        got.append(number)
        if number == 2:
            app.pause(numbers)

    running = asyncio.create_task(app.stream())
    await asyncio.sleep(0.01)
    assert (got, app.source(numbers).is_paused) == ([0, 1, 2], True)
    app.resume(numbers)
    await asyncio.wait_for(running, 10)
    assert got == list(range(5))


async def test_what_comes_while_it_is_paused_is_kept(app: Application) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    got: list[int] = []

    async def source() -> AsyncIterator[int]:
        for _ in range(2):
            yield await queue.get()

    app.handle(source, sink=[got.append])(lambda number: number)
    running = asyncio.create_task(app.stream())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    app.pause(source)
    queue.put_nowait(1)
    queue.put_nowait(2)
    await asyncio.sleep(0.01)
    assert got == []
    app.resume(source)
    await asyncio.wait_for(running, 10)
    assert got == [1, 2]


async def test_a_paused_application_stops(app: Application) -> None:
    app.handle(numbers)(plain)
    app.pause(numbers)
    running = asyncio.create_task(app.stream())
    await asyncio.sleep(0.01)
    app.stop()
    await asyncio.wait_for(running, 10)
    assert app.source(numbers).is_paused


# Errors


async def test_an_error_ends_the_stream_and_all_other_sources(
    app: Application,
) -> None:
    """Upstream left the others running."""
    ended = asyncio.Event()
    hooks: list[bool] = []

    async def forever() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
                await asyncio.sleep(0)
        finally:
            ended.set()

    app.handle(forever)(plain)
    app.exit_hook(lambda: hooks.append(ended.is_set()))

    @app.handle(numbers)
    def fails(number: int) -> None:
        if number == 3:
            raise ValueError("three")

    with pytest.raises(ValueError, match="three"):
        await app.stream()
    assert hooks == [True]


async def test_errors_beside_the_first_are_told_too(
    app: Application, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails_at_the_end() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            raise ValueError("second")

    app.handle(fails_at_the_end)(plain)

    @app.handle(numbers)
    async def fails(number: int) -> None:
        await asyncio.sleep(0.001)
        raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        await app.stream()
    assert [str(r.exc_info[1]) for r in caplog.records if r.exc_info] == ["second"]


@pytest.mark.parametrize("policy", ["skip", "fail"])
async def test_a_value_that_fails_can_be_skipped(
    app: Application, caplog: pytest.LogCaptureFixture, policy: Literal["skip", "fail"]
) -> None:
    got: list[float] = []
    divide = app.handle(numbers, sink=[got.append], on_error=policy)(lambda n: 6 / n)
    with caplog.at_level(logging.ERROR, "pichannels.dataflow"):
        await app.stream()
    assert (got, divide.failed, len(caplog.records)) == ([6, 3, 2, 1.5], 1, 1)


async def test_failures_go_where_they_are_sent(app: Application) -> None:
    failures: list[Failure] = []
    proxy = Proxy()
    app.handle(numbers, on_error=failures.append)(lambda n: 6 / n)
    app.handle(numbers, on_error=proxy)(lambda n: 6 / n)
    app.handle(proxy, sink=[failures.append])(lambda failure: failure)
    await app.stream()
    assert [(f.value, type(f.error)) for f in failures] == [
        (0, ZeroDivisionError),
        (0, ZeroDivisionError),
    ]


@pytest.mark.parametrize("shape", ["plain", "generator", "coroutine", "sink"])
async def test_a_value_is_tried_again(app: Application, shape: str) -> None:
    calls: list[int] = []

    def fails_twice(value: Any) -> Any:
        calls.append(value)
        if len(calls) < 3:
            raise OSError("not yet")

    def generate(value: Any) -> Iterator[Any]:
        yield fails_twice(value)

    async def wait(value: Any) -> Any:
        return fails_twice(value)

    policy = RetryPolicy(attempts=3, initial=0.001)
    functions = {"plain": fails_twice, "generator": generate, "coroutine": wait}
    sinks = [fails_twice] if shape == "sink" else []
    app.handle(lambda: numbers(1), sink=sinks, retry=policy)(
        functions.get(shape, lambda value: value)
    )
    await app.stream()
    assert calls == [0, 0, 0]


async def test_retries_have_an_end(app: Application) -> None:
    calls: list[int] = []

    @app.handle(numbers, retry=RetryPolicy(attempts=3, initial=0.001))
    async def fails(value: int) -> None:
        calls.append(value)
        raise OSError("never")

    with pytest.raises(OSError, match="never"):
        await app.stream()
    assert calls == [0, 0, 0]


async def test_a_value_can_be_dropped_on_purpose(app: Application) -> None:
    got: list[int] = []

    @app.handle(numbers, sink=[got.append])
    def odd(number: int) -> int:
        if number % 2 == 0:
            raise Dropped("even")
        return number

    await app.stream()
    assert (got, odd.failed) == ([1, 3], 0)


def test_unknown_policies_are_told(app: Application) -> None:
    with pytest.raises(UsageError, match="on_error"):
        app.handle(numbers, on_error="ignore")(plain)  # type: ignore[arg-type]


async def test_an_error_of_a_source_is_raised(app: Application) -> None:
    async def breaks() -> AsyncIterator[int]:
        yield 1
        raise ValueError("broken")

    app.handle(breaks)(plain)
    with pytest.raises(ValueError, match="broken"):
        await app.stream()


# The end


async def test_exit_hooks_run_last_first_and_one_that_fails_stops_none(
    app: Application, caplog: pytest.LogCaptureFixture
) -> None:
    order: list[int] = []

    @app.exit_hook
    def first() -> None:
        order.append(1)

    @app.exit_hook
    async def fails() -> None:
        raise ValueError("hook")

    app.exit_hook(lambda: order.append(3))
    app.handle(numbers)(plain)
    await app.stream()
    assert (order, len(caplog.records)) == ([3, 1], 1)


async def test_exit_hooks_run_when_the_stream_is_cancelled(app: Application) -> None:
    order: list[str] = []
    app.handle(Timer(10))(lambda: order.append("tick"))

    @app.exit_hook
    async def hook() -> None:
        await asyncio.sleep(0)
        order.append("hook")

    running = asyncio.create_task(app.stream())
    await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])
    assert (order, running.cancelled()) == (["tick", "hook"], True)


async def test_stop_finishes_what_is_under_way(app: Application) -> None:
    begun, got = asyncio.Event(), list[int]()

    @app.handle(numbers, sink=[got.append])
    async def slow(number: int) -> int:
        begun.set()
        await asyncio.sleep(0.01)
        return number

    running = asyncio.create_task(app.stream())
    await begun.wait()
    app.stop()
    await asyncio.wait_for(running, 10)
    assert got == [0]


@pytest.mark.parametrize("others", [0, 1])
async def test_a_pipe_gives_what_it_holds_when_the_stream_is_stopped(
    app: Application, others: int
) -> None:
    got: list[Any] = []

    async def endless() -> AsyncIterator[int]:
        yield 1
        yield 2
        await asyncio.Event().wait()

    async def all_at_once(values: AsyncIterable[int]) -> AsyncIterator[list[int]]:
        yield [value async for value in values]

    app.handle(endless, pipe=[all_at_once], sink=[got.append])(lambda batch: batch)
    for _ in range(others):
        app.handle(endless)(lambda number: None)
    running = asyncio.create_task(app.stream())
    await asyncio.sleep(0.01)
    app.stop()
    await asyncio.wait_for(running, 10)
    assert got == [[1, 2]]


async def test_a_source_that_never_waits_can_be_stopped(app: Application) -> None:
    """Upstream would not hear of it."""

    ended: list[bool] = []

    async def busy() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.append(True)

    app.handle(busy)(plain)
    asyncio.get_running_loop().call_later(0.01, app.stop)
    await asyncio.wait_for(app.stream(), 1)
    assert ended == [True]


async def test_it_can_be_stopped_before_it_has_begun(app: Application) -> None:
    channel = BaseChannel("in")
    app.handle(channel)(lambda msg: None)
    running = asyncio.create_task(app.stream())
    await asyncio.sleep(0)
    app.stop()
    await asyncio.wait_for(running, 10)
    assert channel.is_stopped()


async def test_a_proxy_whose_handler_has_enough_holds_up_nobody(
    app: Application,
) -> None:
    proxy, got = Proxy(), list[int]()
    app.handle(lambda: numbers(5000), sink=[proxy])(lambda number: number)
    app.handle(proxy, pipe=[first_two], sink=[got.append])(lambda number: number)
    await asyncio.wait_for(app.stream(), 2)
    assert got == [0, 1]


async def test_what_does_not_end_is_cancelled_after_a_while() -> None:
    app = Application(drain_timeout=0.01)
    begun = asyncio.Event()
    cancelled: list[int] = []

    @app.handle(numbers)
    async def endless(number: int) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    running = asyncio.create_task(app.stream())
    await begun.wait()
    app.stop()
    await asyncio.wait_for(running, 10)
    assert len(cancelled) == 1


async def test_it_runs_once_at_a_time(app: Application) -> None:
    app.handle(Timer(10))(lambda: None)
    running = asyncio.create_task(app.stream())
    await asyncio.sleep(0)
    with pytest.raises(UsageError, match="is running"):
        await app.stream()
    app.stop()
    await running


# The timer


@pytest.mark.parametrize("worked", [9.99, 29.99])
async def test_a_timer_keeps_its_beat_and_leaves_out_what_was_missed(
    app: Application, worked: float
) -> None:
    ticks: list[int] = []
    with clock.use(ManualClock()) as time:
        assert isinstance(time, ManualClock)

        @app.handle(Timer(10))
        def tick(now: int) -> None:
            ticks.append(now)
            time.advance(worked)
            if len(ticks) == 2:
                app.stop()

        await asyncio.wait_for(app.stream(), 5)
    assert ticks[1] - ticks[0] == round(worked * 10**7)


def test_a_timer_has_an_interval() -> None:
    with pytest.raises(UsageError, match="above 0"):
        Timer(0)


# The default application


@pytest.fixture
def own() -> Iterator[Application]:
    with fresh() as application:
        yield application


def test_the_functions_work_on_the_current_application(own: Application) -> None:
    got: list[Any] = []

    async def both() -> None:
        pause(numbers)
        running = asyncio.create_task(stream(env="DEV"))
        await asyncio.sleep(0)
        resume(numbers)
        await running
        handle(Timer(5))(lambda: stop())
        await asyncio.wait_for(stream(env="DEV"), 1)

    @handle(numbers, sink=[got.append])
    def handler(number: int, env: str) -> str:
        return f"{env} {number}"

    exit_hook(lambda: got.append("end"))
    asyncio.run(both())
    assert (got[0], got[5], current()) == ("DEV 0", "end", own)


def test_two_applications_know_nothing_of_each_other(own: Application) -> None:
    with fresh() as other:
        handle(numbers)(plain)
        assert Conf({"a": 1}) == {"a": 1}
    assert (own.conf, bool(own.source(numbers).handlers)) == ({}, False)
    assert other.source(numbers).handlers


def test_conf_adds_up_and_is_one(own: Application) -> None:
    first = Conf({"bootstrap.servers": "localhost:9092", "group_id": "a"})
    second = Conf({"group_id": "b"})
    assert first is second is own.conf
    assert (second.group_id, second.bootstrap_servers) == ("b", "localhost:9092")
    assert repr(second) == "{'bootstrap.servers': 'localhost:9092', 'group_id': 'b'}"


def test_what_is_not_set_is_told(own: Application) -> None:
    Conf({"group_id": "a"})
    with pytest.raises(AttributeError, match="did you mean 'group_id'"):
        _ = Conf().groupid


def test_reset_forgets_all(own: Application) -> None:
    handle(numbers)(plain)
    Conf({"a": 1})
    own.reset()
    assert (own.conf, own.source(numbers).handlers) == ({}, [])


# Sources of one's own


class Ledger(Streamed, Stream):
    """Numbers, and what became of each."""

    def __init__(self) -> None:
        self.book: list[str] = []
        self.left = 0
        self.number = 0

    async def open_stream(self) -> Stream:
        self.book.append("opened")
        self.left = 3
        return self

    async def __anext__(self) -> int:
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        self.number = 3 - self.left
        return self.number

    def settled(self) -> None:
        self.book.append(f"settled {self.number}")

    def failed(self, error: BaseException) -> None:
        self.book.append(f"failed {self.number}")

    def held(self, is_held: bool) -> None:
        self.book.append("held" if is_held else "not held")

    async def close(self) -> None:
        self.book.append("closed")


@pytest.mark.parametrize("policy", ["fail", "stop"])
@pytest.mark.parametrize("piped", [False, True])
async def test_a_source_hears_what_becomes_of_each_value(
    app: Application, policy: Literal["fail", "stop"], piped: bool
) -> None:
    source = Ledger()

    @app.handle(source, pipe=[doubled] if piped else [], on_error=policy)
    async def handler(number: int) -> None:
        if number == (4 if piped else 2):
            raise ValueError("two")

    with contextlib.suppress(ValueError):
        await app.stream()
    begin = ["opened", "not held", "settled 1", "failed 2"]
    rest = ["settled 3"] if policy == "fail" else []
    assert source.book == [*begin, *rest, "closed"]
