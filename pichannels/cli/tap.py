"""`pichannels tap`: messages as they come to one node, and as they leave it."""

from __future__ import annotations

import contextlib
import sys
from typing import Any, Final

import click
import msgspec

from pichannels.cli.common import ask_instance, common_options, json_option
from pichannels.cli.completion import complete_channels, complete_nodes
from pichannels.cli.output import complain, say
from pichannels.control.client import ControlClient

__all__ = ["tap"]

_WAIT: Final = 5.0
_LONGEST: Final = 2000


@click.command(short_help="Follow what comes to one node and leaves it.")
@click.argument("channel", shell_complete=complete_channels)
@click.option(
    "--node",
    required=True,
    metavar="NODE",
    shell_complete=complete_nodes,
    help="Its name in CHANNEL, or its full name.",
)
@click.option("--count", type=click.IntRange(1), help="End after so many messages.")
@json_option
@common_options
def tap(channel: str, node: str, count: int | None, as_json: bool) -> None:
    """Show messages as they come to NODE of CHANNEL and as they leave it, until Ctrl-C.

    At most ten each second, of a batch the first items; the channel does not wait.
    """
    name = node if node.startswith(f"{channel}.") else f"{channel}.{node}"
    with contextlib.suppress(KeyboardInterrupt):
        ask_instance(lambda client: _follow(client, name, count, as_json))


async def _follow(
    client: ControlClient, node: str, count: int | None, as_json: bool
) -> None:
    left = count
    after = (await client.command("tap", node=node))["next"]
    while left is None or left > 0:
        found = await client.command("tap", node=node, after=after, wait=_WAIT)
        after = found["next"]
        if found["missed"]:
            complain(f"-- {found['missed']:,} messages are not shown")
        for passed in found["passed"][:left]:
            _show(passed, as_json)
            left = None if left is None else left - 1
        # Who reads this from a pipe gets it at once.
        sys.stdout.flush()


def _show(passed: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say(msgspec.json.encode(passed).decode())
        return
    head = f"{passed['time']}  {passed['uuid']}  {passed['seconds'] * 1000:.3f} ms"
    say(head)
    say(f"  in   {_short(passed['came'])}")
    for left in passed["left"]:
        say(f"  out  {_short(left)}")
    if passed["more"]:
        say(f"  out  and {passed['more']:,} more")
    if passed["error"]:
        say(f"  failed: {passed['error']}")


def _short(shown: dict[str, Any]) -> str:
    payload, omitted = shown["payload"], shown["omitted"]
    if payload is None and omitted:
        return f"({omitted})"
    is_text = isinstance(payload, str)
    text = payload if is_text else msgspec.json.encode(payload).decode()
    line = " ".join(text.split())
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST - 3]}..."
    return f"{line} ({omitted})" if omitted else line
