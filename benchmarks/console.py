"""What searches cost the instance, on a journal with a million messages.

The simulator floods a PI channel of an instance that serves its API: what counts are
values that a sink has acknowledged, of messages that were durable before. It takes the
same values alone, and while the API is asked at its limit, in turns of a few seconds.

At its limit means: more clients than it lets search, none of which pauses but for the
seconds that a refusal asks for. Each turn begins with the first refusal, and as the
turns without searches let the API save up, what is searched is more than in a minute
without turns.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import aiohttp

from benchmarks.commands import Instance
from benchmarks.history import TAGS as NAMED, fill
from benchmarks.load import FILTER, TAGS, connected, flood, simulator
from benchmarks.measure import Aim, Benchmark, Case, Measured, Stopwatch
from benchmarks.options import Options
from benchmarks.processes import ProcessFailed
from pichannels.control.client import ControlClient, connect
from pichannels.ui.roles import Role
from pichannels.ui.users import Users

__all__ = ["prepare"]

Run = Callable[[int], Awaitable[Measured]]

MESSAGES: Final = 1_000_000
_STREAMS: Final = 100
_FRAMES: Final = 2_500
"""In one flood; the simulator has them rendered before they are sent."""
_SEARCHERS: Final = 4
_LOOK_AGAIN: Final = 0.1
_SETTINGS: Final = """\
from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import decode, filter, publish
from pichannels.channels.pi import CoverageOptions, PIWebChannel


def take(samples: object) -> None:
    pass


PROJECT_NAME = "console"
UI = {{"port": {port}}}
MESSAGE_STORE = SQLiteMessageStoreFactory()
plant = PIWebChannel(
    "plant",
    url={url!r},
    tags=[{tags!r}],
    initial_values=False,
    url_length=100_000,
    coverage=CoverageOptions(ahead=0.0, burst=0),
)
plant.add(decode.PI(), filter.Quality(), publish.Call(take, what="payload"))
CHANNELS = [plant]
"""
_SEARCHES: Final[tuple[Mapping[str, str], ...]] = (
    {"text": "is in none of them"},
    {"channel": "history", "state": "error"},
    {"regex": "no [tT]ext like this"},
    {"channel": "history", "tag": NAMED[7]},
    {"json_path": "$.reading", "json_value": "999"},
    {"node": "check", "error": "too high"},
    {"channel": "history", "lane": "repair"},
    {"count": "500"},
)
"""What is searched for: by indexes, and by looking into each message."""


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """Two cases, with the instance and the simulator at work."""
    folder = options.directory / "console"
    data = folder / ".pichannels"
    data.mkdir(parents=True)
    stored = options.count(MESSAGES)
    token = await asyncio.to_thread(_add_user, data)
    await asyncio.to_thread(fill, data / "journal.sqlite", stored)
    port = _free_port()
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(simulator())
        text = _SETTINGS.format(port=port, url=url, tags=FILTER)
        await asyncio.to_thread((folder / "settings.py").write_text, text)
        instance = await stack.enter_async_context(Instance(folder))
        await instance.opened(TAGS)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        client = await stack.enter_async_context(await connect(data))
        await connected(session, url)
        own = f"http://127.0.0.1:{port}"
        await _served(session, own)
        frames = options.count(_FRAMES)
        plant = _Plant(url, session, client, frames)
        searchers = _Searchers(session, own, token)
        values = frames * _STREAMS
        cases = [
            Case("alone", plant.run, values),
            Case(
                "while searched",
                searchers.beside(plant.run),
                values,
                Aim("alone", 0.9),
            ),
        ]
        title = f"An instance whose journal of {stored:,} messages is searched"
        notes = searchers.notes
        yield Benchmark("console", title, "values", ("wall", "cpu"), cases, notes)


def _add_user(data: Path) -> str:
    """A user who may search; the token."""
    users = Users(data / "ui" / "users.json")
    users.add("searcher", Role.DATA)
    return users.make_token("searcher")


def _free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port: int = place.getsockname()[1]
        return port


async def _served(session: aiohttp.ClientSession, url: str) -> None:
    """Until the API answers."""
    while True:
        with suppress(aiohttp.ClientConnectionError):
            async with session.get(f"{url}/live"):
                return
        await asyncio.sleep(_LOOK_AGAIN)


class _Plant:
    """Sends values to the instance, and asks it when it has settled them."""

    def __init__(
        self,
        url: str,
        session: aiohttp.ClientSession,
        client: ControlClient,
        frames: int,
    ) -> None:
        self._url = url
        self._session = session
        self._client = client
        self._frames = frames

    async def run(self, count: int) -> Measured:
        """So many values; rendering them in the simulator does not count."""
        taken, _ = await self._settled()
        wanted = taken + count
        await flood(self._session, self._url, _STREAMS, 1, self._frames)
        with Stopwatch() as watch:
            _, begun = await self._settled()
            # Only the instance knows, and it has to be asked.
            while taken < wanted:
                await asyncio.sleep(_LOOK_AGAIN)
                taken, used = await self._settled()
        assert taken == wanted, f"{taken} values came of {wanted}"
        return Measured(count, watch.wall, used - begun)

    async def _settled(self) -> tuple[int, float]:
        """The values that were received, once all are settled, and CPU seconds."""
        status = await self._client.status()
        channel = status["channels"][0]
        is_done = channel["received"] == channel["processed"]
        values = int(channel["source"]["events"]) if is_done else -1
        return values, float(status["cpu"])


class _Searchers:
    """Some who search without a pause, but for those that the API asks for.

    Attributes:
        notes: what came of it.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session = session
        self._url = f"{url}/api/v1/instances/console/messages"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._searches: Iterator[Mapping[str, str]] = itertools.cycle(_SEARCHES)
        self._is_refused = asyncio.Event()
        self._is_enough = asyncio.Event()
        self._seconds = 0.0
        self._refused = self._unanswered = self._scanned = 0
        self._waited: list[float] = []
        self.notes: list[str] = []

    def beside(self, run: Run) -> Run:
        """The same at the limit: it begins with the first refusal.

        It ends when all searches have, so that what comes next is without them.
        """

        async def both(count: int) -> Measured:
            self._is_refused.clear()
            self._is_enough.clear()
            async with asyncio.TaskGroup() as tasks:
                for number in range(_SEARCHERS):
                    tasks.create_task(self._search(), name=f"searcher {number}")
                await self._is_refused.wait()
                found = await run(count)
                self._is_enough.set()
            self._seconds += found.wall
            self._tell()
            return found

        return both

    async def _search(self) -> None:
        while not self._is_enough.is_set():
            wait = await self._ask(next(self._searches))
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._is_enough.wait()

    async def _ask(self, search: Mapping[str, str]) -> float:
        """One search; the seconds that it asks for before the next."""
        begun = time.perf_counter()
        asked = self._session.get(self._url, params=search, headers=self._headers)
        async with asked as answer:
            if answer.status == 429:
                self._refused += 1
                self._is_refused.set()
                return float(answer.headers["Retry-After"])
            if answer.status == 503:
                # A machine with much other work had no time for it at all.
                self._unanswered += 1
                return 0.0
            if answer.status != 200:
                raise ProcessFailed("a search", answer.status, await answer.text())
            page = await answer.json()
        self._waited.append(time.perf_counter() - begun)
        self._scanned += page["scanned"]
        return 0.0

    def _tell(self) -> None:
        waited = sorted(self._waited) or [0.0]
        half, most = (waited[int(len(waited) * part)] for part in (0.5, 0.99))
        self.notes[:] = [
            f"At the limit for {self._seconds:.0f} s:"
            f" {len(self._waited):,} searches answered"
            f" (p50 {half:.2f} s, p99 {most:.2f} s) and {self._refused:,} refused,"
            f" {self._unanswered:,} given up;"
            f" {self._scanned:,} messages looked at"
        ]
