"""How many dead letters there are, without reading them."""

from __future__ import annotations

import contextlib
from typing import Final, NamedTuple

from pichannels.errors import PichannelsError
from pichannels.journal.schema import CODES
from pichannels.states import State
from pichannels.ui.links import Link
from pichannels.ui.reading import Timed

__all__ = ["Letters", "count_letters"]

_MOST: Final = 100_000
_ASKED: Final = 100
_SECONDS: Final = 1.0
_COUNT: Final = """
SELECT count(*) FROM (
    SELECT 1 FROM message
    WHERE channel IN (SELECT id FROM channel) AND state = ? AND state > 3 LIMIT ?
)
"""


class Letters(NamedTuple):
    """How many, and whether there are more than were counted."""

    total: int
    has_more: bool = False


async def count_letters(link: Link) -> Letters | None:
    """How many an instance has; None where nobody can tell."""
    with contextlib.suppress(PichannelsError):
        if link.journal is not None:
            found = await link.journal.run(_count, _SECONDS)
            return Letters(min(found, _MOST), found > _MOST)
        rows = await link.command("dead-list", count=_ASKED)
        return Letters(len(rows), len(rows) == _ASKED)
    return None


def _count(timed: Timed) -> int:
    given = (CODES[State.ERROR], _MOST + 1)
    return int(timed.conn.execute(_COUNT, given).fetchone()[0])
