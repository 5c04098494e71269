"""`pichannels completion`, and the names that the shell completes."""

from __future__ import annotations

import asyncio
import contextlib
import io
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.shell_completion import CompletionItem, get_completion_class

from pichannels.cli.lazy import load_name
from pichannels.cli.output import say
from pichannels.control.access import read_address
from pichannels.errors import PichannelsError, UsageError
from pichannels.journal.schema import connect_reader
from pichannels.journal.search import search
from pichannels.project import Project, load
from pichannels.query import Query
from pichannels.settings_file import DATA_DIR, find_settings

if TYPE_CHECKING:
    from pichannels.control.client import ControlClient

__all__ = [
    "complete_channels",
    "complete_ids",
    "complete_nodes",
    "complete_sinks",
    "completion",
]

_SHELLS: Final = ("bash", "zsh", "fish", "powershell")
_VARIABLE: Final = "_PICHANNELS_COMPLETE"
# Imported only where a shell completes.
_CLIENT: Final = "pichannels.control.client:ControlClient"
_NEWEST: Final = 50
_PATIENCE: Final = 1.0
"""Seconds that a running instance has to answer."""


@click.command(short_help="Let the shell complete commands and names.")
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Write what makes SHELL complete commands, options and names.

    \b
    bash        eval "$(pichannels completion bash)"   in ~/.bashrc
    zsh         eval "$(pichannels completion zsh)"    in ~/.zshrc
    fish        pichannels completion fish | source    in config.fish
    powershell  pichannels completion powershell | Out-String | Invoke-Expression

    Channels, nodes and ids of messages are those of the project in the current folder,
    as it runs, or else as its settings have it.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"the installed click knows no {shell}; upgrade it to 8.4")
    with contextlib.redirect_stderr(io.StringIO()):
        text = kind(ctx.find_root().command, {}, "pichannels", _VARIABLE).source()
    say(text)


def complete_channels(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The names of channels, and of sub-channels.

    Those of the running instance, which is asked faster than settings are loaded, and
    which answers also where they are wrong by now; else those of the settings.
    """
    running = _running(ctx)
    if running is not None:
        named = ((each["name"], each["state"]) for each in running["channels"])
        return _fitting(named, incomplete)
    project = _project(ctx)
    channels = project.all_channels() if project else []
    found = ((each.name, type(each).__name__) for each in channels)
    return _fitting(found, incomplete)


def complete_nodes(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The full names of nodes, of the channel that is named already or of all."""
    project, wanted = _project(ctx), ctx.params.get("channel")
    found = (
        (node.fullpath(), type(node).__name__)
        for channel in (project.all_channels() if project else [])
        if wanted in (None, channel.name)
        for node in channel.own_nodes()
    )
    return _fitting(found, incomplete)


def complete_sinks(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The full names of sinks."""
    project = _project(ctx)
    found = (
        (node.fullpath(), type(node).__name__)
        for channel in (project.channels if project else [])
        for node in channel.nodes()
        if node.is_sink
    )
    return _fitting(found, incomplete)


def complete_ids(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The ids of the newest messages in the journal, also while an instance runs."""
    project = _project(ctx)
    if project is None:
        return []
    channel = ctx.params.get("channel")
    return _fitting(_newest(project, channel), incomplete)


def _newest(project: Project, channel: str | None) -> Iterator[tuple[str, str]]:
    path = project.data_dir / "journal.sqlite"
    query = Query.of(count=_NEWEST, order_by="-timestamp")
    try:
        with contextlib.closing(connect_reader(path)) as conn:
            for record in search(conn, channel, query):
                yield str(record.seq), f"{record.channel} {record.state}"
    except sqlite3.Error:
        return


def _project(ctx: click.Context) -> Project | None:
    """The project, or nothing: what completes must not fail, nor write."""
    silence = io.StringIO()
    try:
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            return load(ctx.find_root().meta.get("settings"))
    except PichannelsError:
        return None


def _running(ctx: click.Context) -> dict[str, Any] | None:
    """What the running instance tells of itself; None without one that answers soon."""
    try:
        file = find_settings(ctx.find_root().meta.get("settings"))
        return asyncio.run(_status(file.parent / DATA_DIR, str(file)))
    except (PichannelsError, OSError, TimeoutError):
        return None


async def _status(data_dir: Path, settings: str) -> dict[str, Any] | None:
    address = read_address(data_dir)
    if address is None or address.settings != settings:
        return None
    client: ControlClient = load_name(_CLIENT)(address)
    async with asyncio.timeout(_PATIENCE), client:
        return await client.status()


def _fitting(found: Iterable[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    return [
        CompletionItem(name, help=about)
        for name, about in found
        if name.startswith(incomplete)
    ]
