"""`pichannels channel`: start, stop, pause and resume one channel."""

from __future__ import annotations

from typing import Any

import click

from pichannels.channels import BaseChannel
from pichannels.cli.common import ask, ask_instance, common_options, json_option
from pichannels.cli.completion import complete_channels
from pichannels.cli.output import say, say_json
from pichannels.control.client import ControlClient
from pichannels.engine import opened_stores
from pichannels.project import Project

__all__ = ["channel"]

_name = click.argument("name", shell_complete=complete_channels)


@click.group(short_help="Start, stop, pause and resume one channel.")
def channel() -> None:
    """Command one channel of the running instance; the others go on.

    A channel that is paused receives and stores, and processes nothing. It stays
    paused over restarts, until it is resumed. One that is stopped does not receive
    either, and starts again with the instance.
    """


@channel.command(short_help="Start a channel that is stopped.")
@_name
@json_option
@common_options
def start(name: str, as_json: bool) -> None:
    """Start the channel NAME, which is stopped."""
    _command("start", name, as_json)


@channel.command(short_help="Stop a channel.")
@_name
@json_option
@common_options
def stop(name: str, as_json: bool) -> None:
    """Let the channel NAME receive nothing more, and finish what is in flight.

    What is not finished in time runs again at its next start.
    """
    _command("stop", name, as_json)


@channel.command(short_help="Stop a channel, and start it again.")
@_name
@json_option
@common_options
def restart(name: str, as_json: bool) -> None:
    """Stop the channel NAME as `stop` does, and start it again."""
    _command("restart", name, as_json)


@channel.command(short_help="Receive and store, but process nothing.")
@_name
@json_option
@common_options
def pause(name: str, as_json: bool) -> None:
    """Let the channel NAME store what it receives, and process nothing.

    It stays so, also over restarts, until it is resumed. Where no instance runs, the
    next one starts it paused.
    """
    _pause_or_resume("pause", name, as_json)


@channel.command(short_help="Process what was stored, and go on.")
@_name
@json_option
@common_options
def resume(name: str, as_json: bool) -> None:
    """Let the channel NAME, which is paused, process what it has stored, and go on."""
    _pause_or_resume("resume", name, as_json)


def _command(what: str, name: str, as_json: bool) -> None:
    async def online(client: ControlClient) -> Any:
        return await client.command(f"{what}-channel", channel=name)

    _tell(ask_instance(online), as_json)


def _pause_or_resume(what: str, name: str, as_json: bool) -> None:
    async def online(client: ControlClient) -> Any:
        return await client.command(f"{what}-channel", channel=name)

    async def offline(project: Project) -> Any:
        found: BaseChannel = project.channel(name)
        async with opened_stores(project) as journal:
            found.journal = journal
            await (found.pause() if what == "pause" else found.resume())
            unsettled = journal.count_unsettled(name)
        return {"name": name, "state": f"{what}d", "unsettled": unsettled}

    _tell(ask(online, offline), as_json)


def _tell(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say_json(report)
        return
    waiting = f", {report['unsettled']:,} stored" if report["unsettled"] else ""
    say(f"{report['name']}: {report['state']}{waiting}")
