"""Commands of plug-ins, and `pichannels plugins`, which tells what there is."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from pichannels.cli.common import Commands, ExitCode, common_options, json_option
from pichannels.cli.output import complain, say, say_json, say_table
from pichannels.errors import SettingsError
from pichannels.plugins import Plugin, find_plugins

__all__ = ["PluggedCommands", "plugins"]


class PluggedCommands(Commands):
    """Our commands, and those that plug-ins add.

    Plug-ins are imported when the help lists them, or when one is called. One that
    is broken is told and left out; one that has the name of ours is told, too.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, ours first."""
        ours = super().list_commands(ctx)
        return [*ours, *sorted(self._plugged().keys() - set(ours))]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command, or None where there is none, or where it is broken."""
        ours = super().get_command(ctx, name)
        if ours is not None:
            return ours
        plugin = self._plugged().get(name)
        return None if plugin is None else _command(plugin)

    def _plugged(self) -> dict[str, Plugin]:
        return {plugin.name: plugin for plugin in find_plugins("commands")}


def _command(plugin: Plugin) -> click.Command | None:
    try:
        return _loaded(plugin)
    except SettingsError as exc:
        complain(f"Warning: {exc}")
        return None


def _loaded(plugin: Plugin) -> click.Command:
    found = plugin.load()
    if isinstance(found, click.Command):
        return found
    raise SettingsError(
        f"the plug-in {plugin.name!r} is no command",
        file=f"{plugin.distribution} {plugin.version}",
        key=plugin.value,
        found=type(found).__name__,
        allowed="a click command or group",
    )


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
            _loaded(plugin)
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
