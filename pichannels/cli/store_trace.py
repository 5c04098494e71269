"""`pichannels store trace` and `test`: a stored message once more through the nodes."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import click
import msgspec

from pichannels.cli.common import ask, common_options, json_option, load_project
from pichannels.cli.completion import complete_channels, complete_ids
from pichannels.cli.output import readable, say, say_json
from pichannels.cli.store_send import store
from pichannels.control.client import ControlClient
from pichannels.control.sending import Fetch, fetch
from pichannels.control.tapped import plain_text, samples_in
from pichannels.engine import opened_stores
from pichannels.errors import MessageNotFound
from pichannels.message import Message
from pichannels.project import Project
from pichannels.testing.golden import TestFiles, save_as_test
from pichannels.testing.running import ProjectUnderTest
from pichannels.testing.tracing import Trace, trace as trace_message

__all__ = ["store"]

_PATIENCE: Final = 20.0
_SHOWN: Final = 200
_SAMPLES: Final = 3


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
    msg = _fetched(channel, id)
    way = asyncio.run(_traced(load_project(), channel, msg))
    if as_json:
        say_json(msgspec.to_builtins(way))
    else:
        _show(way)


@store.command(short_help="Write a test from a stored message.")
@click.argument("channel", shell_complete=complete_channels)
@click.argument("id", shell_complete=complete_ids)
@click.option("--replace", is_flag=True, help="Write files anew that exist.")
@json_option
@common_options
def test(channel: str, id: str, replace: bool, as_json: bool) -> None:
    """Write a test that asks for what becomes of the message ID of CHANNEL now.

    The message runs through the nodes in this process, as with `trace`. The test, the
    message and what came out are in the folder `tests` beside the settings.
    """
    msg = _fetched(channel, id)
    found = asyncio.run(_saved(load_project(), channel, msg, id, replace))
    if as_json:
        say_json(msgspec.to_builtins(found))
    else:
        say(f"{found.test} asks for: {found.state}")


def _fetched(channel: str, id: str) -> Message:
    """The stored message.

    Raises:
        MessageNotFound: there is none.
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
    return Message.from_json(found[0]["message"])


async def _traced(project: Project, channel: str, msg: Message) -> Trace:
    async with ProjectUnderTest(project) as under_test:
        return await trace_message(under_test.get_channel(channel), msg, _PATIENCE)


async def _saved(
    project: Project, channel: str, msg: Message, id: str, replace: bool
) -> TestFiles:
    async with ProjectUnderTest(project) as under_test:
        found = under_test.get_channel(channel)
        return await save_as_test(found, msg, id, replace=replace, timeout=_PATIENCE)


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
    found = samples_in(payload)
    if found:
        shown = "; ".join(" ".join(readable(each).split()) for each in found[:_SAMPLES])
        payload = f"{len(found):,} samples: {shown}"
    line = " ".join(plain_text(payload).split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 3]}..."
