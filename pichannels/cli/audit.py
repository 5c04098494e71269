"""`pichannels audit`: who did what, when, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any, Final

import click

from pichannels.cli.common import common_options, json_option, load_project
from pichannels.cli.output import complain, say_line, say_table, short_time
from pichannels.cli.quantities import TIME
from pichannels.cli.ui import folder_of
from pichannels.control.audit import Audit, Entry
from pichannels.values import parse_ticks

__all__ = ["audit"]

_COLUMNS: Final = ("time", "who", "action", "with", "result", "told")
_FILE: Final = "audit.sqlite"
_ASKED: Final = "asked"
_TOLD: Final = ("failed", "refused")
_SHOWN: Final = 60


@click.command(short_help="Show who did what.")
@click.option("--user", metavar="NAME", help="Only what this user did.")
@click.option("--action", metavar="NAME", help="Only this action, such as replay.")
@click.option(
    "--start",
    type=TIME,
    metavar="TIME",
    help="Done at this time or later: ISO 8601, or '*-2h'.",
)
@click.option("--end", type=TIME, metavar="TIME", help="Done before this time.")
@click.option(
    "--count",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="So many actions, at most.",
)
@json_option
@common_options
def audit(
    user: str | None,
    action: str | None,
    start: str | None,
    end: str | None,
    count: int,
    as_json: bool,
) -> None:
    """Show who did what to the instance, and what came of it, the newest first.

    By commands, by the pages and by the API; with and without a running instance.
    """
    path = folder_of(load_project()) / _FILE
    found: list[Entry] = []
    if path.exists():
        with closing(Audit(path)) as log:
            # Each action is there before it is done, and again with its result.
            page = log.find(
                user=user,
                action=action,
                start=None if start is None else parse_ticks(start),
                end=None if end is None else parse_ticks(end),
                count=2 * count,
            )
        found = list(_ended(page.entries))[:count]
    if as_json:
        for entry in found:
            say_line(entry)
    elif found:
        say_table(_COLUMNS, map(_row, found))
    else:
        complain("nothing was done that fits")


def _ended(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Actions with their results; those alone that have none are as they were asked."""
    over: Counter[Any] = Counter()
    for entry in entries:
        what = (entry.user, entry.way, entry.instance, entry.action, entry.arguments)
        if entry.result != _ASKED:
            over[what] += 1
        elif over[what]:
            over[what] -= 1
            continue
        yield entry


def _row(entry: Entry) -> list[str]:
    told = _line(entry.detail) if entry.result in _TOLD else ""
    given = "" if entry.arguments == "{}" else _line(entry.arguments)
    who = f"{entry.user} ({entry.way})"
    return [short_time(entry.time), who, entry.action, given, entry.result, told]


def _line(text: str) -> str:
    short = " ".join(text.split())
    return short if len(short) <= _SHOWN else f"{short[: _SHOWN - 3]}..."
