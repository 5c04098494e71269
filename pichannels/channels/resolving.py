"""The streams of a source's tags: asked of the server, kept between two runs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from hashlib import sha256
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from pichannels import clock
from pichannels.channels.tags import (
    IS_STATIC,
    Stream,
    TagsFound,
    TagSpec,
    find_tags,
    is_search,
)
from pichannels.errors import NotConnected
from pichannels.journal import Journal
from pichannels.piwebasync.assets import Attribute, fetch_attributes
from pichannels.piwebasync.exceptions import HTTPStatusError
from pichannels.piwebasync.history import ends
from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.resolve import Point, fetch_points
from pichannels.piwebasync.server import PIServer
from pichannels.values import TICKS_PER_SECOND

__all__ = ["Found", "LastFound", "Resolver", "last_found"]

_FORBIDDEN: Final = 403
_NAMED: Final = 20
"""Tags that are named where many have changed."""
_GONE: Final = ("not found", "not exist", "deleted")
_DENIED: Final = ("denied", "permission", "authorized", "read access")


class Found(NamedTuple):
    """The streams of tags, and why other tags have none.

    Attributes:
        streams: each once.
        unresolved: tags without one, and why.
        plain: WebIDs of the streams that were named themselves, not by a search, and
            how; also those that are not there now.
        is_fresh: False when it was found longer ago than it is good for.
        no_access: those that may not be read any more; they are in no other list.
    """

    streams: list[Stream]
    unresolved: dict[str, str]
    plain: dict[str, str] = {}
    is_fresh: bool = True
    no_access: tuple[Stream, ...] = ()

    @property
    def web_ids(self) -> frozenset[str]:
        """The WebIDs of all streams."""
        return frozenset(stream.web_id for stream in self.streams)

    def why_absent(self, tag: str) -> str:
        """Whether an unresolved tag is `removed`, `no access`, `static`, or neither."""
        if self.unresolved.get(tag) == IS_STATIC:
            return "static"
        if any(stream.path == tag for stream in self.no_access):
            return "no access"
        known = {asked: web_id for web_id, asked in self.plain.items()}
        if tag not in known:
            return "unresolved"
        denied = {stream.web_id for stream in self.no_access}
        return "no access" if known[tag] in denied else "removed"

    def beyond(self, other: Found) -> list[str]:
        """The paths of the streams that `other` does not have."""
        known = other.web_ids
        return [one.path for one in self.streams if one.web_id not in known]

    def renamed(self, before: Found) -> list[tuple[str, str]]:
        """The old and the new paths of streams that had others `before`."""
        paths = {one.web_id: one.path for one in before.streams}
        now = [(paths.get(one.web_id), one.path) for one in self.streams]
        return [(old, new) for old, new in now if old is not None and old != new]

    def changes(self, before: Found) -> dict[str, Any]:
        """Which streams have come and gone, as facts of an event; empty for none."""
        added, removed = self.beyond(before), before.beyond(self)
        if not added and not removed:
            return {}
        return {
            "added": len(added),
            "removed": len(removed),
            "tags": len(self.streams),
            "names_added": added[:_NAMED],
            "names_removed": removed[:_NAMED],
        }


class _LookedUp(NamedTuple):
    """What streams are now, by their WebIDs, and why others are not there."""

    streams: dict[str, Stream]
    failures: dict[str, str]


class _Cached(msgspec.Struct):
    """What was found as it is kept between two runs."""

    wanted: str
    at: int
    points: list[Point]
    attributes: list[Attribute]
    unresolved: dict[str, str]
    plain: dict[str, str]
    no_access: list[str]

    def found(self, is_fresh: bool) -> Found:
        streams: list[Stream] = [*self.points, *self.attributes]
        denied = set(self.no_access)
        return Found(
            [one for one in streams if one.web_id not in denied],
            self.unresolved,
            self.plain,
            is_fresh,
            tuple(one for one in streams if one.web_id in denied),
        )


class _Absent(msgspec.Struct):
    """The part of it that is small."""

    unresolved: dict[str, str]


T = TypeVar("T")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Cached).decode
_decode_absent = msgspec.msgpack.Decoder(_Absent).decode


class LastFound:
    """What the last run of a channel has found; read as far as it is asked for.

    Where nothing was kept, or another version of this code has kept it, that is
    nothing.
    """

    def __init__(self, data: Any) -> None:
        self._data = data

    def count_unresolved(self) -> int:
        """How many tags it has not found."""
        found = _read(self._data, _decode_absent)
        return 0 if found is None else len(found.unresolved)

    def streams(self) -> list[Stream]:
        """What it has found, also where that may not be read any more."""
        found = _read(self._data, _decode)
        return [] if found is None else [*found.points, *found.attributes]


async def last_found(journal: Journal, channel: str) -> LastFound:
    """What the last run of a channel has found, whatever it was asked for.

    Raises:
        JournalError: the journal cannot be read.
    """
    return LastFound(await _kept(journal, channel))


async def _kept(journal: Journal, channel: str) -> Any:
    return await journal.restore(f"channel:{channel}", "points", None)


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
        self.suspects: set[str] = set()
        """WebIDs of streams that may be listed and not be ours to read."""

    async def find(
        self,
        tags: Sequence[TagSpec],
        limiter: Limiter | None = None,
        before: Found | None = None,
    ) -> Found:
        """Ask the server, through its limiter.

        Tags that are not there under their paths, and were `before`, are asked for by
        their WebIDs: they may have other names now.

        Raises:
            NotConnected: none of the tags was found.
            PIWebAsyncException: a request got no answer, or was refused.
            DecodeError: an answer was not understood.
        """
        found = Found(*await self._asked(tags, limiter))
        known = before.plain if before is not None else {}
        lost = {w: tag for w, tag in known.items() if tag in found.unresolved}
        if before is not None and lost:
            looked = await self._looked_up(lost, limiter)
            found = _joined(found, lost, looked, before)
        return self._checked(await self._readable(found, before, limiter))

    async def find_again(
        self, tags: Sequence[TagSpec], before: Found, limiter: Limiter | None = None
    ) -> Found:
        """Evaluate searches again, look for tags that were not found, compare others.

        Those that were named themselves are asked for by their WebIDs: some may have
        other names now, be gone, or not be ours to read any more.

        Raises:
            PIWebAsyncException: a request got no answer, or was refused.
            DecodeError: an answer was not understood.
        """
        asked = [tag for tag in tags if is_search(tag) or str(tag) in before.unresolved]
        new = Found(*await self._asked(asked, limiter)) if asked else Found([], {})
        here = set(new.plain.values())
        rest = {w: t for w, t in before.plain.items() if t not in here}
        looked = await self._looked_up(rest, limiter)
        found = _joined(new, rest, looked, before)
        found = self._checked(await self._readable(found, before, limiter))
        return before if found == before else found

    def _checked(self, found: Found) -> Found:
        if not found.streams:
            raise NotConnected(self.server.url, "none of the tags was found")
        return found

    async def _readable(
        self, found: Found, before: Found | None, limiter: Limiter | None
    ) -> Found:
        """Without those that searches list, although we may not read them.

        Asked for are only suspects, and those of which that was so `before`.
        """
        denied = before.no_access if before is not None else ()
        suspects = self.suspects | {one.web_id for one in denied}
        asked = [w for w in found.web_ids if w in suspects and w not in found.plain]
        refused = await self._refused(asked, limiter) if asked else {}
        self.suspects.difference_update(suspects)
        if not refused:
            return found
        hidden = [one for one in found.streams if one.web_id in refused]
        return found._replace(
            streams=[one for one in found.streams if one.web_id not in refused],
            unresolved=found.unresolved | {s.path: refused[s.web_id] for s in hidden},
            no_access=(*found.no_access, *hidden),
        )

    async def _refused(
        self, web_ids: Sequence[str], limiter: Limiter | None
    ) -> dict[str, str]:
        """The streams whose end values we may not read, and why."""
        waiting = set(web_ids)
        async with self.server.client(limiter, "history") as client:
            asking = client, self.server.controller()
            reading = ends(*asking, web_ids, url_limit=self._url_length)
            try:
                async with aclosing(reading.pages()) as pages:
                    async for page in pages:
                        waiting.difference_update(one.tag.web_id for one in page)
            except HTTPStatusError as exc:
                if exc.status_code != _FORBIDDEN:
                    raise
                return dict.fromkeys(waiting, "; ".join(exc.errors) or str(exc))
        failures = reading.failures
        return {key: why for key, why in failures.items() if _has(why, _DENIED)}

    async def _looked_up(
        self, plain: Mapping[str, str], limiter: Limiter | None
    ) -> _LookedUp:
        """What streams that were named themselves are now, asked by their WebIDs."""
        streams: dict[str, Stream] = {}
        failures: dict[str, str] = {}
        points = [web_id for web_id, tag in plain.items() if "|" not in tag]
        attributes = [web_id for web_id, tag in plain.items() if "|" in tag]
        options: dict[str, Any] = {"url_limit": self._url_length}
        async with self.server.client(limiter, "history") as client:
            asking = client, self.server.controller()
            if points:
                answer = await fetch_points(*asking, points, **options)
                streams |= _under(answer.objects)
                failures |= answer.failures
            if attributes:
                other = await fetch_attributes(*asking, attributes, **options)
                streams |= _under(other.objects)
                failures |= other.failures
        return _LookedUp(streams, failures)

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
        cached = _read(await _kept(journal, channel), _decode)
        if cached is None or cached.wanted != self._wanted(tags):
            return None
        fresh = clock.now() - int(self._ttl * TICKS_PER_SECOND)
        return cached.found(cached.at >= fresh)

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
        streams = [*found.streams, *found.no_access]
        cached = _Cached(
            self._wanted(tags),
            clock.now(),
            [one for one in streams if isinstance(one, Point)],
            [one for one in streams if isinstance(one, Attribute)],
            found.unresolved,
            found.plain,
            [one.web_id for one in found.no_access],
        )
        await journal.save(f"channel:{channel}", "points", _encode(cached))

    def _wanted(self, tags: Sequence[TagSpec]) -> str:
        """Stands for what is asked, which may be long."""
        asked = [self.server.url, self._data_server or "", *map(str, tags)]
        return sha256(_encode(asked)).hexdigest()


def _read(data: Any, decode: Callable[[bytes], T]) -> T | None:
    """What was kept; None where another version of this code has kept it."""
    try:
        return decode(data) if isinstance(data, bytes) else None
    except msgspec.DecodeError:
        return None


def _under(objects: Mapping[str, Point] | Mapping[str, Attribute]) -> dict[str, Stream]:
    """Streams under the WebIDs that they were asked for by, which others have, too."""
    return {
        web_id: msgspec.structs.replace(one, web_id=web_id)
        for web_id, one in objects.items()
    }


def _joined(
    new: Found, plain: Mapping[str, str], looked: _LookedUp, before: Found
) -> Found:
    """What was found anew, and what has become of streams that were known `before`."""
    known = {one.web_id: one for one in (*before.streams, *before.no_access)}
    denied = {one.web_id for one in before.no_access}
    streams: dict[str, Stream] = {}
    unresolved = dict(new.unresolved)
    no_access = []
    for web_id, tag in plain.items():
        old, reason = known.get(web_id), looked.failures.get(web_id, "")
        if web_id in looked.streams:
            streams[web_id] = looked.streams[web_id]
            unresolved.pop(tag, None)
        elif old is not None and web_id not in denied and not _tells(reason):
            # It says nothing of the tag: the server has a fault.
            streams[web_id] = old
            unresolved.pop(tag, None)
        else:
            unresolved[tag] = reason or unresolved.get(tag, "")
            if old is not None and not _has(reason, _GONE):
                no_access.append(old)
    streams |= {one.web_id: one for one in new.streams}
    return Found(
        list(streams.values()),
        unresolved,
        {**plain, **new.plain},
        no_access=tuple(no_access),
    )


def _tells(reason: str) -> bool:
    """Whether PI says that a stream is not there for us."""
    return _has(reason, (*_GONE, *_DENIED))


def _has(reason: str, words: Collection[str]) -> bool:
    return any(word in reason.lower() for word in words)
