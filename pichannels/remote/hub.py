"""The publisher's side: names, and the links that open them."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self
from uuid import uuid4
from weakref import WeakValueDictionary

import msgspec

from pichannels.errors import NotConnected, UsageError
from pichannels.patterns import matching
from pichannels.remote.access import EVERYTHING, Access, Action, Authorizer
from pichannels.remote.errors import (
    AccessDenied,
    LimitReached,
    StreamNotFound,
    StreamWithdrawn,
)
from pichannels.remote.filing import FILING, Filing
from pichannels.remote.frames import FRAME_BYTES
from pichannels.remote.modes import Listing, Mode, StreamRef
from pichannels.remote.publications import Publication
from pichannels.remote.served_link import Counts, ServedLink
from pichannels.remote.services import Service
from pichannels.remote.serving import ServedStream, StreamReport
from pichannels.remote.shelves import Shelf
from pichannels.remote.sources import Source
from pichannels.remote.transports import Transport, memory_pair
from pichannels.remote.wire import HEARTBEAT

__all__ = ["Hub", "HubLimits", "HubReport"]

logger: Final = logging.getLogger("pichannels.remote")

ONCE: Final = "once/"
_CLOSING: Final = "the hub is shutting down"
_MOST_ONCE: Final = 1000


class HubLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a hub gives at most.

    Attributes:
        links: open links, in all.
        links_per_client: of one client (by `Access.client`).
        streams_per_link: open streams on one link.
        calls_per_link: remote calls, listings and questions under way on one link.
        written_bytes_per_link: bytes that are written and wait to be stored, on one
            link; with `window_bytes` each it tells how many may write.
        window_items, window_bytes: how far it reads ahead for a reader, and how much
            that is written may wait.
        frame_bytes: the largest frame that it takes.
        once: one-shot streams that wait to be opened.
    """

    links: int = 1000
    links_per_client: int = 100
    streams_per_link: int = 100
    calls_per_link: int = 32
    written_bytes_per_link: int = 128 * 2**20
    window_items: int = 10_000
    window_bytes: int = 4 * 2**20
    frame_bytes: int = FRAME_BYTES
    once: int = _MOST_ONCE


class HubReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a hub does.

    Attributes:
        names: what is published.
        links: how many are open.
        streams: each open stream.
        opened, refused: how many opens there were, and of these were refused.
        calls: how many remote calls.
        broken: how many streams and links broke the protocol.
    """

    names: list[str]
    links: int
    streams: list[StreamReport]
    opened: int
    refused: int
    calls: int
    broken: int


class Hub:
    """Publishes streams by name, and offers methods of objects.

    It belongs to one event loop. `connect(hub)` links to it from within the process;
    `pichannels.remote.serve` and `add_routes` let others in.

    Args:
        authorize: tells what who shows a token may do. Without it everyone who can
            reach the hub may do everything.
        limits: what it gives at most.
        heartbeat: seconds; a link of which the other end is gone is found within
            twice that.
    """

    def __init__(
        self,
        *,
        authorize: Authorizer | None = None,
        limits: HubLimits | None = None,
        heartbeat: float = HEARTBEAT,
    ) -> None:
        self.limits = limits or HubLimits()
        self.heartbeat = heartbeat
        self.counts = Counts()
        self._authorize = authorize
        self._names: dict[str, Publication] = {}
        self._shelves: dict[str, Shelf] = {}
        # What was found on them, as long as somebody has it open.
        self._found: WeakValueDictionary[str, Publication] = WeakValueDictionary()
        self._services = {FILING: Service(FILING, Filing(self))}
        self._links: dict[ServedLink, asyncio.Task[None]] = {}
        self._own: set[asyncio.Task[None]] = set()
        self._expiries: dict[str, asyncio.TimerHandle] = {}
        self._is_closing = False

    @property
    def is_open_to_all(self) -> bool:
        """Whether nobody is asked for a token."""
        return self._authorize is None

    # What is there

    def publish(
        self,
        name: str,
        source: Source,
        mode: Mode | None = None,
        *,
        writers: int = 1,
        readers: int | None = None,
    ) -> StreamRef:
        """Offer a source under a name.

        Args:
            name: how clients call it; slashes are welcome.
            source: what is published; each reader and writer opens it anew.
            mode: what for; by default all that the source can do.
            writers: how many may have it open for writing at the same time.
            readers: how many for reading only; None for any number.

        Raises:
            UsageError: the name is taken, or the source cannot do that.
        """
        if name in self._names or name.startswith(ONCE) or not name:
            raise UsageError(f"the name {name!r} cannot be had, or is taken")
        found = Publication(name, source, mode, writers, readers)
        self._names[name] = found
        return found.ref

    def mount(self, prefix: str, shelf: Shelf) -> None:
        """Offer what a shelf finds, such as the files of a `folder`.

        Args:
            prefix: the names become `prefix/name`; without a slash.
            shelf: knows what there is; one reader and writer rule as for `publish`.

        Raises:
            UsageError: the prefix is taken, or cannot be one.
        """
        if not prefix or "/" in prefix or prefix in (*self._shelves, ONCE[:-1]):
            raise UsageError(f"{prefix!r} cannot be had, or is taken")
        self._shelves[prefix] = shelf

    def publish_once(
        self, source: Source, mode: Mode | None = None, *, within: float = 60.0
    ) -> StreamRef:
        """Offer a source that can be opened once, by whoever has the reference.

        Args:
            source: what is published.
            mode: what for; by default all that the source can do.
            within: seconds; after them it is withdrawn, unless it was opened.

        Raises:
            LimitReached: too many wait to be opened.
            UsageError: the source cannot do that.
        """
        if len(self._expiries) >= self.limits.once:
            raise LimitReached("", "too many one-shot streams wait to be opened")
        name = ONCE + uuid4().hex
        found = Publication(name, source, mode, 1, 1, is_once=True)
        self._names[name] = found
        loop = asyncio.get_running_loop()
        self._expiries[name] = loop.call_later(within, self._expire, name)
        return found.ref

    def _expire(self, name: str) -> None:
        # Who has it open goes on with it.
        del self._expiries[name], self._names[name]

    def expose(self, name: str, service: object) -> None:
        """Offer the methods of an object that are marked with `@method`.

        Raises:
            UsageError: the name is taken, no method is marked, or one is not annotated.
        """
        if name in self._services:
            raise UsageError(f"there is a service {name!r} already")
        self._services[name] = Service(name, service)

    def withdraw(self, name: str, reason: str = "it was withdrawn") -> None:
        """Take a stream (or service) away; who has it open is told the reason.

        Raises:
            UsageError: there is no such name.
        """
        known = name != FILING and self._services.pop(name, None) is not None
        if known and name not in self._names:
            return
        found = self._names.pop(name, None)
        if found is None:
            raise UsageError(f"nothing is published as {name!r}")
        if (expiry := self._expiries.pop(name, None)) is not None:
            expiry.cancel()
        found.fail(StreamWithdrawn(name, reason))

    def find(self, name: str) -> Publication:
        """What is published under a name.

        Raises:
            StreamNotFound: nothing is.
            StreamWithdrawn: the hub is shutting down.
        """
        if self._is_closing:
            raise StreamWithdrawn(name, _CLOSING, shutdown=1)
        found = self._names.get(name) or self._found.get(name)
        found = found or self._on_shelves(name)
        if found is None:
            raise StreamNotFound(name, "nothing is published under this name")
        return found

    def shelf_of(self, name: str) -> tuple[Shelf | None, str]:
        """The shelf that a name is on, and the name there."""
        prefix, _, rest = name.partition("/")
        return self._shelves.get(prefix), rest

    def _on_shelves(self, name: str) -> Publication | None:
        shelf, rest = self.shelf_of(name)
        source = shelf.find(rest) if shelf is not None else None
        if source is None:
            return None
        found = self._found[name] = Publication(name, source, None, 1, None)
        return found

    def service(self, name: str) -> Service:
        """The service under a name.

        Raises:
            StreamNotFound: there is none.
        """
        found = self._services.get(name)
        if found is None or self._is_closing:
            raise StreamNotFound(name, "there is no service of this name")
        return found

    async def listing(self, access: Access, pattern: str = "*") -> list[Listing]:
        """What is published, as far as this client may know of it; no one-shots."""
        fits = matching([pattern])
        found = []
        for name, each in sorted((await self._publications(fits)).items()):
            if each.is_once or not access.allows(Action.LIST, name):
                continue
            try:
                about = await each.source.about()
            except Exception:
                logger.exception("%s could not be looked at", name)
                continue
            ends = about.ends
            found.append(
                Listing(name, each.kind, each.mode, ends.first, ends.end, about.version)
            )
        return found

    async def _publications(
        self, fits: Callable[[str], object]
    ) -> dict[str, Publication]:
        known = {name: each for name, each in self._names.items() if fits(name)}
        for prefix, shelf in self._shelves.items():
            names = [f"{prefix}/{name}" for name in await shelf.names()]
            for name in filter(fits, names):
                found = known.get(name) or self._found.get(name)
                if (found := found or self._on_shelves(name)) is not None:
                    known[name] = found
        return known

    # Links

    async def admit(self, token: str | None) -> Access | None:
        """What who shows this token may do; None for nothing."""
        if self._authorize is None:
            return EVERYTHING
        found = self._authorize(token)
        if inspect.isawaitable(found):
            found = await found
        return found

    async def serve(self, transport: Transport, access: Access) -> None:
        """Serve a link until it ends."""
        link = ServedLink(self, transport, access)
        task = asyncio.current_task()
        assert task is not None
        others = [each for each in self._links if each.client == access.client]
        if self._is_closing:
            return await link.turn_away(_CLOSING)
        if len(self._links) >= self.limits.links:
            return await link.turn_away("there are too many links")
        if len(others) >= self.limits.links_per_client:
            return await link.turn_away("this client has too many links")
        self._links[link] = task
        try:
            await link.run()
        finally:
            del self._links[link]

    async def dial(self, token: str | None = None) -> Transport:
        """Open a link within this process: the client's end of it.

        Raises:
            AccessDenied: nobody who shows this token is let in.
            NotConnected: the hub is closed.
        """
        access = await self.admit(token)
        if access is None:
            raise AccessDenied("", "the token is missing or wrong")
        if self._is_closing:
            raise NotConnected("the hub", _CLOSING)
        here, there = memory_pair("the hub")
        task = asyncio.create_task(self.serve(there, access), name="remote: served")
        self._own.add(task)
        task.add_done_callback(self._own.discard)
        return here

    async def report(self) -> HubReport:
        """What goes on."""
        streams = [
            await _with_lag(stream)
            for link in list(self._links)
            for stream in list(link.streams.values())
        ]
        return HubReport(
            names=sorted(self._names),
            links=len(self._links),
            streams=streams,
            opened=self.counts.opened,
            refused=self.counts.refused,
            calls=self.counts.calls,
            broken=self.counts.broken,
        )

    # The end

    async def aclose(self, drain: float = 0.0) -> None:
        """Open nothing more, give what is open `drain` seconds, and end all links.

        Readers that wait at an end are told at once that the hub shuts down, those
        that still read after `drain` seconds then.
        """
        self._is_closing = True
        for expiry in self._expiries.values():
            expiry.cancel()
        self._expiries.clear()
        links = dict(self._links)
        why = StreamWithdrawn("", _CLOSING, shutdown=1)
        try:
            async with asyncio.timeout(drain):
                for link in links:
                    await link.drain(why)
        except TimeoutError:
            logger.debug("streams are still open after %g s", drain)
        await asyncio.gather(*(link.end(why) for link in links))
        await asyncio.gather(*links.values(), *self._own, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


async def _with_lag(stream: ServedStream) -> StreamReport:
    """What a stream does, and how far it is behind."""
    report = stream.report()
    try:
        end = (await stream.publication.source.about()).ends.end
    except Exception:
        logger.exception("%s could not be looked at", report.name)
        return report
    if end is None:
        return report
    return msgspec.structs.replace(report, lag=max(end - report.position, 0))
