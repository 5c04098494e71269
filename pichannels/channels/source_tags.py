"""The tags of a source, and the streams that the server has for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from math import inf
from typing import Any, Final

from pichannels import clock
from pichannels.channels.handing import Handing
from pichannels.channels.membership import Membership
from pichannels.channels.resolving import Found, Resolver
from pichannels.channels.tags import TagSpec
from pichannels.errors import Backpressure, DecodeError, NotConnected
from pichannels.piwebasync.exceptions import PIWebAsyncException
from pichannels.piwebasync.limiting import Limiter, limiter_for
from pichannels.retry import RetryPolicy

__all__ = ["SourceTags"]

logger: Final = logging.getLogger("pichannels.channels.pi")

_RESOLVED_LATELY: Final = 60.0
_UNRESOLVED: Final = (PIWebAsyncException, DecodeError, NotConnected, Backpressure)


class SourceTags:
    """What a source receives: finds the streams of tags, and keeps what it found.

    Args:
        tags: what is received.
        handing: knows the channel that owns the source now.
        resolver: finds the streams.
        membership: which member of the server is asked.
        reconnect: how soon a server that does not answer is asked again.

    Attributes:
        tags: what is received.
        found: what the server has for them.
    """

    def __init__(
        self,
        tags: Sequence[TagSpec],
        handing: Handing,
        resolver: Resolver,
        membership: Membership,
        reconnect: RetryPolicy,
    ) -> None:
        self.tags = list(tags)
        self.found = Found([], {})
        self._handing = handing
        self._resolver = resolver
        self._membership = membership
        self._reconnect = reconnect
        self._resolved = -inf

    @property
    def limiter(self) -> Limiter:
        """The one of the server, which all that ask it share."""
        return limiter_for(self._handing.owner, *self._membership.urls)

    @property
    def is_fresh(self) -> bool:
        """Whether the server was asked so lately that asking again is of no use."""
        return clock.monotonic() < self._resolved + _RESOLVED_LATELY

    async def resolve(self, may_use_kept: bool) -> None:
        """Find the streams, as often as it takes; those that were kept may do.

        Raises:
            NotConnected: they were not found in all attempts.
        """
        owner, membership = self._handing.owner, self._membership
        self._resolved = -inf
        self._resolver.server = membership.current
        kept = known = await self._resolver.kept(owner.journal, owner.name, self.tags)
        if not may_use_kept:
            kept = None
        if kept is not None and kept.is_fresh:
            self.found = kept
            return
        for delay in self._reconnect.delays():
            try:
                return await self.keep(self.tags, await self.find(self.tags, known))
            except _UNRESOLVED as exc:
                logger.warning("%s: the tags are not resolved: %s", owner.name, exc)
                membership.trouble = str(exc)
                self._fire("pi.unresolved", error=str(exc))
                if membership.leave(exc):
                    self._resolver.server, kept, known = membership.current, None, None
                if kept is not None:
                    self.found = kept
                    return
            await asyncio.sleep(delay)
        raise NotConnected(
            membership.current.url, "the tags were not resolved in all attempts"
        )

    async def find(self, tags: Sequence[TagSpec], before: Found | None) -> Found:
        """What the server has for these tags.

        Raises:
            NotConnected, PIWebAsyncException, DecodeError: that cannot be told now.
        """
        found = await self._resolver.find(tags, self.limiter, before)
        for tag, reason in found.unresolved.items():
            logger.warning("%s: no tag %s: %s", self._handing.owner.name, tag, reason)
        return found

    async def find_again(self) -> Found:
        """What the server has now; the same object where nothing has changed.

        Raises:
            PichannelsError: that cannot be told now.
        """
        return await self._resolver.find_again(self.tags, self.found, self.limiter)

    async def keep(self, tags: Sequence[TagSpec], found: Found) -> None:
        """Receive these from now on; the next start may begin with them."""
        self.tags, self.found = list(tags), found
        self._resolved = clock.monotonic()
        owner = self._handing.owner
        await self._resolver.keep(owner.journal, owner.name, tags, found)

    def tell_changed(self, before: Found) -> None:
        """Say how what is found differs from what was found before."""
        name = self._handing.owner.name
        for old, new in self.found.renamed(before):
            logger.info("%s: %s is %s now", name, old, new)
            self._fire("tag.renamed", old=old, new=new)
        if facts := self.found.changes(before):
            logger.info("%s: tags have changed: %s", name, facts)
            self._fire("pi.tags_changed", **facts)

    def _fire(self, name: str, **facts: Any) -> None:
        owner = self._handing.owner
        owner.events.fire(name, channel=owner.name, **facts)
