"""`pichannels start`: run the project until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from pichannels.cli.common import (
    ExitCode,
    common_options,
    load_project,
    settings_folder,
)
from pichannels.cli.debugging import profiled, watched
from pichannels.cli.dry_run import rehearsed
from pichannels.cli.logs import (
    change_logging,
    configure_logging,
    log_beside_tables,
)
from pichannels.cli.output import say
from pichannels.cli.pages import pages_of, with_pages
from pichannels.cli.terminal import Screen, is_terminal
from pichannels.cli.watch import RESTART, Watcher, is_supervised, supervise
from pichannels.control.signals import ABORTED
from pichannels.control.supervisor import Supervisor
from pichannels.engine import Engine
from pichannels.errors import SettingsError, UsageError
from pichannels.events import Event
from pichannels.project import Project

__all__ = ["start"]

logger: Final = logging.getLogger("pichannels.cli")

Run = Callable[[], Coroutine[Any, Any, bool]]


@click.command(short_help="Run the project.")
@click.option(
    "--wait",
    is_flag=True,
    help="Stand by while another instance runs on the same data or has the lease.",
)
@click.option(
    "--plain",
    is_flag=True,
    help="Only log lines, also on a terminal.",
)
@click.option(
    "--reload",
    is_flag=True,
    help="For developers: reload when files of the project change, or restart.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Live values, but sinks only show what they would get; nothing is kept.",
)
@click.option(
    "--ui",
    "wants_pages",
    is_flag=True,
    help="Serve the pages and the API, also where the settings have no UI.",
)
@click.option(
    "--profile",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    help="Write what the time is spent on to FILE at the end, for pstats.",
)
@common_options
def start(
    wait: bool,
    plain: bool,
    reload: bool,
    dry_run: bool,
    wants_pages: bool,
    profile: Path | None,
) -> None:
    """Run the project until SIGTERM or Ctrl-C.

    On a terminal tables show what it does, and the log scrolls above them.

    Messages in flight are finished first, within DRAIN_TIMEOUT of the settings. A
    second signal stops at once; nothing accepted is lost, it runs at the next start.

    With --debug a warning tells what holds up all else for more than 0.1 s, and where.
    """
    if reload and dry_run:
        raise UsageError("--reload and --dry-run do not go together")
    if wants_pages and dry_run:
        raise UsageError("--ui and --dry-run do not go together")
    if reload and not is_supervised():
        sys.exit(supervise(settings_folder()))
    project = load_project()
    with profiled(profile):
        if dry_run:
            with rehearsed(project) as engine:
                has_drained = _run(project, engine, plain, engine.run_until_stopped)
        else:
            engine = Engine(project, wait=wait)
            pages = pages_of(project, wants_pages)
            has_drained = _run_for_real(project, engine, plain, reload, pages)
    is_lost = engine.lease is not None and engine.lease.is_lost
    if has_drained:
        say("stopped")
        if is_lost:
            sys.exit(ExitCode.LOCKED)
        return
    # Threads of nodes and libraries may never end by themselves.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(ExitCode.LOCKED if is_lost else ABORTED)


def _run_for_real(
    project: Project, engine: Engine, plain: bool, reload: bool, pages: bytes | None
) -> bool:
    engine.events.subscribe(partial(_log_as_reloaded, engine))
    watcher = Watcher(engine) if reload else None
    run = watcher.run if watcher else engine.run_until_stopped
    if pages is not None:
        run = partial(with_pages, engine, run, pages)
    has_drained = _run(project, engine, plain, run)
    if has_drained and watcher and watcher.wants_restart:
        sys.exit(RESTART)
    return has_drained


def _run(project: Project, engine: Engine, plain: bool, run: Run) -> bool:
    run = partial(_told, engine, run)
    show = _run_plain if plain or not is_terminal() else _run_with_tables
    if click.get_current_context().find_root().meta.get("debug"):
        return show(project, engine, lambda: watched(run()))
    return show(project, engine, run)


async def _told(engine: Engine, run: Run) -> bool:
    """Run, and let systemd know, where that has started us."""
    timeout = engine.project.config.drain_timeout
    supervisor = Supervisor.of_system(os.environ, timeout)
    if supervisor is None:
        return await run()
    async with supervisor.told(engine.events):
        return await run()


def _run_plain(project: Project, engine: Engine, run: Run) -> bool:
    configure_logging(project.config.logging)

    def show(event: Event) -> None:
        if event.name == "instance.started":
            _say_where_to_look(engine)

    engine.events.subscribe(show)
    return asyncio.run(run())


def _run_with_tables(project: Project, engine: Engine, run: Run) -> bool:
    with Screen(is_own=True) as screen, log_beside_tables(project.config.logging):
        has_drained = asyncio.run(_followed(engine, screen, run))
        if has_drained:
            screen.show(_status(engine))
        return has_drained


async def _followed(engine: Engine, screen: Screen, run: Run) -> bool:
    async def read() -> dict[str, Any]:
        found: dict[str, Any] = msgspec.to_builtins(await engine.whole_status())
        return found

    following = asyncio.create_task(screen.follow(read), name="live tables")
    try:
        return await run()
    finally:
        following.cancel()
        await asyncio.wait([following])


def _status(engine: Engine) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(engine.status())
    return found


def _log_as_reloaded(engine: Engine, event: Event) -> None:
    if event.name != "instance.reloaded" or "LOGGING" not in event.facts["settings"]:
        return
    try:
        change_logging(engine.project.config.logging)
    except SettingsError as exc:
        logger.error("the log goes on as it was: %s", exc)


def _say_where_to_look(engine: Engine) -> None:
    status = engine.status()
    say(f"{status.project} runs: {status.settings}")
    for channel in status.channels:
        say(f"  channel    {channel.name} ({channel.state})")
    if status.simulator:
        say(f"  simulator  {status.simulator}")
    if status.control:
        say(f"  control    {status.control}")
    if engine.remote_url:
        say(f"  streams    {engine.remote_url}")
    say(f"  data       {status.data_dir}")
    say("  look with  pichannels status | store list | store search")
    say("Ctrl-C drains and stops; a second one stops at once")
    sys.stdout.flush()
