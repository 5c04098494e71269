"""`pichannels log`: the last lines of the log of the running instance."""

from __future__ import annotations

import sys
from typing import Any, Final

import click
import msgspec

from pichannels.cli.common import (
    ask_instance,
    common_options,
    follow_instance,
    json_option,
)
from pichannels.cli.completion import complete_channels
from pichannels.cli.output import complain, say, say_line, short_time
from pichannels.control.client import ControlClient
from pichannels.loglines import KEPT, LogLine, LogPage

__all__ = ["log"]

_LEVELS: Final = ("debug", "info", "warning", "error", "critical")
_WAIT: Final = 5.0
_PARTS: Final = (
    ("level", " of level {} and above"),
    ("channel", " of channel {!r}"),
    ("message_id", " of message {}"),
    ("text", " with {!r}"),
)


@click.command(short_help="Show the last lines of the log.")
@click.option(
    "--level",
    type=click.Choice(_LEVELS, case_sensitive=False),
    help="Only lines of this level and above.",
)
@click.option(
    "--channel",
    metavar="NAME",
    shell_complete=complete_channels,
    help="Only lines of this channel and of its sub-channels.",
)
@click.option("--message", metavar="UUID", help="Only lines of this message.")
@click.option("--text", metavar="TEXT", help="Only lines with this in them.")
@click.option(
    "--count",
    type=click.IntRange(1, KEPT),
    default=50,
    show_default=True,
    help="So many lines, at most.",
)
@click.option("--follow", "-f", is_flag=True, help="Go on with lines as they come.")
@json_option
@common_options
def log(
    level: str | None,
    channel: str | None,
    message: str | None,
    text: str | None,
    count: int,
    follow: bool,
    as_json: bool,
) -> None:
    """Show the last lines of the log of the running instance, wherever else it goes.

    The instance keeps its last 2,000 lines, of the levels that LOGGING lets through.
    """
    wanted = {
        "level": level and level.upper(),
        "channel": channel,
        "message_id": message,
        "text": text,
    }

    async def online(client: ControlClient) -> None:
        asked: dict[str, Any] = {**wanted, "count": count}
        page = _page(await client.command("log", **asked))
        _tell(page, as_json)
        if not page.lines:
            complain(_nothing(page, wanted))
        while follow:
            asked = {**wanted, "after": page.last, "count": KEPT, "wait": _WAIT}
            page = _page(await client.command("log", **asked))
            _tell(page, as_json)
            # Who reads this from a pipe gets it at once.
            sys.stdout.flush()

    (follow_instance if follow else ask_instance)(online)


def _page(found: Any) -> LogPage:
    return msgspec.convert(found, LogPage)


def _nothing(page: LogPage, wanted: dict[str, Any]) -> str:
    """Why nothing is shown."""
    if not page.kept:
        return "no lines: nothing has been logged yet"
    parts = [text.format(wanted[name]) for name, text in _PARTS if wanted[name]]
    since = f"{page.kept:,} lines are kept, since {short_time(page.since)}"
    found = f"no lines{''.join(parts)}; {since}"
    message = wanted["message_id"] or ""
    if message.isdecimal():
        found += f"; the UUID of that message: pichannels store show {message}"
    return found


def _tell(page: LogPage, as_json: bool) -> None:
    if page.lost:
        complain(f"{page.lost:,} lines are no longer kept")
    for line in page.lines:
        if as_json:
            say_line(line)
        else:
            say(_text(line))


def _text(line: LogLine) -> str:
    text, *others = line.text.split("\n")
    shown = f"{short_time(line.time)} {line.level:<7} {line.logger}: {text}"
    named = {"channel": line.channel, "node": line.node, "message": line.message_id}
    told = " ".join(f"{name}={value}" for name, value in named.items() if value)
    whole = f"{shown} [{told}]" if told else shown
    whole = "\n    ".join([whole, *others])
    return f"{whole}\n{line.stack}" if line.stack else whole
