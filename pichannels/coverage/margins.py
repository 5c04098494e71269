"""How careful a ledger is."""

from __future__ import annotations

import msgspec

from pichannels.values import TICKS_PER_SECOND

__all__ = ["Margins"]


class Margins(msgspec.Struct, frozen=True, kw_only=True):
    """How careful a ledger is; times in ticks.

    Attributes:
        settle: how long after its own time an event may still come and not be late:
            polls of the server, delays on the way, disorder.
        overlap: how much before the last thing heard a loss may have begun.
        ahead: how far events may be ahead of the server's time, and how inexact the
            time of a subscription may be.
        exact: holds that are known tag by tag; beyond them messages hold back all
            tags of a PI channel, so that memory is bounded.
    """

    settle: int = 10 * TICKS_PER_SECOND
    overlap: int = 30 * TICKS_PER_SECOND
    ahead: int = 5 * TICKS_PER_SECOND
    exact: int = 1_000_000
