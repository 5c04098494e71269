"""The parts of an instance, as the settings describe them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from pichannels.config import JournalConfig, SimulatorConfig
from pichannels.control.history import channels_with_store
from pichannels.journal import Journal
from pichannels.project import Project
from pichannels.simulator import Plant, Simulator

__all__ = ["make_journal", "make_simulator", "opened_stores"]

_DAY: Final = 86_400.0


def make_simulator(config: SimulatorConfig, state: Path | None = None) -> Simulator:
    """The simulator that the settings describe, not open yet.

    Args:
        state: the file that keeps what is edited there.
    """
    return Simulator(
        Plant(config.seed, config.tags),
        config.host,
        config.port,
        poll=config.poll,
        speed=config.speed,
        state=state,
    )


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
