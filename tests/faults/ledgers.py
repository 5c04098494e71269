"""What the coverage ledger of an instance claims, as its files say it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any, Final, NamedTuple

from pichannels.channels.pi import CoverageOptions, PIWebChannel
from pichannels.control.ledgers import View, ledgers
from pichannels.coverage.intervals import Interval
from pichannels.coverage.repair import LOST_AT_SOURCE
from pichannels.coverage.views import coverage
from pichannels.journal import Journal
from pichannels.values import OPEN_END

__all__ = ["Claim", "claims_in", "copied"]

_LATEST: Final = OPEN_END - 1
_NOWHERE: Final = "http://127.0.0.1:9/piwebapi"


class Claim(NamedTuple):
    """What a ledger says of a tag; times are ticks.

    Attributes:
        tag: its name.
        origin: from when on it is covered.
        delivered: the ranges that are claimed.
        excluded: those that are not to be delivered.
        gone: those of them that PI has lost.
    """

    tag: str
    origin: int
    delivered: tuple[Interval, ...]
    excluded: tuple[Interval, ...]
    gone: tuple[Interval, ...]

    def has(self, ticks: int) -> bool:
        """Whether an instant is said to be delivered."""
        return any(start <= ticks < end for start, end in self.delivered)

    def concerns(self, ticks: int, end: int) -> bool:
        """Whether what is archived of an instant is to be delivered, up to `end`."""
        is_gone = any(start <= ticks < to for start, to in self.gone)
        return self.origin <= ticks < end and not is_gone

    def missing(self, end: int) -> list[tuple[int, int]]:
        """What is neither delivered nor excluded before `end`."""
        found, at = [], self.origin
        for start, to in sorted((*self.delivered, *self.excluded)):
            if at < min(start, end):
                found.append((at, min(start, end)))
            at = max(at, to)
        return [*found, (at, end)] if at < end else found


def copied(data: Path, folder: Path) -> Path:
    """Copy the files of an instance that has ended, however it has; the new folder.

    They are as the next start would find them.
    """
    folder.mkdir()
    for name in ("journal.sqlite", "journal.sqlite-wal"):
        if (data / name).exists():
            shutil.copyfile(data / name, folder / name)
    return folder


async def claims_in(folder: Path, now: int, margins: dict[str, Any]) -> list[Claim]:
    """Read such a copy, which is removed; none if it has no journal.

    Args:
        folder: where it is.
        now: the time of the plant, ticks.
        margins: of the ledger.
    """
    found: list[Claim] = []
    path = folder / "journal.sqlite"
    if await asyncio.to_thread(path.exists):
        journal = Journal(path)
        await journal.open()
        try:
            channel = PIWebChannel(
                "plant", url=_NOWHERE, tags=["*"], coverage=CoverageOptions(**margins)
            )
            views = await ledgers([channel], journal)
        finally:
            await journal.close()
        found = [claim for view in views for claim in _claims(view, now)]
    await asyncio.to_thread(shutil.rmtree, folder)
    return found


def _claims(view: View, now: int) -> list[Claim]:
    found = []
    for tag in view.streams:
        one = coverage(view.ledger, tag, now, _LATEST)
        found.append(
            Claim(
                view.name(tag),
                view.ledger.tags.pasts[tag].origin,
                tuple(one.delivered),
                tuple((label.start, label.end) for label in one.excluded),
                tuple(
                    (label.start, label.end)
                    for label in one.excluded
                    if label.reason == LOST_AT_SOURCE
                ),
            )
        )
    return found
