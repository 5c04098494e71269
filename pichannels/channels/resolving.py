"""The streams of a source's tags: asked of the server, kept between two runs."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from pichannels import clock
from pichannels.channels.tags import Stream, TagSpec, find_tags
from pichannels.errors import NotConnected
from pichannels.journal import Journal
from pichannels.piwebasync.assets import Attribute
from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.resolve import Point
from pichannels.piwebasync.server import PIServer
from pichannels.values import TICKS_PER_SECOND

__all__ = ["Found", "Resolver"]


class Found(NamedTuple):
    """The streams of tags, and why other tags have none."""

    streams: list[Stream]
    unresolved: dict[str, str]
    is_fresh: bool = True
    """False when it was found longer ago than it is good for."""


class _Cached(msgspec.Struct):
    """Resolved points and attributes as they are kept between two runs."""

    wanted: str
    at: int
    points: list[Point]
    attributes: list[Attribute]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Cached).decode


class Resolver:
    """Finds the streams of tags on one server.

    Args:
        server: what is asked.
        data_server: where names are looked up.
        url_length: bytes of one URL, at most.
        ttl: seconds for which what was found is good.
    """

    def __init__(
        self, server: PIServer, data_server: str | None, url_length: int, ttl: float
    ) -> None:
        self._server = server
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
        async with self._server.client(limiter) as client:
            streams, unresolved = await find_tags(
                client,
                self._server.controller(),
                tags,
                data_server=self._data_server,
                url_limit=self._url_length,
            )
        if not streams:
            raise NotConnected(self._server.url, "none of the tags was found")
        return Found(streams, unresolved)

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
        return Found(streams, {}, cached.at >= fresh)

    async def keep(
        self,
        journal: Journal | None,
        channel: str,
        tags: Sequence[TagSpec],
        found: Sequence[Stream],
    ) -> None:
        """Let the next run of the channel find this."""
        if journal is None:
            return
        cached = _Cached(
            self._wanted(tags),
            clock.now(),
            [one for one in found if isinstance(one, Point)],
            [one for one in found if isinstance(one, Attribute)],
        )
        await journal.save(f"channel:{channel}", "points", _encode(cached))

    def _wanted(self, tags: Sequence[TagSpec]) -> str:
        """Stands for what is asked, which may be long."""
        asked = [self._server.url, self._data_server or "", *map(str, tags)]
        return sha256(_encode(asked)).hexdigest()


def _read(data: Any) -> _Cached | None:
    """What was kept; None where another version of this code has kept it."""
    try:
        return _decode(data) if isinstance(data, bytes) else None
    except msgspec.DecodeError:
        return None
