"""How many dead letters there are, and how many of them nobody has muted."""

from __future__ import annotations

import contextlib
from typing import Any, Final, NamedTuple

import msgspec

from pichannels import clock
from pichannels.control.chosen import GROUPED, Grouped
from pichannels.control.failure_groups import FailureGroup
from pichannels.control.mutes import NAMESPACE
from pichannels.errors import PichannelsError
from pichannels.journal.reader import read_all_saved
from pichannels.journal.schema import CODES
from pichannels.states import State
from pichannels.ui.failures import groups_in
from pichannels.ui.links import Link
from pichannels.ui.reading import Timed

__all__ = ["LetterCount", "Letters"]

_MOST: Final = 100_000
_SECONDS: Final = 1.0
_GROUPING: Final = 3.0
_AGAIN: Final = 60.0
"""Seconds after which groups are looked through again: times go by, rates change."""
_ASKED: Final = 1000
_COUNT: Final = """
SELECT count(*), coalesce(max(seq), 0) FROM (
    SELECT seq FROM message
    WHERE channel IN (SELECT id FROM channel) AND state = ? AND state > 3 LIMIT ?
)
"""


class Letters(NamedTuple):
    """How many there are.

    Attributes:
        total: all of them.
        has_more: whether there are more than were counted.
        muted: how many of them are in groups that are muted.
    """

    total: int
    has_more: bool = False
    muted: int = 0

    @property
    def loud(self) -> int:
        """Those that nobody has muted."""
        return max(0, self.total - self.muted)


class LetterCount:
    """Counts the dead letters of one instance, and reads them only where it has to.

    Args:
        link: the instance.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._known: object = None
        self._muted = 0
        self._at = -_AGAIN

    async def count(self) -> Letters | None:
        """How many an instance has; None where nobody can tell."""
        with contextlib.suppress(PichannelsError):
            if self._link.journal is not None:
                return await self._count_here(self._link)
            return await self._count_there()
        return None

    async def _count_here(self, link: Link) -> Letters:
        assert link.journal is not None
        total, newest, mutes = await link.journal.run(_look, _SECONDS)
        known = (total, newest, mutes)
        is_old = clock.monotonic() - self._at >= _AGAIN
        if not mutes:
            self._muted = 0
        elif total and (known != self._known or is_old):
            wanted = Grouped(count=GROUPED)
            found = await link.journal.run(
                lambda timed: groups_in(timed, wanted, None), _GROUPING
            )
            self._muted = _quiet(found.groups)
            self._known, self._at = known, clock.monotonic()
        return Letters(min(total, _MOST), total > _MOST, self._muted)

    async def _count_there(self) -> Letters:
        rows = await self._link.command("dead-groups", count=_ASKED)
        groups = msgspec.convert(rows, list[FailureGroup])
        total = sum(group.count for group in groups)
        return Letters(total, total == _ASKED, _quiet(groups))


def _quiet(groups: list[FailureGroup]) -> int:
    return sum(group.count for group in groups if group.is_quiet)


def _look(timed: Timed) -> tuple[int, int, Any]:
    given = (CODES[State.ERROR], _MOST + 1)
    total, newest = timed.conn.execute(_COUNT, given).fetchone()
    return int(total), int(newest), read_all_saved(timed.conn, NAMESPACE)
