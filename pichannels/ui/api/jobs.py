"""Routes of backfill jobs, of comparing, and of what PI is asked for them."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from pichannels.channels.job_reports import JobReport
from pichannels.channels.jobs import JobPriority
from pichannels.control.budgets import BudgetReport, BudgetWanted
from pichannels.control.reconciles import ReconcileWanted
from pichannels.ui.api.acting import begin_action, given_by, run_action
from pichannels.ui.api.routing import Ask, Routes
from pichannels.ui.operations import Operation
from pichannels.ui.roles import Role

__all__ = ["routes"]

routes = Routes("commands", "/instances/{instance}")

_OPERATE: Final = Role.OPERATE
_JOB: Final = ("pause", "resume", "cancel")


class Job(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A backfill job; see `pichannels backfill create`.

    Attributes:
        channel: full name of the channel.
        tags: names or paths, with `*` and `?`.
        start, end: of the range, ISO 8601; up to now without an end.
        again: deliver what was delivered once more.
        reason: why, for those who look later.
        priority: before or after all other holes.
    """

    channel: str
    tags: list[str]
    start: str
    end: str | None = None
    again: bool = False
    reason: str = ""
    priority: JobPriority = JobPriority.NORMAL


class Priority(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`high` before all other holes, `low` after them.

    Attributes:
        priority: `high`, `normal` or `low`.
    """

    priority: JobPriority


@routes.add("POST", "/jobs", role=_OPERATE, answer=JobReport, body=Job)
async def create_job(ask: Ask, instance: str, body: Any) -> Any:
    """Begin to deliver a range of tags from the archive."""
    given = {**given_by(body), "who": ask.who.name}
    return await run_action(ask, instance, "backfill-create", given)


def _add_job_command(what: str) -> None:
    async def endpoint(ask: Ask, instance: str, id: str) -> Any:
        return await run_action(ask, instance, f"backfill-{what}", {"id": id})

    endpoint.__name__ = f"{what}_job"
    endpoint.__doc__ = f"{what.capitalize()} a backfill job."
    path = f"/jobs/{{id}}/{what}"
    routes.add("POST", path, role=_OPERATE, answer=JobReport)(endpoint)


for _what in _JOB:
    _add_job_command(_what)


@routes.add(
    "POST", "/jobs/{id}/priority", role=_OPERATE, answer=JobReport, body=Priority
)
async def prioritise_job(ask: Ask, instance: str, id: str, body: Any) -> Any:
    """Read a backfill job before or after all other holes."""
    given = {"id": id, **given_by(body)}
    return await run_action(ask, instance, "backfill-priority", given)


@routes.add("POST", "/pi-budget", role=_OPERATE, answer=BudgetReport, body=BudgetWanted)
async def change_pi_budget(ask: Ask, instance: str, body: Any) -> Any:
    """Change what repair and backfill get of a PI server, until the instance ends."""
    return await run_action(ask, instance, "pi-budget", body)


@routes.add(
    "POST",
    "/reconciles",
    role=_OPERATE,
    answer=Operation,
    body=ReconcileWanted,
    status=202,
)
async def begin_reconcile(ask: Ask, instance: str, body: Any) -> Any:
    """Begin to compare the archive with what was delivered."""
    return await begin_action(ask, instance, "reconcile", body)
