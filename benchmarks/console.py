"""What searches cost the instance, on a journal with a million messages.

The simulator floods a PI channel of an instance that serves its API. It takes the same
values alone, and while searches are sent as fast as the API answers or refuses them.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
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
_FRAMES: Final = 4_000
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
        yield Benchmark("console", title, "values", ("wall",), cases, notes)


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
        wanted = await self._taken() + count
        await flood(self._session, self._url, _STREAMS, 1, self._frames)
        with Stopwatch() as watch:
            # Only the instance knows, and it has to be asked.
            while (taken := await self._taken()) < wanted:  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_AGAIN)
        assert taken == wanted, f"{taken} values came of {wanted}"
        return Measured(count, watch.wall, watch.wall)

    async def _taken(self) -> int:
        """The values that were received, once all of them are settled."""
        channel = (await self._client.status())["channels"][0]
        is_done = channel["received"] == channel["processed"]
        return int(channel["source"]["events"]) if is_done else -1


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
        self._seconds = 0.0
        self._answered = self._refused = self._scanned = 0
        self.notes: list[str] = []

    def beside(self, run: Run) -> Run:
        """The same while they search."""

        async def both(count: int) -> Measured:
            with Stopwatch() as watch:
                async with asyncio.TaskGroup() as tasks:
                    begun = [
                        tasks.create_task(self._search(), name=f"searcher {number}")
                        for number in range(_SEARCHERS)
                    ]
                    found = await run(count)
                    for task in begun:
                        task.cancel()
            self._seconds += watch.wall
            self._tell()
            return found

        return both

    async def _search(self) -> None:
        while True:
            asked = self._session.get(
                self._url, params=next(self._searches), headers=self._headers
            )
            async with asked as answer:
                if answer.status == 429:
                    self._refused += 1
                    await asyncio.sleep(float(answer.headers["Retry-After"]))
                    continue
                if answer.status != 200:
                    raise ProcessFailed("a search", answer.status, await answer.text())
                page = await answer.json()
            self._answered += 1
            self._scanned += page["scanned"]

    def _tell(self) -> None:
        self.notes[:] = [
            f"{self._answered:,} searches answered and {self._refused:,} refused in"
            f" {self._seconds:.0f} s; {self._scanned:,} messages looked at"
        ]
