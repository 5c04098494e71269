"""How a channel keeps its coverage ledger, as the settings say it."""

from __future__ import annotations

from datetime import UTC

import msgspec

from pichannels.channels.hearing import Expected
from pichannels.channels.schedules import CronSchedule, wrong_cron
from pichannels.channels.timezones import timezone_of
from pichannels.checks import at_least, whole
from pichannels.coverage.expected import Patience
from pichannels.coverage.margins import Margins
from pichannels.coverage.repair import Plan
from pichannels.errors import UsageError
from pichannels.values import TICKS_PER_SECOND

__all__ = ["CoverageOptions", "ticks_of"]


class CoverageOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a channel keeps its ledger; times in seconds.

    Attributes:
        settle: how long after its own time an event may still come and not be late:
            polls of the server, delays on the way, disorder.
        overlap: how much before the last thing heard a loss may have begun.
        ahead: how far timestamps may be ahead of the server's clock.
        repair: whether holes are read from the archive.
        patience: how long a hole that reaches the present grows before it is read.
        backfill: how long before the first start tags are to be covered: what the
            archive has of that time is delivered as well.
        expect: how often a value of a tag comes: one number, or numbers by patterns
            of paths or names, of which the first that fits counts. By default it
            follows from the exception attributes of points, or is learned.
        probe: how often the end values of tags that are too quiet are asked for;
            0 for never.
        grace: how long a value that PI has may take to come to us.
        stale: after how many expected intervals of silence a tag is stale.
        flat: how long a tag whose values go on may have the same one; 0 for ever.
        burst: events that come of one PI channel without a pause, from which on PI may
            have left some out (it keeps 50,000 for a consumer); 0 for never.
        reconcile: when the archive is compared with what was delivered since the last
            time, as a cron string; None never.
        reconcile_timezone: in which that is read, such as `Europe/Berlin`; by default
            that of the machine.

    Raises:
        SettingsError: `reconcile` is no cron string, or its time zone none.
        UsageError: one of the others is not usable.
    """

    settle: float = 10.0
    overlap: float = 30.0
    ahead: float = 5.0
    repair: bool = True
    patience: float = 60.0
    backfill: float = 0.0
    expect: Expected = None
    probe: float = 60.0
    grace: float = 30.0
    stale: float = 10.0
    flat: float = 0.0
    burst: int = 25_000
    reconcile: str | None = "15 4 * * *"
    reconcile_timezone: str | None = None

    def __post_init__(self) -> None:
        for key in ("settle", "overlap", "ahead", "patience", "backfill"):
            at_least(key, getattr(self, key), 0)
        for key in ("probe", "grace", "flat"):
            at_least(key, getattr(self, key), 0)
        at_least("stale", self.stale, 1)
        whole("burst", self.burst, 0)
        expect = self.expect
        expected = expect.values() if isinstance(expect, dict) else [expect]
        for seconds in expected if expect is not None else ():
            at_least("expect", seconds, 0, above=True)
        if not isinstance(self.repair, bool):
            raise UsageError(f"repair is True or False, not {self.repair!r}")
        self._check_reconcile()

    def _check_reconcile(self) -> None:
        if self.reconcile is not None:
            if not isinstance(self.reconcile, str):
                raise wrong_cron(self.reconcile, "it is no text", "reconcile")
            CronSchedule(self.reconcile, UTC, "reconcile")
        if self.reconcile_timezone is not None:
            timezone_of(self.reconcile_timezone)

    @property
    def margins(self) -> Margins:
        """The same for the ledger."""
        return Margins(
            settle=ticks_of(self.settle),
            overlap=ticks_of(self.overlap),
            ahead=ticks_of(self.ahead),
        )

    @property
    def plan(self) -> Plan:
        """The same for the planner."""
        return Plan(patience=ticks_of(self.patience))

    @property
    def silence(self) -> Patience:
        """The same for what is expected of tags."""
        return Patience(grace=self.grace, stale=self.stale, flat=self.flat)

    @property
    def nights(self) -> CronSchedule | None:
        """When the archive is compared with what was delivered; may read files."""
        if self.reconcile is None:
            return None
        zone = timezone_of(self.reconcile_timezone)
        return CronSchedule(self.reconcile, zone, "reconcile")


def ticks_of(seconds: float) -> int:
    """The ticks of seconds."""
    return int(seconds * TICKS_PER_SECOND)
