"""`pichannels status`: what the running instance does."""

from __future__ import annotations

import click

from pichannels.cli.common import ask_instance, common_options, json_option
from pichannels.cli.output import say, say_json, say_table
from pichannels.control.client import ControlClient

__all__ = ["status"]

_COLUMNS = ("name", "state", "received", "processed", "dropped", "rejected")
_MORE = ("failed", "in_memory", "unsettled")


@click.command(short_help="Show what the running instance does.")
@common_options
@json_option
def status(as_json: bool) -> None:
    """Show what the running instance does; exit code 4 when there is none."""
    found = ask_instance(ControlClient.status)
    if as_json:
        say_json(found)
        return
    say(
        f"{found['project']} is {found['state']}, process {found['pid']},"
        f" since {found['started']}"
    )
    journal = found["journal"]
    if journal:
        full = "; it is full" if journal["is_full"] else ""
        say(f"journal: {journal['used_bytes']:,} bytes{full}")
    for part in ("control", "simulator"):
        if found[part]:
            say(f"{part}: {found[part]}")
    columns = [*_COLUMNS, *_MORE]
    headings = [column.replace("_", " ") for column in columns]
    say_table(headings, ([c[name] for name in columns] for c in found["channels"]))
