"""The commands: arguments and output, nothing else."""

from __future__ import annotations

import io
import sys
from typing import Final

import click

from pichannels import __version__
from pichannels.cli.lazy import LazyCommands
from pichannels.cli.options import common_options
from pichannels.cli.plugged import PluggedCommands

__all__ = ["cli", "main"]

_COMMANDS: Final = {
    "audit": "pichannels.cli.audit:audit",
    "backfill": "pichannels.cli.backfill:backfill",
    "channel": "pichannels.cli.channel:channel",
    "check": "pichannels.cli.check:check",
    "completion": "pichannels.cli.completion:completion",
    "coverage": "pichannels.cli.coverage:coverage",
    "dead": "pichannels.cli.dead:dead",
    "graph": "pichannels.cli.graph:graph",
    "pi": "pichannels.cli.pi_values:pi",
    "log": "pichannels.cli.log:log",
    "plugins": "pichannels.cli.plugins:plugins",
    "print-settings": "pichannels.cli.print_settings:print_settings",
    "reconcile": "pichannels.cli.reconcile:reconcile",
    "reload": "pichannels.cli.reload:reload",
    "remote": "pichannels.cli.remote:remote",
    "replay": "pichannels.cli.replay:replay",
    "schema": "pichannels.cli.schema:schema",
    "shell": "pichannels.cli.shell:shell",
    "simulate": "pichannels.simulator.command:simulate",
    "sink": "pichannels.cli.sink:sink",
    "start": "pichannels.cli.start:start",
    "startproject": "pichannels.cli.startproject:startproject",
    "status": "pichannels.cli.status:status",
    "store": "pichannels.cli.store_trace:store",
    "tags": "pichannels.cli.tags:tags",
    "tail": "pichannels.cli.tail:tail",
    "tap": "pichannels.cli.tap:tap",
    "test": "pichannels.cli.test:test",
    "top": "pichannels.cli.top:top",
    "ui": "pichannels.cli.ui:ui",
    "version": "pichannels.cli.version:version",
}


@click.group(
    cls=PluggedCommands,
    commands=LazyCommands(_COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="pichannels %(version)s")
@common_options
def cli() -> None:
    """Channels, nodes and message stores for PI System data.

    Exit codes: 0 all is well; 1 it failed, or problems were found; 2 wrong usage;
    3 the settings are invalid; 4 no instance runs; 5 another instance runs.
    """


def main() -> None:
    """Run the command that the arguments name; ends the process."""
    # A file or a pipe has an old encoding on Windows, which has not all that the names
    # and units of tags have.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    cli(prog_name="pichannels")
