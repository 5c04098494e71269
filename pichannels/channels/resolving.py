"""The streams of a source's tags: asked of the server, kept between two runs."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from pichannels import clock
from pichannels.channels.tags import (
    Stream,
    TagsFound,
    TagSpec,
    find_tags,
    is_search,
)
from pichannels.errors import NotConnected
from pichannels.journal import Journal
from pichannels.piwebasync.assets import Attribute
from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.resolve import Point
from pichannels.piwebasync.server import PIServer
from pichannels.values import TICKS_PER_SECOND

__all__ = ["Found", "Resolver"]


class Found(NamedTuple):
    """The streams of tags, and why other tags have none.

    Attributes:
        streams: each once.
        unresolved: tags without one, and why.
        plain: WebIDs of the streams that were named themselves, not by a search.
        is_fresh: False when it was found longer ago than it is good for.
    """

    streams: list[Stream]
    unresolved: dict[str, str]
    plain: frozenset[str] = frozenset()
    is_fresh: bool = True

    @property
    def web_ids(self) -> frozenset[str]:
        """The WebIDs of all streams."""
        return frozenset(stream.web_id for stream in self.streams)

    def beyond(self, other: Found) -> list[str]:
        """The paths of the streams that `other` does not have."""
        known = other.web_ids
        return [one.path for one in self.streams if one.web_id not in known]


class _Cached(msgspec.Struct):
    """What was found as it is kept between two runs."""

    wanted: str
    at: int
    points: list[Point]
    attributes: list[Attribute]
    unresolved: dict[str, str]
    plain: frozenset[str]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Cached).decode


class Resolver:
    """Finds the streams of tags on one server.

    Args:
        server: what is asked; may be another member later.
        data_server: where names are looked up.
        url_length: bytes of one URL, at most.
        ttl: seconds for which what was found is good.
    """

    def __init__(
        self, server: PIServer, data_server: str | None, url_length: int, ttl: float
    ) -> None:
        self.server = server
        self._data_server = data_server
        self._url_length = url_length
        self._ttl = ttl

    async def find(
        self, tags: Sequence[TagSpec], limiter: Limiter | None = None
    ) -> Found:
        """Ask the server, through its limiter.

        Raises:
            NotConnected: none of the tags was found.
            PIWebAsyncException: a request got no answer, or was refused.
            DecodeError: an answer was not understood.
        """
        found = await self._asked(tags, limiter)
        if not found.streams:
            raise NotConnected(self.server.url, "none of the tags was found")
        return Found(*found)

    async def find_again(
        self, tags: Sequence[TagSpec], before: Found, limiter: Limiter | None = None
    ) -> Found:
        """Evaluate searches again, and look for tags that were not found `before`.

        Raises:
            As `find`.
        """
        asked = [tag for tag in tags if is_search(tag) or str(tag) in before.unresolved]
        if not asked:
            return before
        new = await self._asked(asked, limiter)
        plain = before.plain | new.plain
        streams = {s.web_id: s for s in before.streams if s.web_id in before.plain}
        streams |= {stream.web_id: stream for stream in new.streams}
        if not streams:
            raise NotConnected(self.server.url, "none of the tags was found")
        return Found(list(streams.values()), new.unresolved, plain)

    async def _asked(
        self, tags: Sequence[TagSpec], limiter: Limiter | None
    ) -> TagsFound:
        async with self.server.client(limiter) as client:
            return await find_tags(
                client,
                self.server.controller(),
                tags,
                data_server=self._data_server,
                url_limit=self._url_length,
            )

    async def kept(
        self, journal: Journal | None, channel: str, tags: Sequence[TagSpec]
    ) -> Found | None:
        """What an earlier run of the channel found for the same tags."""
        if journal is None:
            return None
        data = await journal.restore(f"channel:{channel}", "points", None)
        cached = _read(data)
        if cached is None or cached.wanted != self._wanted(tags):
            return None
        fresh = clock.now() - int(self._ttl * TICKS_PER_SECOND)
        streams: list[Stream] = [*cached.points, *cached.attributes]
        is_fresh = cached.at >= fresh
        return Found(streams, cached.unresolved, cached.plain, is_fresh)

    async def keep(
        self,
        journal: Journal | None,
        channel: str,
        tags: Sequence[TagSpec],
        found: Found,
    ) -> None:
        """Let the next run of the channel find this."""
        if journal is None:
            return
        cached = _Cached(
            self._wanted(tags),
            clock.now(),
            [one for one in found.streams if isinstance(one, Point)],
            [one for one in found.streams if isinstance(one, Attribute)],
            found.unresolved,
            found.plain,
        )
        await journal.save(f"channel:{channel}", "points", _encode(cached))

    def _wanted(self, tags: Sequence[TagSpec]) -> str:
        """Stands for what is asked, which may be long."""
        asked = [self.server.url, self._data_server or "", *map(str, tags)]
        return sha256(_encode(asked)).hexdigest()


def _read(data: Any) -> _Cached | None:
    """What was kept; None where another version of this code has kept it."""
    try:
        return _decode(data) if isinstance(data, bytes) else None
    except msgspec.DecodeError:
        return None
