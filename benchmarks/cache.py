"""The cache against bare rocksdict: the same values by the same keys.

Bare rocksdict writes text as it is, as the cache does; what neither has a form for goes
through pickle there and through our codecs here.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import rocksdict

from benchmarks import payloads
from benchmarks.measure import Aim, Benchmark, Case, Measured, Stopwatch
from benchmarks.options import Options
from pichannels.adapters.rocks import new_options
from pichannels.dataflow import Cache

__all__ = ["prepare"]

Store = Any
Work = Callable[[Store, int], Awaitable[None]]
_KEYS: Final = 1000
_ROW: Final = {"value": 20.25, "good": True, "at": 1_714_543_200, "of": ["a", "b"]}


async def put_texts(store: Store, count: int) -> None:
    texts, size = payloads.TEXTS, len(payloads.TEXTS)
    for number in range(count):
        store[number % _KEYS] = texts[number % size]


async def put_rows(store: Store, count: int) -> None:
    for number in range(count):
        store[number % _KEYS] = _ROW


async def call(store: Store, count: int) -> None:
    texts, size = payloads.TEXTS, len(payloads.TEXTS)
    for number in range(count):
        await store(number % _KEYS, texts[number % size])


async def get_texts(store: Store, count: int) -> None:
    for number in range(count):
        assert store.get(number % _KEYS) is not None


async def get_rows(store: Store, count: int) -> None:
    for number in range(count):
        assert store.get(f"row{number % _KEYS}") is not None


async def iterate(store: Store, count: int) -> None:
    found = 0
    while found < count:
        found += sum(1 for _ in store.items(False, "row"))


class _Stores:
    """One of each kind, with the same in them, for each run anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()

    def case(self, kind: str, work: Work) -> Callable[[int], Awaitable[Measured]]:
        """What opens a store of this kind and does the work."""

        async def run(count: int) -> Measured:
            store = await asyncio.to_thread(self._opened, kind)
            with Stopwatch() as watch:
                await work(store, count)
            await asyncio.to_thread(store.close)
            return watch.measured(count)

        return run

    def _opened(self, kind: str) -> Store:
        path = str(self._folder / f"cache{next(self._numbers)}")
        options = new_options(None)
        store: Store = (
            Cache(path, options) if kind == "Cache" else rocksdict.Rdict(path, options)
        )
        for number in range(_KEYS):
            store[number] = payloads.TEXTS[0]
            store[f"row{number}"] = _ROW
        return store


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """The cases."""
    stores = _Stores(options.directory)
    count = options.count(40_000)
    works: dict[str, Work] = {
        "put text": put_texts,
        "put a dictionary": put_rows,
        "get text": get_texts,
        "get a dictionary": get_rows,
        "iterate": iterate,
    }
    cases = []
    for name, work in works.items():
        bare = f"rocksdict, {name}"
        cases += [
            Case(bare, stores.case("rocksdict", work), count),
            Case(f"Cache, {name}", stores.case("Cache", work), count, Aim(bare, 0.8)),
        ]
    published = Aim("rocksdict, put text", 0.8)
    cases.append(
        Case("await cache(key, text)", stores.case("Cache", call), count, published)
    )
    yield Benchmark("cache", "Values by key", "values", ("cpu",), cases)
