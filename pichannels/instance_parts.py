"""What an instance needs, and in part a project that does not run."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from pichannels.config import JournalConfig
from pichannels.control.history import channels_with_store
from pichannels.journal import Journal
from pichannels.project import Project

__all__ = ["make_journal", "opened_stores", "tune_collector"]

_COLLECT_AFTER: Final = 50_000
_DAY: Final = 86_400.0


def make_journal(
    data_dir: Path, config: JournalConfig, *, wait: bool = False
) -> Journal:
    """The journal in this folder, not open yet."""
    days = {"error": config.dead_letter_days} | dict(config.state_days or {})
    return Journal(
        data_dir / "journal.sqlite",
        durability=config.durability,
        budget=config.budget_bytes,
        retention_age=config.retention_days * _DAY,
        retention_bytes=config.retention_bytes,
        state_ages={state: number * _DAY for state, number in days.items()},
        wait=wait,
    )


@contextlib.asynccontextmanager
async def opened_stores(
    project: Project, data_dir: Path | None = None
) -> AsyncIterator[Journal]:
    """The journal and the stores of a project that does not run, to read them.

    Raises:
        JournalLocked: an instance runs on the same data.
        JournalError: the journal cannot be opened.
    """
    async with contextlib.AsyncExitStack() as stack:
        journal = make_journal(data_dir or project.data_dir, project.config.journal)
        await journal.open()
        stack.push_async_callback(journal.close)
        for _, store in channels_with_store(project):
            if store.shares_journal:
                store.attach(journal)
            await store.start()
            stack.push_async_callback(store.stop)
        yield journal


def tune_collector() -> None:
    """Look for unreachable cycles less often, and never among what stays."""
    gc.set_threshold(_COLLECT_AFTER)
    gc.collect()
    gc.freeze()
