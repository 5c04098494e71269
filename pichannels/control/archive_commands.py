"""The commands for what PI has: tags, coverage, jobs that read history, its budget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from pichannels.channels.backfilling import Backfilling
from pichannels.channels.job_reports import JobReport
from pichannels.channels.jobs import JobPriority
from pichannels.control import backfills, reconciles
from pichannels.control.archive import ArchiveWanted, archived
from pichannels.control.backfills import BackfillWanted, JobsWanted
from pichannels.control.budgets import BudgetWanted, change_budget
from pichannels.control.coverage import coverage_report
from pichannels.control.coverage_reports import CoverageWanted
from pichannels.control.instance import Command, Instance
from pichannels.control.reconciles import ReconcileWanted
from pichannels.control.tags import TagsChange, change_tags

__all__ = ["ARCHIVE_COMMANDS"]


class _Job(msgspec.Struct, forbid_unknown_fields=True):
    """One backfill job."""

    id: str


class _Prioritised(msgspec.Struct, forbid_unknown_fields=True):
    """One backfill job, and what it is to go before or after."""

    id: str
    priority: JobPriority


async def _tags(instance: Instance, request: TagsChange) -> Any:
    return await change_tags(instance.project, request)


async def _archive(instance: Instance, request: ArchiveWanted) -> Any:
    return await archived(instance.project, request)


async def _coverage(instance: Instance, request: CoverageWanted) -> Any:
    return await coverage_report(instance.project, instance.journal, request)


async def _reconcile(instance: Instance, request: ReconcileWanted) -> Any:
    return await reconciles.reconcile(instance.project, request)


async def _job_create(instance: Instance, request: BackfillWanted) -> Any:
    return backfills.create_job(instance.project, request)


async def _job_list(instance: Instance, request: JobsWanted) -> Any:
    return await backfills.list_jobs(instance.project, instance.journal, request)


async def _job_show(instance: Instance, request: _Job) -> Any:
    return await backfills.show_job(instance.project, instance.journal, request.id)


async def _job_pause(instance: Instance, request: _Job) -> Any:
    return backfills.change_job(instance.project, request.id, Backfilling.pause)


async def _job_resume(instance: Instance, request: _Job) -> Any:
    return backfills.change_job(instance.project, request.id, Backfilling.resume)


async def _job_cancel(instance: Instance, request: _Job) -> Any:
    return backfills.change_job(instance.project, request.id, Backfilling.cancel)


async def _job_priority(instance: Instance, request: _Prioritised) -> Any:
    def change(backfilling: Backfilling, number: int) -> JobReport:
        return backfilling.prioritise(number, request.priority)

    return backfills.change_job(instance.project, request.id, change)


async def _pi_budget(instance: Instance, request: BudgetWanted) -> Any:
    return change_budget(instance.project, instance.limiters, request)


ARCHIVE_COMMANDS: Final[Mapping[str, Command]] = {
    "archive": Command(ArchiveWanted, _archive),
    "backfill-cancel": Command(_Job, _job_cancel),
    "backfill-create": Command(BackfillWanted, _job_create),
    "backfill-list": Command(JobsWanted, _job_list),
    "backfill-pause": Command(_Job, _job_pause),
    "backfill-priority": Command(_Prioritised, _job_priority),
    "backfill-resume": Command(_Job, _job_resume),
    "backfill-show": Command(_Job, _job_show),
    "coverage": Command(CoverageWanted, _coverage),
    "pi-budget": Command(BudgetWanted, _pi_budget),
    "reconcile": Command(ReconcileWanted, _reconcile),
    "tags": Command(TagsChange, _tags),
}
