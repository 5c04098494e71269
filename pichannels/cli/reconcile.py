"""`pichannels reconcile`: tells whether all that the archive holds was delivered."""

from __future__ import annotations

from typing import Any, Final

import click

from pichannels import clock
from pichannels.cli.common import (
    ExitCode,
    ask_instance,
    common_options,
    json_option,
)
from pichannels.cli.completion import complete_channels
from pichannels.cli.output import say, say_json, say_table
from pichannels.cli.quantities import TIME
from pichannels.control.client import ControlClient
from pichannels.coverage.reconcile import hours
from pichannels.errors import UsageError
from pichannels.values import TICKS_PER_SECOND, format_ticks, parse_ticks

__all__ = ["reconcile"]

_DAY: Final = 24 * 3600 * TICKS_PER_SECOND
_COLUMNS: Final = ("tag", "hour", "missing", "extra")
_COUNTS: Final = ("equal", "missing", "extra", "missing_events", "extra_events")
_TOLD: Final = 100


@click.command(short_help="Compare the archive with what was delivered.")
@click.argument("channel", shell_complete=complete_channels)
@click.option(
    "--tag",
    "-t",
    "tags",
    multiple=True,
    metavar="PATTERN",
    help="Only tags with this name or path; * and ? stand for others.",
)
@click.option(
    "--start",
    type=TIME,
    metavar="TIME",
    help="ISO 8601, or '*-2h'; without it a day ago.",
)
@click.option("--end", type=TIME, metavar="TIME", help="ISO 8601; without it now.")
@json_option
@common_options
@click.pass_context
def reconcile(
    ctx: click.Context,
    /,
    channel: str,
    tags: tuple[str, ...],
    start: str | None,
    end: str | None,
    as_json: bool,
) -> None:
    """Compare what the archive holds of CHANNEL's tags with what was delivered.

    Whole hours are compared, one after the other; Ctrl-C ends it after one of them. An
    hour of a tag of which an event is missing becomes a hole, and is read again.

    Exit code 1 when something was missing.
    """
    now = clock.now()
    last = now if end is None else parse_ticks(end)
    first = last - _DAY if start is None else parse_ticks(start)
    spans = hours(first, last)
    if not spans:
        raise UsageError("there is no whole hour between start and end")

    async def ask(client: ControlClient) -> dict[str, Any]:
        found = _nothing()
        for span in spans:
            _add(
                found,
                await client.command(
                    "reconcile",
                    channel=channel,
                    tags=list(tags) or ["*"],
                    start=format_ticks(span[0]),
                    end=format_ticks(span[1]),
                ),
            )
        return found

    found = ask_instance(ask)
    if as_json:
        say_json(found)
    else:
        _tell(found)
    if found["missing"]:
        ctx.exit(ExitCode.FAILED)


def _nothing() -> dict[str, Any]:
    return {**dict.fromkeys(_COUNTS, 0), "not_comparable": {}, "differences": []}


def _add(found: dict[str, Any], more: dict[str, Any]) -> None:
    for name in _COUNTS:
        found[name] += more[name]
    for why, count in more["not_comparable"].items():
        skipped = found["not_comparable"]
        skipped[why] = skipped.get(why, 0) + count
    room = _TOLD - len(found["differences"])
    found["differences"] += more["differences"][:room]


def _tell(found: dict[str, Any]) -> None:
    compared = found["equal"] + found["missing"] + found["extra"]
    say(f"{compared:,} hours of tags compared: {found['equal']:,} equal")
    if found["missing"]:
        events = f"{found['missing_events']:,} events"
        say(f"{found['missing']:,} lack {events}, and are read again")
    if found["extra"]:
        events = f"{found['extra_events']:,} events"
        say(f"{found['extra']:,} have only more: {events} that the archive has not")
    for why, count in found["not_comparable"].items():
        say(f"{count:,} not compared: {why}")
    if found["differences"]:
        say()
        say_table(
            _COLUMNS,
            (
                [one["tag"], one["start"], one["missing"], one["extra"]]
                for one in found["differences"]
            ),
        )
