"""The instances that are watched and commanded, each through its control server."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from pichannels import clock
from pichannels.control.access import Address
from pichannels.control.client import CommandFailed, ControlClient, NoInstance, connect
from pichannels.control.noting import PAGES
from pichannels.errors import NotConnected, PichannelsError, UsageError, nearest
from pichannels.events import EventBus
from pichannels.ui.reading import TimedReader
from pichannels.ui.recent import RecentEvents

__all__ = ["Link", "Links", "NoSuchInstance", "Place"]

logger: Final = logging.getLogger("pichannels.ui")

T = TypeVar("T")

JOURNAL: Final = "journal.sqlite"
_STATUS: Final = 5.0
_FRESH: Final = 0.5
_AGAIN: Final = 1.0
_SINKS: Final = 10.0
"""Seconds after which sinks are looked at again, while somebody asks for the status."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an instance is: a data folder of this machine, or a URL and its token.

    Attributes:
        name: how it is called here.
        data_dir: absolute; "" for one that is only known by its URL.
        settings: its settings file, where that is on this machine.
        url, token: of its control server, where there is no folder.
    """

    name: str
    data_dir: str = ""
    settings: str = ""
    url: str = ""
    token: str = ""


class NoSuchInstance(PichannelsError):
    """No instance of this name is watched here."""

    def __init__(self, name: str, known: Mapping[str, object]) -> None:
        super().__init__(f"there is no instance {name!r}{nearest(name, known)}")


class Link:
    """One instance: its status, its commands, its events.

    Args:
        place: where it is.
        readers: how many threads read its journal.

    Attributes:
        name: how it is called here.
        events: what happens in it; also `ui.connected` and `ui.disconnected`.
        recent: the last of them.
        journal: reads its journal, where that is on this machine; else None.
        settings: its settings file, where that is on this machine; else None.
    """

    def __init__(self, place: Place, readers: int = 2) -> None:
        self.name = place.name
        self.place = place
        self.events = EventBus()
        self.recent = RecentEvents()
        self.events.subscribe(self.recent.put)
        self.settings = Path(place.settings) if place.settings else None
        self.journal: TimedReader | None = None
        if place.data_dir:
            self.journal = TimedReader(Path(place.data_dir) / JOURNAL, readers)
        self._client: ControlClient | None = None
        self._connecting = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._status: dict[str, Any] | None = None
        self._status_at = 0.0
        self._is_up = False
        self._following: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")

    async def open(self) -> None:
        """Begin to follow what happens."""
        name = f"events of {self.name}"
        self._following = asyncio.create_task(self._follow(), name=name)

    async def close(self) -> None:
        """End all connections."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        await self._drop()
        if self.journal is not None:
            await asyncio.to_thread(self.journal.close)

    @property
    def is_connected(self) -> bool:
        """Whether the instance has answered last."""
        return self._client is not None

    async def status(self) -> dict[str, Any]:
        """The status; not older than half a second.

        Raises:
            NoInstance: it does not run.
            NotConnected: it does not answer.
        """
        async with self._asking:
            now = clock.monotonic()
            if self._status is None or now - self._status_at > _FRESH:
                self._status = None
                self._status = await self._ask(_read_status)
                self._status_at = clock.monotonic()
            self._look_at_sinks()
        return self._status

    def _look_at_sinks(self) -> None:
        """Let the instance look, for which nobody waits: the next status tells."""
        is_busy = self._looking is not None and not self._looking.done()
        if not is_busy and clock.monotonic() - self._looked_at > _SINKS:
            self._looked_at = clock.monotonic()
            name = f"sinks of {self.name}"
            self._looking = asyncio.create_task(self._look(), name=name)

    async def _look(self) -> None:
        with contextlib.suppress(PichannelsError, TimeoutError):
            await self._ask(ControlClient.look)

    async def command(self, name: str, **arguments: Any) -> Any:
        """Run a command of the control server.

        Raises:
            NoInstance: it does not run.
            NotConnected: it does not answer.
            CommandFailed: it refuses, or the command fails.
        """
        return await self._ask(lambda client: client.command(name, **arguments))

    async def _ask(self, work: Callable[[ControlClient], Awaitable[T]]) -> T:
        client = await self._connected()
        try:
            return await work(client)
        except CommandFailed as exc:
            if exc.status != 401:
                raise
            # It was started again, with another token: nothing was done yet.
            await self._drop(client)
            return await work(await self._connected())
        except (NotConnected, TimeoutError) as exc:
            await self._drop(client)
            raise NotConnected(self.name, str(exc) or "it does not answer") from exc

    async def _connected(self) -> ControlClient:
        async with self._connecting:
            if self._client is None:
                place = self.place
                if place.data_dir:
                    self._client = await connect(Path(place.data_dir), PAGES)
                else:
                    url = place.url.rstrip("/")
                    self._client = ControlClient(Address(url, place.token, 0), PAGES)
            return self._client

    async def _drop(self, client: ControlClient | None = None) -> None:
        if self._client is not None and client in (None, self._client):
            client, self._client = self._client, None
            await client.close()

    async def _follow(self) -> None:
        while True:
            try:
                await self._follow_once()
            except CommandFailed as exc:
                # It lives, and may have no room for one more who follows.
                logger.info("instance %s: %s", self.name, exc)
                if exc.status == 401:
                    await self._lost()
            except NoInstance as exc:
                logger.debug("%s", exc)
                await self._lost()
            except Exception as exc:
                # What a connection ends with depends on where it breaks.
                logger.info("instance %s: %s", self.name, exc or type(exc).__name__)
                await self._lost()
            else:
                await self._lost()
            await asyncio.sleep(_AGAIN)

    async def _follow_once(self) -> None:
        client = await self._connected()
        if not self._is_up:
            self._is_up = True
            self.events.fire("ui.connected", instance=self.name)
        async for name, facts in client.events():
            self._status = None
            self.events.fire(name, **facts)

    async def _lost(self) -> None:
        self._status = None
        await self._drop()
        if self._is_up:
            self._is_up = False
            self.events.fire("ui.disconnected", instance=self.name)


async def _read_status(client: ControlClient) -> dict[str, Any]:
    async with asyncio.timeout(_STATUS):
        return await client.status()


class Links:
    """The instances by name.

    Args:
        places: where they are.
        readers: threads that read the journal of each.

    Raises:
        UsageError: there is none, or two have the same name.
    """

    def __init__(self, places: list[Place], readers: int = 2) -> None:
        self._links = {place.name: Link(place, readers) for place in places}
        if not self._links or len(self._links) != len(places):
            raise UsageError("name instances, each with a name of its own")

    def all(self) -> list[Link]:
        """All of them."""
        return list(self._links.values())

    def get(self, name: str) -> Link:
        """The one of this name.

        Raises:
            NoSuchInstance: there is none.
        """
        if name not in self._links:
            raise NoSuchInstance(name, self._links)
        return self._links[name]

    async def open(self) -> None:
        """Begin to follow all of them."""
        for link in self._links.values():
            await link.open()

    async def close(self) -> None:
        """End all connections."""
        for link in self._links.values():
            with contextlib.suppress(PichannelsError):
                await link.close()
