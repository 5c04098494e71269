"""`pichannels store send`: stored messages to another channel or instance."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from pichannels.cli.common import ask, common_options, data_dir_of, json_option
from pichannels.cli.completion import complete_channels
from pichannels.cli.options import TOKEN_VARIABLE
from pichannels.cli.output import say, say_json
from pichannels.cli.quantities import made_options
from pichannels.cli.store_pypeman import store
from pichannels.control.access import Address
from pichannels.control.client import ControlClient, connect
from pichannels.control.commands import run_command
from pichannels.control.sending import Commands, Fetch, fetch, send_messages
from pichannels.engine import Engine, opened_stores
from pichannels.errors import UsageError
from pichannels.project import Project
from pichannels.store import State

__all__ = ["store"]


@store.command(short_help="Give stored messages to another channel or instance.")
@click.argument("channel", shell_complete=complete_channels)
@click.argument("target", shell_complete=complete_channels)
@click.argument("ids", nargs=-1)
@click.option(
    "--to",
    metavar="PLACE",
    help="Another instance: the folder or settings of its project, or the URL of its"
    f" control server, whose token {TOKEN_VARIABLE} has.",
)
@made_options
@click.option(
    "--state",
    type=click.Choice([str(state) for state in State]),
    help="Only messages in this state.",
)
@click.option("--text", help="Only where the payload contains this.")
@click.option("--regex", help="Only where this is found in the payload.")
@json_option
@common_options
def send(
    channel: str,
    target: str,
    ids: tuple[str, ...],
    to: str | None,
    as_json: bool,
    **conditions: Any,
) -> None:
    """Let TARGET accept the messages that CHANNEL keeps: those with these IDS, or all.

    Each is a new message that says which one it repeats. It is durable in the journal
    of the instance that has TARGET, and processed in its turn. Another instance has to
    run; here the channels run without their sources where none does.
    """
    wanted = Fetch(channel=channel, ids=list(ids) or None, **conditions)

    async def online(client: ControlClient) -> int:
        async with _target(to, client.command) as command:
            return await send_messages(client.command, wanted, command, target)

    async def offline(project: Project) -> int:
        async with _offline(project, to) as own, _target(to, own) as command:
            return await send_messages(own, wanted, command, target)

    sent = ask(online, offline)
    if as_json:
        say_json({"sent": sent})
    else:
        say(f"{target}: {sent:,} messages")


@asynccontextmanager
async def _target(to: str | None, own: Commands) -> AsyncIterator[Commands]:
    """The commands of the instance that takes the messages."""
    if to is None:
        yield own
        return
    if "://" in to:
        token = os.environ.get(TOKEN_VARIABLE)
        if not token:
            raise UsageError(f"set {TOKEN_VARIABLE} to the token of {to}")
        client = ControlClient(Address(to.rstrip("/"), token, 0))
    else:
        client = await connect(data_dir_of(Path(to)))
    async with client:
        yield client.command


@asynccontextmanager
async def _offline(project: Project, to: str | None) -> AsyncIterator[Commands]:
    """The commands of a project that does not run."""
    if to is not None:
        async with opened_stores(project):

            async def read(name: str, **arguments: Any) -> Any:
                found = await fetch(project, msgspec.convert(arguments, Fetch))
                return msgspec.to_builtins(found)

            yield read
        return
    async with Engine(project, control=False, simulator=False, sources=False) as engine:

        async def command(name: str, **arguments: Any) -> Any:
            found = await run_command(engine, name, msgspec.json.encode(arguments))
            return msgspec.json.decode(found)

        yield command
        for each in project.channels:
            await each.drain()
