"""The commands that plug-ins add beside ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from pichannels.cli.lazy import load_name
from pichannels.cli.options import Commands, complain
from pichannels.errors import SettingsError

if TYPE_CHECKING:
    from pichannels.plugins import Plugin

__all__ = ["PluggedCommands", "command_of"]

# Imported when a command is asked for that is none of ours.
_FIND: Final = "pichannels.plugins:find_plugins"


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
        return {plugin.name: plugin for plugin in load_name(_FIND)("commands")}


def _command(plugin: Plugin) -> click.Command | None:
    try:
        return command_of(plugin)
    except SettingsError as exc:
        complain(f"Warning: {exc}")
        return None


def command_of(plugin: Plugin) -> click.Command:
    """The command that a plug-in adds.

    Raises:
        SettingsError: it cannot be imported, or is none.
    """
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
