"""`pichannels status`: what the running instance does."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import click

from pichannels.cli.common import (
    ask_instance,
    common_options,
    follow_instance,
    json_option,
)
from pichannels.cli.holes import holes_line
from pichannels.cli.live import size_text
from pichannels.cli.output import (
    duration,
    say,
    say_json,
    say_line,
    say_table,
    short_time,
)
from pichannels.cli.sinks import say_sinks
from pichannels.cli.terminal import Screen, is_terminal
from pichannels.control.client import ControlClient

__all__ = ["status"]

_COLUMNS: Final = {
    "name": "channel",
    "state": "state",
    "received": "in",
    "processed": "done",
    "dropped": "dropped",
    "rejected": "rejected",
    "failed": "failed",
    "unsettled": "unsettled",
}
_SERVER: Final = ("PI server", "asked", "waiting", "at most", "slowed", "429")
_SOURCES: Final = ("source", "tags", "unresolved", "open", "values", "losses")
_EVERY: Final = 1.0


@click.command(short_help="Show what the running instance does.")
@click.option("--watch", "-w", is_flag=True, help="Go on until Ctrl-C.")
@common_options
@json_option
def status(watch: bool, as_json: bool) -> None:
    """Show what the running instance does; exit code 4 when there is none.

    With --watch on a terminal the same tables as `start` has; elsewhere, and with
    --json, once a second.
    """
    if not watch:
        _show(ask_instance(_look), as_json)
        return
    follow_instance(lambda client: _watch(client, as_json))


async def _look(client: ControlClient) -> dict[str, Any]:
    await client.look()
    return await client.status()


async def _watch(client: ControlClient, as_json: bool) -> None:
    if is_terminal() and not as_json:
        with Screen() as screen:
            await screen.follow(client.status)
    while True:
        found = await client.status()
        if as_json:
            say_line(found)
        else:
            _show(found, as_json)
        await asyncio.sleep(_EVERY)


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say_json(found)
        return
    say(
        f"{found['project']} is {found['state']}, process {found['pid']},"
        f" since {short_time(found['started'])} ({duration(found['uptime'])})"
    )
    journal = found["journal"]
    if journal:
        used, budget = map(size_text, (journal["used_bytes"], journal["budget_bytes"]))
        full = "; it is full" if journal["is_full"] else ""
        say(f"journal: {used} of {budget}{full}")
    if lease := found["lease"]:
        state = "ours" if lease["is_held"] else "lost"
        say(f"lease: {lease['name']} at {lease['database']}, {state}")
    for each in found.get("troubles", []):
        say(f"not ready: {each['part']}: {each['reason']}")
    for part in ("control", "simulator"):
        if found[part]:
            say(f"{part}: {found[part]}")
    say()
    rows = ([c[name] for name in _COLUMNS] for c in found["channels"])
    say_table(list(_COLUMNS.values()), rows)
    for channel in found["channels"]:
        if reason := channel["source"].get("fell_back"):
            say(f"{channel['name']} is polled, as no websocket opens: {reason}")
    if found["sinks"]:
        say()
        say_sinks(found["sinks"])
    sources = [each for each in found["channels"] if each["source"].get("tags")]
    if sources:
        say()
        say_table(_SOURCES, map(_source_row, sources))
    for line in filter(None, map(holes_line, found["coverage"])):
        say(line)
    if found["pi_servers"]:
        say()
        say_table(_SERVER, (_server_row(each) for each in found["pi_servers"]))


def _source_row(channel: dict[str, Any]) -> list[Any]:
    source = channel["source"]
    how = " polled" if source.get("polled") else ""
    opened = f"{source.get('open', 0)} of {source.get('pi_channels', 0)}{how}"
    counts = (source.get(name, 0) for name in ("events", "losses"))
    return [
        channel["name"],
        source["tags"],
        source.get("unresolved", 0),
        opened,
        *counts,
    ]


def _server_row(server: dict[str, Any]) -> list[Any]:
    sent, waiting = (sum(server[name].values()) for name in ("sent", "waiting"))
    rate = f"{server['rate']:.0f}/s"
    return [server["name"], sent, waiting, rate, server["slowed"], server["too_many"]]
