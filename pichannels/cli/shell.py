"""`pichannels shell`: Python with the project at hand."""

from __future__ import annotations

import asyncio
import code
import contextlib
import importlib
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, TypeVar

import click

from pichannels.cli.common import common_options, load_project
from pichannels.cli.logs import configure_logging
from pichannels.engine import Engine
from pichannels.message import Message

__all__ = ["shell"]

T = TypeVar("T")

_BANNER: Final = """\
{name}: the channels run without their sources, and nothing is read from PI.
  project, engine, journal  what runs here
  channel('NAME')           a channel, by its full name
  run(...)                  waits for what is async: run(journal.total('NAME'))
  Message                   Message(payload=...)
Ctrl-D ends."""


@click.command(short_help="Python with the project at hand.")
@click.option("--plain", is_flag=True, help="Python's own shell, also with IPython.")
@common_options
def shell(plain: bool) -> None:
    """Open a Python shell with the project, its engine and its journal.

    The channels run, without their sources: what an earlier run left unsettled runs
    first, and messages come only from you. IPython is used where it is installed.
    """
    project = load_project()
    configure_logging(project.config.logging)
    engine = Engine(project, control=False, simulator=False, sources=False)
    with _running_loop() as run:
        run(engine.start())
        try:
            names: dict[str, Any] = {
                "project": project,
                "engine": engine,
                "journal": engine.journal,
                "channel": project.channel,
                "run": run,
                "Message": Message,
            }
            _interact(names, _BANNER.format(name=project.name), plain)
        finally:
            run(engine.stop())


@contextlib.contextmanager
def _running_loop() -> Iterator[Callable[[Awaitable[Any]], Any]]:
    """An event loop in a thread, and a function that waits for what is async."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="pichannels-shell")
    thread.start()

    async def awaited(work: Awaitable[T]) -> T:
        return await work

    def run(work: Awaitable[T]) -> T:
        """Wait for something async; Ctrl-C cancels it."""
        future = asyncio.run_coroutine_threadsafe(awaited(work), loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    try:
        yield run
    finally:
        run(loop.shutdown_default_executor())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _interact(names: dict[str, Any], banner: str, plain: bool) -> None:
    ipython = None if plain or not sys.stdin.isatty() else _optional("IPython")
    if ipython is not None:
        config = importlib.import_module("traitlets.config").Config()
        config.TerminalInteractiveShell.banner1 = f"{banner}\n"
        ipython.start_ipython(argv=[], user_ns=names, config=config)
        return
    if sys.stdin.isatty():
        # With it lines can be edited and recalled, and names completed.
        readline = _optional("readline")
        if readline is not None:
            completer = importlib.import_module("rlcompleter").Completer(names)
            readline.set_completer(completer.complete)
            readline.parse_and_bind("tab: complete")
    with contextlib.suppress(SystemExit):
        code.interact(banner, local=names, exitmsg="")


def _optional(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
