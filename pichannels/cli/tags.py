"""`pichannels tags`: what a channel receives from PI, looked at and changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Final

import click

from pichannels.cli.common import (
    ExitCode,
    ask_instance,
    common_options,
    json_option,
)
from pichannels.cli.completion import complete_channels
from pichannels.cli.output import complain, say, say_json, say_table
from pichannels.control.client import ControlClient

__all__ = ["tags"]

_COLUMNS: Final = ("tag", "state", "WebID")


@click.command(short_help="Show or change the tags of a running PI channel.")
@click.argument("channel", shell_complete=complete_channels)
@click.option("--add", multiple=True, metavar="TAG", help="Receive this one, too.")
@click.option(
    "--remove", multiple=True, metavar="TAG", help="Receive this one no longer."
)
@click.option(
    "--refresh", is_flag=True, help="Look for matches of filters and searches now."
)
@json_option
@common_options
@click.pass_context
def tags(
    ctx: click.Context,
    /,
    channel: str,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    refresh: bool,
    as_json: bool,
) -> None:
    """Show what CHANNEL receives, with the state of each tag, or change it.

    Tags are those of the settings: names, name filters, paths, AF searches. Changes
    make no gap in the other tags. They live until the instance ends or the channel is
    made anew by a reload: the settings are not written.

    Exit code 1 when a tag that is added is not found.
    """

    async def ask(client: ControlClient) -> dict[str, Any]:
        found: dict[str, Any] = await client.command(
            "tags",
            channel=channel,
            add=list(add),
            remove=list(remove),
            refresh=refresh,
        )
        return found

    found = ask_instance(ask)
    if as_json:
        say_json(found)
    else:
        _tell(found["streams"], add if add or remove else None)
    unresolved = {one["tag"] for one in found["streams"] if not one["web_id"]}
    missing = [tag for tag in add if tag in unresolved]
    if missing:
        complain(f"not found: {', '.join(missing)}; they are looked for again")
        ctx.exit(ExitCode.FAILED)


def _tell(streams: list[dict[str, Any]], added: Sequence[str] | None) -> None:
    shown = streams
    if added is not None:
        # What is new would be lost among thousands that are as they were.
        shown = [one for one in streams if _is_one_of(one["tag"], added)]
    if shown:
        say_table(_COLUMNS, (_row(stream) for stream in shown))
    counts = Counter(stream["state"] for stream in streams)
    counts += Counter(stream["mark"] for stream in streams if stream["mark"])
    told = ", ".join(f"{count:,} {state}" for state, count in counts.items())
    noun = "tag" if len(streams) == 1 else "tags"
    say(f"{len(streams):,} {noun}: {told}" if told else "no tags are known yet")


def _is_one_of(tag: str, patterns: Sequence[str]) -> bool:
    names = {tag.lower(), tag.rpartition("\\")[2].lower()}
    return any(fnmatchcase(n, p.lower()) for n in names for p in patterns)


def _row(stream: dict[str, Any]) -> list[str]:
    reason = stream["reason"]
    state = f"{stream['state']}: {reason}" if reason else stream["state"]
    if mark := stream["mark"]:
        since = stream["mark_since"]
        state += f", {mark} since {since}" if since else f", {mark}"
    return [stream["tag"], state, stream["web_id"]]
