"""`pichannels store export`, `import` and `prune`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from pichannels.cli.common import ask, common_options, json_option
from pichannels.cli.completion import complete_channels
from pichannels.cli.linking import Target, linked, run, target_options
from pichannels.cli.output import say, say_json
from pichannels.cli.quantities import AGE, SIZE, made_options
from pichannels.cli.store import store
from pichannels.control import keeping
from pichannels.control.client import ControlClient
from pichannels.control.keeping import Export, Import, Prune
from pichannels.engine import opened_stores
from pichannels.errors import UsageError
from pichannels.exporting import write_parts
from pichannels.project import Project
from pichannels.remote import EntityStream
from pichannels.remote_config import STORES
from pichannels.store import State

__all__ = ["import_file", "store"]

_LINES: Final = 500
_FINAL: Final = [str(state) for state in State if state.is_final]


@store.command("export", short_help="Write the messages of a channel to a file.")
@click.argument("channel", shell_complete=complete_channels)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@made_options
@click.option(
    "--state",
    type=click.Choice([str(state) for state in State]),
    help="Only messages in this state.",
)
@click.option("--text", help="Only where the payload contains this.")
@click.option("--regex", help="Only where this is found in the payload.")
@click.option("--replace", is_flag=True, help="Also where FILE exists.")
@json_option
@target_options
@common_options
def export_(
    channel: str, file: Path, target: Target, as_json: bool, **conditions: Any
) -> None:
    """Write the messages of CHANNEL, oldest first, to FILE.

    One line of JSON each (.jsonl), compressed where the name ends in .gz. Tests
    replay such files, and `store import` takes them. With --url it is a channel of
    another instance, over the network; FILE is here.
    """
    wanted = Export(channel=channel, path=str(file.absolute()), **conditions)
    if target.url is not None:
        return _tell_export(file, run(_export_from(target, wanted)), as_json)

    async def offline(project: Project) -> Any:
        async with opened_stores(project):
            return await keeping.export_messages(project, wanted)

    _tell_export(file, _ask("export", wanted, offline), as_json)


def _tell_export(file: Path, found: Any, as_json: bool) -> None:
    if as_json:
        say_json(found)
    else:
        say(f"{file}: {found['exported']:,} messages")


async def _export_from(target: Target, wanted: Export) -> dict[str, int]:
    """The messages of a channel of another instance, which sends the lines."""
    path = Path(wanted.path)
    if not wanted.replace and await asyncio.to_thread(path.exists):
        raise UsageError(f"{path} exists; name a new file, or replace it")
    conditions = {
        name: getattr(wanted, name) for name in ("start", "end", "state", "text")
    }
    conditions["regex"] = wanted.regex
    async with linked(target) as link:
        stores = link.service(STORES)
        ref = await stores.export(wanted.channel, conditions)
        async with link.entities(ref) as stream:
            return {"exported": await write_parts(path, _received(stream))}


async def _received(stream: EntityStream) -> AsyncIterator[Sequence[str]]:
    while lines := await stream.receive(_LINES):
        yield lines


@store.command("import", short_help="Store the messages of a file.")
@click.argument("channel", shell_complete=complete_channels)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@common_options
def import_(channel: str, file: Path, as_json: bool) -> None:
    """Keep the messages of FILE in the store of CHANNEL, settled as they were.

    They are not processed; `replay` does that.
    """
    found = import_file(channel, file)
    if as_json:
        say_json(found)
    else:
        say(f"{channel}: {found['imported']:,} messages")


@store.command(short_help="Delete settled messages.")
@click.option(
    "--channel",
    "-c",
    metavar="NAME",
    shell_complete=complete_channels,
    help="Only messages of this channel.",
)
@click.option(
    "--age",
    type=AGE,
    help="Those older than this, such as 30d or 12h.",
)
@click.option(
    "--size",
    type=SIZE,
    help="The oldest of each store, until the rest takes no more, such as 2GiB.",
)
@click.option(
    "--state", type=click.Choice(_FINAL), help="Only messages in this state, by age."
)
@click.option("--dry-run", is_flag=True, help="Only count the messages.")
@json_option
@common_options
def prune(
    channel: str | None,
    age: float | None,
    size: float | None,
    state: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Delete settled messages by age, size and state; others always stay.

    Retention does this by itself, all the time, as the settings say.
    """
    wanted = Prune(
        channel=channel,
        age=age,
        size=None if size is None else int(size),
        state=state,
        dry_run=dry_run,
    )

    async def offline(project: Project) -> Any:
        async with opened_stores(project):
            return await keeping.prune(project, wanted)

    found = _ask("prune", wanted, offline)
    if as_json:
        say_json(found)
        return
    done = "would be deleted" if dry_run else "deleted"
    for row in found:
        say(f"{row['channel']}: {row['messages']:,} messages {done}")


def import_file(channel: str, file: Path) -> Any:
    """Keep the messages of a file in the store of a channel: what the command says."""
    wanted = Import(channel=channel, path=str(file.absolute()))

    async def offline(project: Project) -> Any:
        async with opened_stores(project):
            return await keeping.import_messages(project, wanted)

    return _ask("import", wanted, offline)


def _ask(name: str, wanted: msgspec.Struct, offline: Any) -> Any:
    async def online(client: ControlClient) -> Any:
        return await client.command(name, **msgspec.structs.asdict(wanted))

    return ask(online, offline)
