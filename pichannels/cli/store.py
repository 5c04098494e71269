"""`pichannels store`: look into the message stores, and care for the journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from pichannels.cli.common import (
    ExitCode,
    ask,
    common_options,
    json_option,
)
from pichannels.cli.completion import complete_channels, complete_ids, complete_nodes
from pichannels.cli.output import complain, say, say_json, say_table
from pichannels.cli.quantities import made_options
from pichannels.cli.shown import say_message
from pichannels.control import history
from pichannels.control.client import ControlClient
from pichannels.control.fitting import MOST
from pichannels.control.walking import Search, walk
from pichannels.engine import opened_stores
from pichannels.errors import JournalError
from pichannels.journal.schema import connect_reader
from pichannels.journal.upkeep import find_problems
from pichannels.project import Project
from pichannels.store import State

__all__ = ["store"]

_SHOWN: Final = 48


@click.group(short_help="Look into the message stores; back up and verify.")
def store() -> None:
    """Look into the message stores, with or without a running instance.

    `backup` and `verify` are for the journal, which also holds the messages of
    stores that share it.
    """


@store.command("list", short_help="Show the stores and how much they hold.")
@json_option
@common_options
def list_(as_json: bool) -> None:
    """Show which channels keep their messages, and how many there are."""

    async def online(client: ControlClient) -> Any:
        return await client.command("stores")

    async def offline(project: Project) -> Any:
        async with opened_stores(project):
            return await history.stores(project)

    found = ask(online, offline)
    if as_json:
        say_json(found)
    elif not found:
        complain("no channel keeps its messages: none has a message store")
    else:
        columns = ("channel", "store", "messages")
        say_table(columns, ([row[name] for name in columns] for row in found))


@store.command(short_help="Show one message whole.")
@click.argument("id", shell_complete=complete_ids)
@click.option(
    "--channel",
    "-c",
    metavar="NAME",
    shell_complete=complete_channels,
    help="In the store of this channel.",
)
@json_option
@common_options
def show(id: str, channel: str | None, as_json: bool) -> None:
    """Show the message with this ID: its payload, meta, and what became of it."""

    async def online(client: ControlClient) -> Any:
        return await client.command("show", id=id, channel=channel)

    async def offline(project: Project) -> Any:
        async with opened_stores(project):
            return await history.show(project, id, channel)

    found = ask(online, offline)
    if as_json:
        say_json(found)
        return
    say(f"{found['channel']} {found['id']}: {found['state']}")
    for name, value in found["outcome"].items():
        say(f"{name}: {value}")
    say_message(found["message"])


@store.command(short_help="Find messages.")
@click.argument("text", required=False)
@click.option(
    "--channel",
    "-c",
    metavar="NAME",
    shell_complete=complete_channels,
    help="Only messages of this channel.",
)
@made_options
@click.option(
    "--state",
    type=click.Choice([str(state) for state in State]),
    help="Only messages in this state.",
)
@click.option("--lane", help="Only of this lane, such as live, repair or replay.")
@click.option(
    "--node",
    metavar="NAME",
    shell_complete=complete_nodes,
    help="Only what failed, or was dropped, at this node.",
)
@click.option("--error", metavar="TEXT", help="Only where the error contains this.")
@click.option("--error-class", metavar="NAME", help="Such as ValueError.")
@click.option("--attempts", type=click.IntRange(0), help="Tried so often at least.")
@click.option("--tag", help="Only with events of this tag: its name, path or WebID.")
@click.option("--event-id", metavar="ID", help="Only with the event of this id.")
@click.option("--uuid", help="Only the message that logs and sinks call so.")
@click.option("--meta", metavar="NAME[=VALUE]", help="Only with this in the meta.")
@click.option("--regex", help="Only where this is found in the payload.")
@click.option("--json-path", metavar="PATH", help="Only with a value at this path.")
@click.option("--json-value", metavar="TEXT", help="What the value at the path is.")
@click.option("--skip", default=0, type=click.IntRange(0), help="Leave out the first.")
@click.option(
    "--count",
    default=20,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Show at most so many.",
)
@click.option("--oldest-first", is_flag=True, help="Otherwise the newest come first.")
@json_option
@common_options
def search(skip: int, count: int, as_json: bool, **conditions: Any) -> None:
    """Find messages, by default the newest; with TEXT those that contain it."""
    wanted = Search(**conditions)

    async def online(client: ControlClient) -> Any:
        async def page(asked: Search) -> Any:
            return await client.command("search", **msgspec.structs.asdict(asked))

        return await _search(page, wanted, skip, count)

    async def offline(project: Project) -> Any:
        async def page(asked: Search) -> Any:
            return msgspec.structs.asdict(await walk(project, asked))

        async with opened_stores(project):
            return await _search(page, wanted, skip, count)

    found, missing = ask(online, offline)
    for each in missing:
        complain(f"not searched: {each}")
    if as_json:
        say_json(found)
        return
    if not found:
        complain("no messages fit")
        return
    columns = ("id", "channel", "state", "timestamp", "payload", "error")
    for row in found:
        row["payload"] = _line(row["payload"])
        row["error"] = _line(row["error"])
    say_table(columns, ([row[name] for name in columns] for row in found))


async def _search(
    page: Callable[[Search], Awaitable[Any]], wanted: Search, skip: int, count: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """So many of the messages that fit, and which stores could not be read."""
    found: list[dict[str, Any]] = []
    missing: dict[str, None] = {}
    cursor: str | None = None
    while len(found) < count:
        some = min(skip + count - len(found), MOST)
        part = await page(msgspec.structs.replace(wanted, count=some, cursor=cursor))
        missing |= dict.fromkeys(part["missing"])
        found += part["messages"][skip:]
        skip = max(0, skip - len(part["messages"]))
        cursor = part["next"]
        if cursor is None:
            break
    return found, list(missing)


def _line(text: str) -> str:
    """A part of the text that fits into a table."""
    short = " ".join(text.split())
    return short if len(short) <= _SHOWN else f"{short[: _SHOWN - 3]}..."


@store.command(short_help="Copy the journal to a new file.")
@click.argument("target", type=click.Path(path_type=Path))
@json_option
@common_options
def backup(target: Path, as_json: bool) -> None:
    """Copy the journal, as it is now, to the new file TARGET."""
    path = target.absolute()

    async def online(client: ControlClient) -> Any:
        return await client.command("backup", path=str(path))

    async def offline(project: Project) -> Any:
        async with opened_stores(project) as journal:
            return await history.back_up(journal, path)

    found = ask(online, offline)
    if as_json:
        say_json(found)
    else:
        say(f"{found['path']}: {found['bytes']:,} bytes")


@store.command(short_help="Read the whole journal and tell what is wrong.")
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A backup to verify instead of the project's journal.",
)
@json_option
@common_options
@click.pass_context
def verify(ctx: click.Context, file: Path | None, as_json: bool) -> None:
    """Read the whole journal, or a backup of it, and tell what is wrong.

    Exit code 1 when something is.
    """

    async def online(client: ControlClient) -> Any:
        return (await client.command("verify"))["problems"]

    async def offline(project: Project) -> Any:
        async with opened_stores(project) as journal:
            return await journal.verify()

    if file is None:
        problems = ask(online, offline)
    else:
        problems = _problems_of(file)
    if as_json:
        say_json({"ok": not problems, "problems": problems})
    elif not problems:
        say("all is well")
    for problem in () if as_json else problems:
        complain(problem)
    if problems:
        ctx.exit(ExitCode.FAILED)


def _problems_of(file: Path) -> list[str]:
    try:
        conn = connect_reader(file)
        try:
            return find_problems(conn)
        finally:
            conn.close()
    except sqlite3.Error as exc:
        raise JournalError(f"{file} cannot be read: {exc}") from exc
