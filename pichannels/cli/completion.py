"""`pichannels completion`, and the names that the shell completes."""

from __future__ import annotations

import contextlib
import io
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Final

import click
from click.shell_completion import CompletionItem, get_completion_class

from pichannels.cli.output import say
from pichannels.errors import PichannelsError, UsageError
from pichannels.journal.schema import connect_reader
from pichannels.journal.search import search
from pichannels.project import Project, load
from pichannels.query import Query

__all__ = ["complete_channels", "complete_ids", "completion"]

_SHELLS: Final = ("bash", "zsh", "fish", "powershell")
_VARIABLE: Final = "_PICHANNELS_COMPLETE"
_NEWEST: Final = 50


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

    Channels and ids of messages are those of the project in the current folder.
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
    """The names of channels, and of sub-channels."""
    project = _project(ctx)
    channels = project.all_channels() if project else []
    found = ((each.name, type(each).__name__) for each in channels)
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


def _fitting(found: Iterable[tuple[str, str]], incomplete: str) -> list[CompletionItem]:
    return [
        CompletionItem(name, help=about)
        for name, about in found
        if name.startswith(incomplete)
    ]
