"""`pichannels start`: run the project until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import sys

import click

from pichannels.cli.common import common_options, load_project
from pichannels.cli.logs import configure_logging
from pichannels.cli.output import say
from pichannels.control.signals import ABORTED
from pichannels.engine import Engine
from pichannels.events import Event

__all__ = ["start"]


@click.command(short_help="Run the project.")
@click.option(
    "--wait",
    is_flag=True,
    help="Stand by while another instance runs on the same data.",
)
@common_options
def start(wait: bool) -> None:
    """Run the project until SIGTERM or Ctrl-C.

    Messages in flight are finished first, within DRAIN_TIMEOUT of the settings. A
    second signal stops at once; nothing accepted is lost, it runs at the next start.
    """
    project = load_project()
    configure_logging(project.config.logging)
    engine = Engine(project, wait=wait)

    def show(event: Event) -> None:
        if event.name == "instance.started":
            _say_where_to_look(engine)

    engine.events.subscribe(show)
    if asyncio.run(engine.run_until_stopped()):
        say("stopped")
        return
    # Threads of nodes and libraries may never end by themselves.
    logging.shutdown()
    sys.stdout.flush()
    os._exit(ABORTED)


def _say_where_to_look(engine: Engine) -> None:
    status = engine.status()
    say(f"{status.project} runs: {status.settings}")
    for channel in status.channels:
        say(f"  channel    {channel.name} ({channel.state})")
    if status.simulator:
        say(f"  simulator  {status.simulator}")
    if status.control:
        say(f"  control    {status.control}")
    say(f"  data       {status.data_dir}")
    say("  look with  pichannels status | store list | store search")
    say("Ctrl-C drains and stops; a second one stops at once")
    sys.stdout.flush()
