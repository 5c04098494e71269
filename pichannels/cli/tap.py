"""`pichannels tap`: messages as they come to one node, and as they leave it."""

from __future__ import annotations

import sys
from typing import Any, Final

import click
from rich.console import Console

from pichannels.cli.common import (
    ask_instance,
    common_options,
    follow_instance,
    json_option,
)
from pichannels.cli.completion import complete_channels, complete_nodes
from pichannels.cli.output import WIDTH_OF_FILES, complain, say_line
from pichannels.cli.tapped import passed_lines
from pichannels.control.client import ControlClient
from pichannels.errors import UsageError, nearest

__all__ = ["tap"]

_WAIT: Final = 5.0
_NARROWEST: Final = 40
_MOST_ROWS: Final = 20


@click.command(short_help="Follow what comes to one node and leaves it.")
@click.argument("channel", shell_complete=complete_channels)
@click.option(
    "--node",
    metavar="NODE",
    shell_complete=complete_nodes,
    help="Its name in CHANNEL, or its full name.",
)
@click.option("--count", type=click.IntRange(1), help="End after so many messages.")
@click.option(
    "--rows",
    type=click.IntRange(1, _MOST_ROWS),
    default=5,
    show_default=True,
    help="Samples, or lines of text, of each message at most.",
)
@json_option
@common_options
def tap(
    channel: str, node: str | None, count: int | None, rows: int, as_json: bool
) -> None:
    """Show messages as they come to NODE of CHANNEL and as they leave it, until Ctrl-C.

    At most ten each second, of a batch the first items; the channel does not wait.
    With --json a line for each message.
    """
    if node is None:
        raise UsageError(ask_instance(lambda client: _nodes_of(client, channel)))
    name = node if node.startswith(f"{channel}.") else f"{channel}.{node}"
    shown = _Shown(name, count, None if as_json else rows)
    follow_instance(shown.follow)


async def _nodes_of(client: ControlClient, channel: str) -> str:
    """Which nodes there are to choose from."""
    found = {each["name"]: each for each in (await client.status())["channels"]}
    if channel not in found:
        return f"there is no channel {channel!r}{nearest(channel, found)}"
    nodes = [each["name"] for each in found[channel]["nodes"]]
    told = ", ".join(name.removeprefix(f"{channel}.") for name in nodes)
    return f"say which --node of {channel!r}: {told or 'it has none'}"


class _Shown:
    """Writes what passes a node.

    Args:
        node: its full name.
        count: how many messages; None for all.
        rows: how much of each; None for lines of JSON.
    """

    def __init__(self, node: str, count: int | None, rows: int | None) -> None:
        self._node = node
        self._left = count
        self._rows = rows
        width = None if sys.stdout.isatty() else WIDTH_OF_FILES
        self._console = Console(width=width, markup=False, highlight=False)

    async def follow(self, client: ControlClient) -> None:
        """Write messages until there were enough."""
        after = (await client.command("tap", node=self._node))["next"]
        is_silent = False
        while self._left is None or self._left > 0:
            found = await client.command(
                "tap", node=self._node, after=after, wait=_WAIT
            )
            after = found["next"]
            if found["missed"]:
                complain(f"-- {found['missed']:,} messages are not shown")
            if not found["passed"] and not is_silent:
                complain(f"-- nothing comes to {self._node} just now; Ctrl-C ends")
            is_silent = not found["passed"]
            for passed in found["passed"][: self._left]:
                self._show(passed)
            # Who reads this from a pipe gets it at once.
            sys.stdout.flush()

    def _show(self, passed: dict[str, Any]) -> None:
        if self._left is not None:
            self._left -= 1
        if self._rows is None:
            say_line(passed)
            return
        # A terminal may be made wider meanwhile.
        width = max(self._console.width, _NARROWEST)
        for line in passed_lines(passed, width, self._rows):
            self._console.print(line, soft_wrap=True)
