"""`pichannels plugins`: what plug-ins add."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from pichannels.cli.options import ExitCode, common_options, json_option
from pichannels.cli.output import complain, say, say_json, say_table
from pichannels.cli.plugged import command_of
from pichannels.errors import SettingsError
from pichannels.plugins import Plugin, find_plugins

__all__ = ["plugins"]


@click.command(short_help="Show what plug-ins add.")
@json_option
@common_options
@click.pass_context
def plugins(ctx: click.Context, as_json: bool) -> None:
    """Show the channels, nodes, stores and commands that plug-ins add.

    Each is imported to see whether it works. Exit code 1 when one does not.
    """
    found = [_row(plugin, ctx) for plugin in find_plugins()]
    if as_json:
        say_json(found)
    elif not found:
        say("no plug-ins are installed")
    else:
        columns = ("kind", "name", "value", "distribution", "version", "location")
        say_table(columns, ([row[column] for column in columns] for row in found))
    broken = [row["problem"] for row in found if row["problem"]]
    for problem in () if as_json else broken:
        complain(problem)
    if broken:
        ctx.exit(ExitCode.FAILED)


def _row(plugin: Plugin, ctx: click.Context) -> dict[str, Any]:
    problem = None
    try:
        if plugin.kind == "commands":
            command_of(plugin)
            problem = _hidden(plugin, ctx)
        else:
            plugin.load()
    except SettingsError as exc:
        problem = str(exc)
    return {**msgspec.structs.asdict(plugin), "problem": problem}


def _hidden(plugin: Plugin, ctx: click.Context) -> str | None:
    root = ctx.find_root().command
    if isinstance(root, click.Group) and plugin.name in root.commands:
        return (
            f"{plugin.distribution} {plugin.version}: pichannels has a command"
            f" {plugin.name!r} of its own, which hides this one"
        )
    return None
