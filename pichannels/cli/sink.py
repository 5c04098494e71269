"""`pichannels sink`: the sinks, and one of them paused and resumed."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from pichannels.channels.kept_pauses import pause_sink
from pichannels.cli.common import ask, ask_instance, common_options, json_option
from pichannels.cli.completion import complete_sinks
from pichannels.cli.output import complain, say, say_json
from pichannels.cli.sinks import say_sinks
from pichannels.control.client import ControlClient
from pichannels.control.figures import sink_of
from pichannels.control.reports import sink_state
from pichannels.engine import opened_stores
from pichannels.project import Project

__all__ = ["sink"]

_name = click.argument("name", shell_complete=complete_sinks)


@click.group(short_help="Show sinks; pause and resume one.")
def sink() -> None:
    """Command one sink, a node where messages leave the project; the others go on.

    What comes for a sink that is paused waits, in the sink as far as it has room and
    then in the journal, up to its budget. It stays paused over restarts, until it is
    resumed.
    """


@sink.command("list", short_help="Show the sinks.")
@json_option
@common_options
def list_(as_json: bool) -> None:
    """Show the sinks of the running instance: what they took, and what is in flight."""
    found = ask_instance(ControlClient.status)["sinks"]
    if as_json:
        say_json(found)
    elif found:
        say_sinks(found)
    else:
        complain("the project has no sinks")


@sink.command(short_help="Let messages wait for a sink.")
@_name
@json_option
@common_options
def pause(name: str, as_json: bool) -> None:
    """Let messages wait for the sink of the full name NAME, such as `boiler.Kafka`.

    Where no instance runs, the next one starts with it paused.
    """
    _set(name, as_json, on=True)


@sink.command(short_help="Give a sink what has waited for it.")
@_name
@json_option
@common_options
def resume(name: str, as_json: bool) -> None:
    """Give the sink NAME, which is paused, what has waited for it, in order."""
    _set(name, as_json, on=False)


def _set(name: str, as_json: bool, *, on: bool) -> None:
    async def online(client: ControlClient) -> Any:
        return await client.command("pause-sink" if on else "resume-sink", sink=name)

    async def offline(project: Project) -> Any:
        channel, node = sink_of(project, name)
        async with opened_stores(project) as journal:
            channel.journal = journal
            await pause_sink(channel, node, on)
        return msgspec.structs.asdict(sink_state(node))

    found = ask(online, offline)
    if as_json:
        say_json(found)
    else:
        say(f"{found['name']}: {'paused' if found['is_paused'] else 'resumed'}")
