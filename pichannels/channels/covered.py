"""Between a source of PI tags and its ledger: who is lost, what was given, repair."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from pichannels import clock
from pichannels.channels.backfilling import Backfilling
from pichannels.channels.bursts import Burst
from pichannels.channels.covering import Covering
from pichannels.channels.intake import Given
from pichannels.channels.nightly import Nightly
from pichannels.channels.probing import Probing
from pichannels.channels.reconciling import Reconciling
from pichannels.channels.repairing import Repairing
from pichannels.channels.resolving import Found
from pichannels.channels.subscription import Subscription
from pichannels.channels.tags import Stream
from pichannels.journal import Journal
from pichannels.piwebasync.frames import Connected, Lost
from pichannels.piwebasync.limiting import Limiter
from pichannels.piwebasync.polling import SIGNUP
from pichannels.piwebasync.server import PIServer
from pichannels.piwebasync.stream import StreamEvent

__all__ = ["Covered"]

_GATHERED: Final = 0.5
_SELDOM: Final = 60.0
"""Seconds between two comparisons of tags that PI asks for, at least."""


class Covered:
    """Tells the ledger what happens to the PI channels of a source.

    Without a ledger, or a journal to keep it in, it does nothing.

    Args:
        covering: the ledger at work.
        name: of the logical server, a part of each event id.
        accept: takes a message that was read from the archive.
    """

    def __init__(
        self,
        covering: Covering | None,
        name: str,
        accept: Callable[..., Awaitable[None]],
    ) -> None:
        self.covering = covering
        self.repairing: Repairing | None = None
        self.backfilling: Backfilling | None = None
        self.reconciling: Reconciling | None = None
        self.nightly: Nightly | None = None
        if covering is not None and covering.options.repair:
            self.backfilling = Backfilling(covering)
            self.reconciling = Reconciling(covering)
            self.nightly = Nightly(covering, self.reconciling)
            self.repairing = Repairing(covering, name, accept, self.backfilling)
        self._names: dict[Subscription, str] = {}
        self._bursts: dict[str, Burst] = {}
        self.probing: Probing | None = None
        if covering is not None and covering.hearing is not None:
            self.probing = Probing(covering, self._names, self._note_refused)
        self.refused: set[str] = set()
        """WebIDs of tags whose end values PI refuses."""
        self._number = 0
        self.refresh: Callable[[], Awaitable[None]] | None = None
        """Compares the tags with what PI has, where the source does."""
        self._has_changed = asyncio.Event()
        self._comparing: asyncio.Task[None] | None = None

    async def begin(
        self,
        journal: Journal | None,
        found: Found,
        server: PIServer,
        limiter: Limiter,
    ) -> None:
        """The source is about to receive these streams of this server.

        Raises:
            JournalError: the journal cannot be read.
        """
        covering = self.covering
        if covering is None or journal is None:
            return
        await covering.open(journal, found.streams, found.no_access)
        if self.backfilling is not None:
            await self.backfilling.open(journal)
        if self.reconciling is not None:
            self.reconciling.start(journal, server, limiter)
        if self.nightly is not None and not server.others:
            self.nightly.start(journal)
        if self.repairing is not None:
            self.repairing.start(server, limiter)
        if self.probing is not None:
            self.probing.start(server, limiter)

    async def end(self) -> None:
        """The source receives nothing more, or begins anew."""
        task, self._comparing = self._comparing, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if self.probing is not None:
            await self.probing.stop()
        if self.nightly is not None:
            await self.nightly.stop()
        if self.repairing is not None:
            await self.repairing.stop()
        if self.backfilling is not None:
            await self.backfilling.close()
        if self.reconciling is not None:
            self.reconciling.stop()

    @property
    def _open(self) -> Covering | None:
        covering = self.covering
        return covering if covering is not None and covering.is_open else None

    def expect(self, streams: Sequence[Stream]) -> None:
        """These streams may come as well, from now on."""
        if self._open is not None:
            self._open.tell_changes(streams)
            self._open.add_streams(streams)

    def changed(self, found: Found) -> None:
        """These are all streams now."""
        if self._open is not None:
            self._open.tell_changes(found.streams)
            self._open.set_streams(found.streams, found.no_access)

    def _note_refused(self, web_ids: Iterable[str]) -> None:
        self.refused.update(web_ids)
        self._compare_tags()

    def _compare_tags(self) -> None:
        """Compare the tags with what PI has, since it says that some have changed."""
        self._has_changed.set()
        if self._comparing is None and self.refresh is not None:
            task = asyncio.create_task(self._compare(self.refresh), name="PI tags")
            self._comparing = task

    async def _compare(self, refresh: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._has_changed.wait()
            # What is changed together is told one after the other.
            await asyncio.sleep(_GATHERED)
            self._has_changed.clear()
            await refresh()
            await asyncio.sleep(_SELDOM)

    def noted(self, subscription: Subscription, event: StreamEvent) -> None:
        """Something happened to a PI channel."""
        if isinstance(event, Lost) and SIGNUP in event.detail.lower():
            self._compare_tags()
        covering = self._open
        if covering is None:
            return
        name = self._name_of(subscription)
        if isinstance(event, Connected):
            self._bursts[name].begin()
            covering.connected(name, subscription.web_ids, event.server_date)
        elif isinstance(event, Lost):
            covering.lost(name, event.reason)

    def gave(self, subscription: Subscription, given: Given) -> None:
        """What a PI channel had given was handed over."""
        covering = self._open
        if covering is None:
            return
        name = self._name_of(subscription)
        if self._is_suspect(subscription, name, given.events, covering):
            return
        if not given.is_understood:
            covering.not_understood(name, subscription.web_ids)
        covering.heard(name, subscription.stream.heard)

    def _is_suspect(
        self, subscription: Subscription, name: str, events: int, covering: Covering
    ) -> bool:
        """Whether PI may have left something out of what it gives just now."""
        if subscription.stream.is_polling:
            # The server tells of what it loses there.
            return False
        burst = self._bursts[name]
        change = burst.came(subscription.came, events, clock.now())
        if change == "begun":
            covering.overflowed(name, burst.before, burst.count)
        elif change == "over":
            covering.connected(name, subscription.web_ids, None)
        return burst.is_suspect

    def over(self, subscription: Subscription) -> None:
        """A PI channel was closed after all it gave was handed over."""
        name = self._names.pop(subscription, None)
        self._bursts.pop(name or "", None)
        if self._open is not None and name is not None:
            self._open.closed(name)

    def failed(self, reason: str, *subscriptions: Subscription) -> None:
        """PI channels ended, and perhaps not all that they gave was handed over."""
        for subscription in subscriptions or tuple(self._names):
            name = self._names.get(subscription)
            if self._open is not None and name is not None:
                self._open.lost(name, reason)

    def _name_of(self, subscription: Subscription) -> str:
        name = self._names.get(subscription)
        if name is None:
            self._number += 1
            name = self._names[subscription] = str(self._number)
            if self.covering is not None:
                most, pause = self.covering.options.burst, self.covering.pause
                self._bursts[name] = Burst(most, pause)
        return name
