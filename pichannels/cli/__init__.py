"""The commands: arguments and output, nothing else."""

from __future__ import annotations

import click

from pichannels import __version__
from pichannels.cli.check import check
from pichannels.cli.common import common_options
from pichannels.cli.completion import completion
from pichannels.cli.graph import graph
from pichannels.cli.pi_values import pi
from pichannels.cli.plugins import PluggedCommands, plugins
from pichannels.cli.print_settings import print_settings
from pichannels.cli.reload import reload
from pichannels.cli.replay import replay
from pichannels.cli.schema import schema
from pichannels.cli.shell import shell
from pichannels.cli.start import start
from pichannels.cli.startproject import startproject
from pichannels.cli.status import status
from pichannels.cli.store_files import store
from pichannels.cli.version import version
from pichannels.simulator.command import simulate

__all__ = ["cli", "main"]


@click.group(
    cls=PluggedCommands, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, message="pichannels %(version)s")
@common_options
def cli() -> None:
    """Channels, nodes and message stores for PI System data.

    Exit codes: 0 all is well; 1 it failed, or problems were found; 2 wrong usage;
    3 the settings are invalid; 4 no instance runs; 5 another instance runs.
    """


for command in (
    check,
    completion,
    graph,
    pi,
    plugins,
    print_settings,
    reload,
    replay,
    schema,
    shell,
    simulate,
    start,
    startproject,
    status,
    store,
    version,
):
    cli.add_command(command)


def main() -> None:
    """Run the command that the arguments name; ends the process."""
    cli(prog_name="pichannels")
