"""Compares the archive with what was delivered on a schedule, by itself."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import msgspec

from pichannels import clock
from pichannels.channels.covering import Covering
from pichannels.channels.reconciling import Reconciling
from pichannels.channels.schedules import sleep_until
from pichannels.coverage.reconcile import hour_of
from pichannels.errors import PichannelsError
from pichannels.journal import Journal
from pichannels.values import TICKS_PER_SECOND

__all__ = ["Nightly"]

logger: Final = logging.getLogger("pichannels.channels.pi")

_LONGEST: Final = 7 * 24 * 3600 * TICKS_PER_SECOND
"""How far back is compared, at most."""
_KEY: Final = "nightly"


class _Kept(msgspec.Struct):
    """What the next run has to know.

    Attributes:
        done: when it was begun to wait for the next time, our own clock, ticks.
        until: up to which hour all was compared, the server's time, ticks.
    """

    done: int
    until: int = 0


class Nightly:
    """Compares what has come since the last time, as long as it runs.

    A time that passed while nothing ran is made up for at the start, and a comparison
    that was cut short goes on where it was.

    Args:
        covering: the channel's ledger at work.
        reconciling: what compares.
    """

    def __init__(self, covering: Covering, reconciling: Reconciling) -> None:
        self._covering = covering
        self._reconciling = reconciling
        self._task: asyncio.Task[None] | None = None

    def start(self, journal: Journal) -> None:
        """Wait for the times that the options say."""
        if self._task is None and self._covering.options.reconcile is not None:
            name = f"{self._covering.channel}: reconcile"
            self._task = asyncio.create_task(self._run(journal), name=name)

    async def stop(self) -> None:
        """Compare no more, also in the middle of it."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self, journal: Journal) -> None:
        try:
            schedule = await asyncio.to_thread(lambda: self._covering.options.nights)
            kept = await self._restored(journal)
            while schedule and (due := schedule.after(kept.done)) is not None:
                await sleep_until(due)
                await self._compare(journal, kept)
                kept.done = clock.now()
                self._keep(journal, kept)
        except Exception:
            logger.exception("%s: nothing is compared", self._covering.channel)

    async def _compare(self, journal: Journal, kept: _Kept) -> None:
        covering = self._covering
        now = covering.server.now()
        start = max(kept.until, now - _LONGEST, hour_of(self._reconciling.origin))
        end = now - covering.ledger.margins.settle

        def done(until: int) -> None:
            kept.until = until
            self._keep(journal, kept)

        try:
            report = await self._reconciling.run_in_turn(start, end, done)
        except PichannelsError as exc:
            logger.warning("%s: not compared: %s", covering.channel, exc)
            return
        if not report.compared:
            return
        logger.info(
            "%s: %d hours of tags compared, in %d of them %d events were missing",
            covering.channel,
            report.compared,
            report.missing,
            report.missing_events,
        )

    async def _restored(self, journal: Journal) -> _Kept:
        data = await journal.restore(self._namespace, _KEY, None)
        try:
            return msgspec.msgpack.decode(data, type=_Kept)
        except (msgspec.DecodeError, TypeError):
            # Nothing was kept; or by another version, and then it begins anew.
            kept = _Kept(clock.now())
            self._keep(journal, kept)
            return kept

    def _keep(self, journal: Journal, kept: _Kept) -> None:
        journal.save(self._namespace, _KEY, msgspec.msgpack.encode(kept))

    @property
    def _namespace(self) -> str:
        return f"channel:{self._covering.channel}"
