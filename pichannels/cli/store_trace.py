"""`pichannels store trace`: the way of a stored message through the nodes."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import click
import msgspec

from pichannels.cli.common import ask, common_options, json_option, load_project
from pichannels.cli.completion import complete_channels, complete_ids
from pichannels.cli.output import say, say_json
from pichannels.cli.store_send import store
from pichannels.control.client import ControlClient
from pichannels.control.sending import Fetch, fetch
from pichannels.engine import opened_stores
from pichannels.errors import MessageNotFound
from pichannels.message import Message
from pichannels.project import Project
from pichannels.testing.running import ProjectUnderTest
from pichannels.testing.tracing import Trace, trace as trace_message

__all__ = ["store"]

_PATIENCE: Final = 20.0
_SHOWN: Final = 200


@store.command(short_help="Show what each node makes of a stored message.")
@click.argument("channel", shell_complete=complete_channels)
@click.argument("id", shell_complete=complete_ids)
@json_option
@common_options
def trace(channel: str, id: str, as_json: bool) -> None:
    """Run the message ID of CHANNEL through its nodes once more, and show the way.

    That happens in this process: sinks are not asked and nothing is kept, but nodes
    that ask others do so.
    """
    wanted = Fetch(channel=channel, ids=[id])

    async def online(client: ControlClient) -> Any:
        return await client.command("fetch", **msgspec.structs.asdict(wanted))

    async def offline(project: Project) -> Any:
        async with opened_stores(project):
            return msgspec.to_builtins(await fetch(project, wanted))

    found = ask(online, offline)
    if not found:
        raise MessageNotFound(channel, id)
    project = load_project()
    way = asyncio.run(_traced(project, channel, Message.from_json(found[0]["message"])))
    if as_json:
        say_json(msgspec.to_builtins(way))
    else:
        _show(way)


async def _traced(project: Project, channel: str, msg: Message) -> Trace:
    async with ProjectUnderTest(project) as under_test:
        return await trace_message(under_test.get_channel(channel), msg, _PATIENCE)


def _show(way: Trace) -> None:
    for step in way.steps:
        mark = ", a sink: not asked" if step.is_sink else ""
        say(f"{step.node} ({step.kind}{mark})")
        for sign, messages in (("<-", step.inputs), ("->", step.outputs)):
            for each in messages:
                say(f"  {sign} {_short(each['payload'])}")
        if step.error:
            say(f"  !! {step.error}")
    say(f"{way.state}: {way.error}" if way.error else way.state)


def _short(payload: Any) -> str:
    text = (
        payload if isinstance(payload, str) else msgspec.json.encode(payload).decode()
    )
    return " ".join(text.split())[:_SHOWN]
