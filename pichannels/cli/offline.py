"""What commands read of a project that does not run."""

from __future__ import annotations

import gc

from pichannels.control.coverage import coverage_report
from pichannels.control.coverage_reports import CoverageReport, CoverageWanted
from pichannels.instance_parts import opened_stores
from pichannels.project import Project

__all__ = ["coverage_of"]


async def coverage_of(project: Project, wanted: CoverageWanted) -> CoverageReport:
    """What the coverage ledgers say that the last run has left.

    Raises:
        JournalLocked: an instance runs on the same data.
        UsageError, JournalError, CodecError: as `coverage_report`.
    """
    # What is read stays to the end; looking for cycles in it would find none.
    gc.disable()
    try:
        async with opened_stores(project) as journal:
            return await coverage_report(project, journal, wanted)
    finally:
        gc.enable()
