"""How much of what a PI server may be asked is for history; changed on request.

History is repair, backfill, comparing, and looking at the past.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from pichannels.channels.backfilling import Backfilling
from pichannels.channels.jobs import JobState
from pichannels.control.reports import ServerReport, server_reports
from pichannels.piwebasync.limiting import Limiter, Limiters, limiter_for
from pichannels.project import Project

__all__ = ["BudgetReport", "BudgetWanted", "JobAhead", "change_budget", "ready_in"]

_ALL_OF_IT: Final = 0.8
"""The part of a budget that, when it is used, tells that more of it would help."""


class BudgetWanted(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """What history is to get of a PI server; without any of it nothing is changed.

    Attributes:
        server: host and port; needed where several are asked.
        rate: requests in a second, at most; null for all that live ones leave.
        paused: whether history gets nothing at all for now.
    """

    server: str = ""
    rate: float | None | msgspec.UnsetType = msgspec.UNSET
    paused: bool | None = None


class JobAhead(msgspec.Struct, frozen=True, kw_only=True):
    """A job that runs, and when it will be ready.

    Attributes:
        id: of the job.
        eta: seconds at the pace of the last minute; None while it is unknown.
        expected: seconds with the budget as it is now; None while it is unknown.
    """

    id: str
    eta: float | None
    expected: float | None


class BudgetReport(msgspec.Struct, frozen=True, kw_only=True):
    """What history gets of a PI server, and what that means.

    Attributes:
        server: as in the status.
        is_short: whether history would ask more if it were allowed to.
        jobs: those that read from it.
    """

    server: ServerReport
    is_short: bool
    jobs: list[JobAhead]


def change_budget(
    project: Project, limiters: Limiters, wanted: BudgetWanted
) -> BudgetReport:
    """Change what history gets of a server; it holds until the instance ends.

    Raises:
        UsageError: no such server is asked, or it is not above 0, or above what the
            server may be asked.
    """
    limiter = limiters.known(wanted.server)
    before = _report(limiters, limiter)
    if wanted.rate is not msgspec.UNSET:
        limiter.give_history(wanted.rate)
    if wanted.paused is not None:
        (limiter.pause_history if wanted.paused else limiter.resume_history)()
    after = _report(limiters, limiter)
    etas = _etas(project, limiter)
    allowed = after.full_rate if after.history_rate is None else after.history_rate
    return BudgetReport(
        server=after,
        is_short=_is_short(before),
        jobs=[
            JobAhead(
                id=id,
                eta=eta,
                expected=None
                if after.history_paused
                else ready_in(eta, before.history_used, allowed, _is_short(before)),
            )
            for id, eta in etas
        ],
    )


def ready_in(
    eta: float | None, used: float, allowed: float, is_short: bool
) -> float | None:
    """Seconds until something is read, with another budget.

    Args:
        eta: seconds at the pace that it has.
        used: requests in a second that it has had of late.
        allowed: those that it would have.
        is_short: whether it would ask more if it were allowed to.
    """
    if eta is None or used <= 0:
        return eta
    return eta * used / allowed if is_short or allowed < used else eta


def _is_short(server: ServerReport) -> bool:
    if server.history_paused:
        return False
    # That some wait tells nothing: they may wait for a place under way.
    own = server.history_rate
    allowed = server.rate if own is None else min(own, server.rate)
    return server.history_used >= allowed * _ALL_OF_IT


def _report(limiters: Limiters, limiter: Limiter) -> ServerReport:
    name = limiters.name_of(limiter)
    return server_reports({name: limiter.statistics()})[0]


def _etas(project: Project, limiter: Limiter) -> list[tuple[str, float | None]]:
    found: list[tuple[str, float | None]] = []
    for channel in project.all_channels():
        backfilling: Backfilling | None = getattr(channel, "backfilling", None)
        server: Any = getattr(channel, "pi_server", None)
        if backfilling is None or server is None or not backfilling.is_open:
            continue
        if limiter_for(channel, *server.urls) is limiter:
            jobs = [j for j in backfilling.reports() if j.state is JobState.RUNNING]
            found += [(job.id, job.eta) for job in jobs]
    return found
