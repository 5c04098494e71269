"""The table of commands and routes has all commands, and only routes that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from pichannels.cli import cli
from pichannels.ui.app import DECLARED
from pichannels.ui.guard import API

TEXT = (Path(__file__).parents[2] / "docs/api.md").read_text("utf-8")
TABLE = TEXT.partition("## Commands and their routes")[2].partition("\n## ")[0]
ROWS = [line.split(" | ", 1) for line in TABLE.splitlines() if line.startswith("| `")]


def commands(group: click.Group, name: str = "") -> Iterator[str]:
    """All commands by their words."""
    context = click.Context(group)
    for word in group.list_commands(context):
        found = group.get_command(context, word)
        if isinstance(found, click.Group):
            yield from commands(found, f"{name}{word} ")
            if found.invoke_without_command:
                yield f"{name}{word}"
        else:
            yield f"{name}{word}"


def routes(text: str) -> Iterator[str]:
    """Routes that a text names, as they are declared but for the names in them."""
    for method, path in re.findall(r"`(GET|POST|PATCH|DELETE) (\S+)`", text):
        whole = path if path.startswith("/") else f"/instances/INSTANCE/{path}"
        yield f"{method} {API}{re.sub(r'[A-Z]+', '{}', whole)}"


def declared() -> set[str]:
    return {f"{each.method} {re.sub(r'{[^}]+}', '{}', each.path)}" for each in DECLARED}


def test_each_command_says_by_which_route_it_is_done() -> None:
    named = [name for row in ROWS for name in re.findall(r"`([^`]+)`", row[0])]
    assert sorted(named) == sorted(commands(cli))


def test_the_routes_of_commands_exist() -> None:
    named = {route for row in ROWS for route in routes(row[1])}
    assert named - declared() == set()
    assert len(named) > 40


def test_commands_with_routes_of_their_own_leave_out_none() -> None:
    """What changes something is a command, or only pages and programs have it."""
    pages = {
        f"POST {API}/session",
        f"DELETE {API}/session",
        f"DELETE {API}/sessions",
        f"POST {API}/searches",
        f"DELETE {API}/searches/{{}}",
        *(
            f"POST {API}/operations/{{}}/{what}"
            for what in ("cancel", "resume", "repeat")
        ),
        f"POST {API}/instances/{{}}/channels/{{}}/messages",
        f"POST {API}/instances/{{}}/settings/versions/{{}}/apply",
        f"POST {API}/instances/{{}}/stop",
    }
    named = {route for row in ROWS for route in routes(row[1])}
    changing = {route for route in declared() if not route.startswith("GET")}
    assert changing - named == pages
