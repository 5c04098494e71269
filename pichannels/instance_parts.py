"""What an instance needs, and in part a project that does not run."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from pichannels import __version__
from pichannels.config import JournalConfig
from pichannels.control.history import channels_with_store
from pichannels.errors import NotConnected
from pichannels.journal import Journal
from pichannels.project import Project
from pichannels.secrets import reveal_in_thread
from pichannels.telemetry_config import TracingConfig
from pichannels.tracing import Tracer

__all__ = [
    "is_first",
    "make_journal",
    "open_tracing",
    "opened_stores",
    "place_of",
    "tune_collector",
]

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

    A store that is away just now says so when it is read.

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
            with contextlib.suppress(NotConnected):
                await store.start()
            stack.push_async_callback(store.stop)
        yield journal


async def open_tracing(project: Project) -> Tracer:
    """What makes spans of what the project does, as its settings say.

    Raises:
        SettingsError: the extra `otel` or the secret of the token is missing.
    """
    config = project.config.tracing or TracingConfig()
    token = await reveal_in_thread(config.token)
    return await asyncio.to_thread(
        _open_tracer,
        config.endpoint,
        sample=config.sample,
        service=config.service or project.name,
        version=__version__,
        token=str(token),
    )


def _open_tracer(endpoint: str, **options: Any) -> Tracer:
    # What it imports takes a while, which is only for those who want traces.
    adapter = importlib.import_module("pichannels.adapters.otel")
    tracer: Tracer = adapter.open_tracer(endpoint, **options)
    return tracer


async def is_first(task: asyncio.Task[None], event: asyncio.Event) -> bool:
    """Whether the task is done before the event is set."""
    waiting = asyncio.create_task(event.wait(), name="stop request")
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    return task.done()


def place_of(config: object, error: OSError) -> str:
    """Where a part of these settings listens, and why it does not."""
    host, port = getattr(config, "host", ""), getattr(config, "port", "")
    return f"{host}:{port}: {error.strerror or error}"


def tune_collector() -> None:
    """Look for unreachable cycles less often, and never among what stays."""
    gc.set_threshold(_COLLECT_AFTER)
    gc.collect()
    gc.freeze()
