"""Windows and joins as pipes: `handle(..., pipe=[window(Tumbling(60), ["mean"])])`.

What a pipe holds is lost with the process, unless it has a cache for its state.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any, Final, Generic, NamedTuple, TypeVar

from pichannels import clock
from pichannels.checks import at_least
from pichannels.dataflow.cache import Cache
from pichannels.dataflow.pumping import END, PAUSE, Pump
from pichannels.dataflow.saving import Saved
from pichannels.errors import UsageError, nearest
from pichannels.message import Message
from pichannels.values import TICKS_PER_SECOND, Sample, datetime_from_ticks
from pichannels.windows import (
    DEFAULT_ERROR,
    AsOf,
    Get,
    Hopping,
    Joined,
    JoinState,
    KeyState,
    Reader,
    Result,
    Session,
    Shape,
    Sliding,
    Tumbling,
    Windowing,
)

__all__ = [
    "Hopping",
    "JoinPipe",
    "Late",
    "Match",
    "Session",
    "Sliding",
    "Tumbling",
    "Window",
    "WindowPipe",
    "join",
    "window",
]

_KEYS_KEPT: Final = 1_000_000
"""Of more keys, those of which nothing is open are forgotten."""
_LOOKS: Final = 4
"""How often in `idle` seconds it is looked for what is silent."""


class Window(NamedTuple):
    """What is told of one window.

    Attributes:
        key: what it was grouped by; the tag of samples.
        start, end: ticks of 100 ns since 1970 UTC.
        values: name of the aggregate -> what it is; None where there is nothing.
        revision: 0, and more for a window that a late value has changed.
    """

    key: Any
    start: int
    end: int
    values: dict[str, Any]
    revision: int = 0

    @property
    def start_time(self) -> datetime:
        """The start as aware UTC datetime."""
        return datetime_from_ticks(self.start)

    @property
    def end_time(self) -> datetime:
        """The end as aware UTC datetime."""
        return datetime_from_ticks(self.end)


class Late(NamedTuple):
    """A value that has come too late.

    Attributes:
        key: what it is grouped by.
        value: as it came.
    """

    key: Any
    value: Any


class Match(NamedTuple):
    """A value with those of the references at its time.

    Attributes:
        value: as it came.
        ticks: its time.
        found: name of each reference -> its value then, or None.
    """

    value: Any
    ticks: int
    found: dict[str, Any]

    @property
    def time(self) -> datetime:
        """The time as aware UTC datetime."""
        return datetime_from_ticks(self.ticks)


_State = TypeVar("_State", KeyState, JoinState)


class _Known(Generic[_State]):
    """The states of all keys of one stream, and when the last value of each came.

    Attributes:
        touched: those that may have changed, until they are forgotten here.
    """

    def __init__(self, make: Callable[[], _State], idle: float | None) -> None:
        self._make: Callable[[], _State] = make
        self._idle = idle
        self.states: dict[Any, _State] = {}
        self.touched: dict[Any, _State] = {}
        self._arrived: dict[Any, float] = {}

    def begin(self, states: dict[Any, _State]) -> None:
        """Go on with states that were saved."""
        self.states = states
        self._arrived = dict.fromkeys(states, clock.monotonic())

    def of(self, key: Any) -> _State:
        """The state of a key that a value has come for."""
        state = self.states.get(key)
        if state is None:
            if len(self.states) >= _KEYS_KEPT:
                self._forget_closed()
            state = self.states[key] = self._make()
        if self._idle is not None:
            self._arrived[key] = clock.monotonic()
        self.touched[key] = state
        return state

    def _forget_closed(self) -> None:
        self.states = {k: s for k, s in self.states.items() if s.is_open}
        self._arrived = {k: at for k, at in self._arrived.items() if k in self.states}

    def silent(self) -> Iterable[tuple[Any, _State, int]]:
        """Keys that are silent and have something open, with the time up to when."""
        if self._idle is None:
            return
        latest = clock.monotonic() - self._idle
        mark = clock.now() - round(self._idle * TICKS_PER_SECOND)
        for key, state in self.states.items():
            if self._arrived[key] <= latest and state.is_open:
                yield key, state, mark


class WindowPipe:
    """Windows over a stream; see `window`."""

    def __init__(
        self,
        windowing: Windowing,
        reader: Reader,
        idle: float | None,
        rest: bool,
        saved: Saved[KeyState] | None,
    ) -> None:
        self._windowing = windowing
        self._reader = reader
        self._idle = idle
        self._rest = rest
        self._saved = saved

    async def __call__(
        self, values: AsyncIterable[Any]
    ) -> AsyncIterator[Window | Late]:
        """The windows of the values, which begin anew with each stream."""
        known = _Known(self._windowing.state, self._idle)
        if self._saved is not None:
            known.begin(await asyncio.to_thread(self._saved.load))
        if self._idle is None:
            async for value in values:
                for each in self._take(value, known):
                    yield each
                await self._done(known, value)
        else:
            pump = Pump(values)
            try:
                while (value := await pump.next(self._idle / _LOOKS)) is not END:
                    if value is not PAUSE:
                        for each in self._take(value, known):
                            yield each
                    for each in self._closed(known):
                        yield each
                    await self._done(known, value)
            finally:
                await pump.close()
        for each in self._left(known) if self._rest else ():
            yield each

    async def _done(self, known: _Known[KeyState], value: Any) -> None:
        """All that comes of a value is through; it is settled when this is done."""
        if self._saved is not None:
            await self._saved.save(known.touched, value)
        known.touched.clear()

    def _take(self, value: Any, known: _Known[KeyState]) -> list[Window | Late]:
        told: list[Window | Late] = []
        if self._saved is not None and self._saved.has(value):
            return told
        for item in _items(value):
            key, ticks, number, good = self._reader.read(item)
            state, found = known.of(key), list[Result]()
            if not state.add(ticks, number, good, found):
                if self._windowing.late == "side":
                    told.append(Late(key, item))
            told += [Window(key, *result) for result in found]
        if self._windowing.late == "update":
            for key, state in known.touched.items():
                found = []
                state.revise(found)
                told += [Window(key, *result) for result in found]
        return told

    def _closed(self, known: _Known[KeyState]) -> list[Window]:
        told: list[Window] = []
        for key, state, mark in known.silent():
            found: list[Result] = []
            state.advance(mark, found)
            known.touched[key] = state
            told += [Window(key, *result) for result in found]
        return told

    def _left(self, known: _Known[KeyState]) -> list[Window]:
        told: list[Window] = []
        for key, state in known.states.items():
            found: list[Result] = []
            state.finish(found)
            told += [Window(key, *result) for result in found]
        return told


def window(
    shape: Shape,
    aggregates: Iterable[str],
    *,
    lateness: float = 0.0,
    late: str = "drop",
    keep: float | None = None,
    step: bool = False,
    error: float = DEFAULT_ERROR,
    key: Get = None,
    time: Get = None,
    value: Get = None,
    idle: float | None = None,
    rest: bool | None = None,
    state: Cache | None = None,
) -> WindowPipe:
    """A pipe that gives a `Window` for each window of a stream.

    Args:
        shape: `Tumbling(60)`, `Hopping(60, every=10)`, `Sliding(60)`, `Session(30)`.
        aggregates: names of what is told of each window: `count`, `sum`, `mean`, `min`,
            `max`, `range`, `stddev`, `first`, `last`, `percent_good`, `time_average`,
            `time_percent_good`, and percentiles such as `p95`.
        lateness: seconds that a value may come behind the newest one of its key, as
            windows are closed that much later.
        late: what becomes of values that come even later: `drop`, `side` (they are
            given as `Late`), `update` (a window that was told is told again).
        keep: with `update`, seconds for which windows can be told again.
        step: for time-weighted aggregates, whether a value holds until the next one;
            else lines are drawn.
        error: the relative error of percentiles.
        key: what is grouped: a function of the value, or the path of a field; by
            default the tag of a sample, and all other values together.
        time: when a value is: a datetime, ISO 8601 text, seconds since 1970 (float),
            ticks (int). Needed for what is no sample.
        value: the value in it; by default all of it.
        idle: seconds after the end of a window at which it is closed by the clock, if
            its key is silent for so long. None waits for the next value.
        rest: whether the windows that are open are told at the end of the stream; by
            default they are, unless there is a state.
        state: a cache, or a part of one, in which what is open outlives the process.
            A value is settled when it is saved there, and counts once.

    Raises:
        CacheError: the cache cannot be read.
        UsageError: an option is not usable, or another pipe has its state there.
    """
    windowing = Windowing(
        shape,
        aggregates,
        lateness=lateness,
        late=late,
        keep=keep,
        step=step,
        error=error,
    )
    saved = None
    if state is not None:
        saved = Saved(state, windowing.form, windowing.state)
    if rest is None:
        rest = state is None
    return WindowPipe(windowing, Reader(key, time, value), _idle(idle), rest, saved)


class JoinPipe:
    """A stream joined with others; see `join`."""

    def __init__(
        self,
        as_of: AsOf,
        reader: Reader,
        is_whole: bool,
        idle: float | None,
        saved: Saved[JoinState] | None,
    ) -> None:
        self._as_of = as_of
        self._reader = reader
        self._is_whole = is_whole
        self._idle = idle
        self._known = _Known(as_of.state, idle)
        self._ready: list[Joined] = []
        self._pump: Pump | None = None
        self._saved = saved
        # The value that was taken last, and what is on its way to sinks.
        self._taken: Any = None
        self._giving: list[Joined] = []
        if saved is not None:
            self._known.begin(saved.load())
            self._ready = [Joined.load(data) for data in saved.ready]

    def reference(self, name: str) -> Callable[[Any], Awaitable[None]]:
        """A sink that takes the values of a reference.

        Raises:
            UsageError: there is no reference of this name.
        """
        if name not in self._as_of.references:
            hint = nearest(name, self._as_of.references)
            raise UsageError(f"the join has no reference {name!r}{hint}")

        async def put(value: Any) -> None:
            for item in _items(value):
                key, ticks, found, good = self._reader.read(item)
                self._known.of(key).put(name, ticks, found, good, self._ready)
            await self._save()
            if self._ready and self._pump is not None:
                self._pump.wake()

        return put

    async def __call__(self, values: AsyncIterable[Any]) -> AsyncIterator[Match]:
        """The values, each with those of the references at its time."""
        pump = self._pump = Pump(values)
        timeout = None if self._idle is None else self._idle / _LOOKS
        # What a sink has not taken before.
        self._ready[:0], self._giving = self._giving, []
        value: Any = PAUSE
        try:
            while value is not END:
                if value is not PAUSE:
                    self._take(value)
                for key, state, mark in self._known.silent():
                    state.advance(mark, self._ready)
                    self._known.touched[key] = state
                for match in self._matches():
                    yield match
                self._giving = []
                await self._save()
                value = await pump.next(timeout)
        finally:
            self._pump = None
            await pump.close()
        if self._saved is None:
            for state in self._known.states.values():
                state.finish(self._ready)
        for match in self._matches():
            yield match
        self._giving = []
        await self._save()

    async def _save(self) -> None:
        touched, self._known.touched = self._known.touched, {}
        if self._saved is not None:
            ready = [joined.dump() for joined in (*self._giving, *self._ready)]
            await self._saved.save(touched, self._taken, ready)

    def _take(self, value: Any) -> None:
        self._taken = value
        if self._saved is not None and self._saved.has(value):
            return
        for item in _items(value):
            key, ticks, _, _ = self._reader.read(item)
            self._known.of(key).add(ticks, item, self._ready)

    def _matches(self) -> list[Match]:
        self._giving, self._ready[:] = list(self._ready), []
        matches = [
            Match(
                joined.value,
                joined.ticks,
                {
                    name: None if reference is None else reference.value
                    for name, reference in joined.found.items()
                },
            )
            for joined in self._giving
        ]
        if self._is_whole:
            return [match for match in matches if None not in match.found.values()]
        return matches


def join(
    references: Iterable[str],
    *,
    tolerance: float | None = None,
    lateness: float = 0.0,
    key: Get = None,
    time: Get = None,
    value: Get = None,
    missing: str = "keep",
    idle: float | None = None,
    state: Cache | None = None,
) -> JoinPipe:
    """A pipe that gives each value with the last ones of references at its time.

    `handle(prices, sink=[found.reference("price")])` gives it a reference. A value goes
    out when one of any of the streams has come that is more than `lateness` later.

    Args:
        references: their names.
        tolerance: seconds that the value of a reference may be older; by default it
            may be as old as it is.
        lateness: seconds that values may come behind the newest one of all. A later one
            is joined with what is still known.
        key: what is joined with each other: a function of the value, or the path of a
            field; by default all.
        time: when a value is, as of `window`.
        value: the value in that of a reference; by default all of it, of a sample its
            value.
        missing: `keep` or `drop` values for which not all references are there.
        idle: seconds after which values go out although nothing later has come.
        state: a cache, or a part of one, as of `window`, for what waits and for the
            references; it is read at once.

    Raises:
        CacheError: the cache cannot be read.
        UsageError: an option is not usable, or another pipe has its state there.
    """
    if missing not in ("keep", "drop"):
        raise UsageError(f"missing is keep or drop, not {missing!r}")
    as_of = AsOf(references, tolerance=tolerance, lateness=lateness)
    reader = Reader(key if key is not None else _all_together, time, value)
    saved = None if state is None else Saved(state, as_of.form, as_of.state)
    return JoinPipe(as_of, reader, missing == "drop", _idle(idle), saved)


def _all_together(value: Any) -> None:
    return None


def _idle(idle: float | None) -> float | None:
    if idle is not None:
        at_least("idle", idle, 0, above=True)
    return idle


def _items(value: Any) -> Iterable[Any]:
    """The values in what comes: of a message those of its payload."""
    if isinstance(value, Message):
        payload = value.payload
        return payload if type(payload) is list else (payload,)
    if type(value) is list and value and type(value[0]) is Sample:
        return value
    return (value,)
