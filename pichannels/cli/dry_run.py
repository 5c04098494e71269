"""`start --dry-run`: everything but the sinks, which show what they would get."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from pichannels.cli.output import readable, say
from pichannels.control.client import CommandFailed, NoInstance, connect
from pichannels.engine import Engine
from pichannels.errors import NotConnected
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.project import Project
from pichannels.values import Sample

__all__ = ["rehearsed"]

_SHOWN: Final = 3
_LONGEST: Final = 200


@contextmanager
def rehearsed(project: Project) -> Iterator[Engine]:
    """An engine that keeps nothing and gives nothing away.

    Its journal is in a temporary folder, the message stores are left out, and the
    sinks are never started. Where an instance runs its simulator serves both.
    """
    for channel in project.all_channels():
        channel.message_store_factory = channel.message_store = None
    for node in (node for each in project.channels for node in each.nodes()):
        if node.is_sink:
            node.mock(output=partial(_show, node))
    # It stands beside the one that has the lease, and gives nothing away.
    project.config = msgspec.structs.replace(project.config, lease=None)
    needs_simulator = not asyncio.run(_has_simulator(project.data_dir))
    with tempfile.TemporaryDirectory(prefix="pichannels-") as folder:
        say("dry run: sinks show what they would get, and nothing is kept")
        yield Engine(
            project,
            data_dir=Path(folder),
            control=False,
            simulator=needs_simulator,
        )


async def _has_simulator(data_dir: Path) -> bool:
    try:
        async with await connect(data_dir) as client:
            return bool((await client.status())["simulator"])
    except (NoInstance, NotConnected, CommandFailed):
        return False


def _show(node: BaseNode, msg: Message) -> Message:
    payload = msg.payload
    if not isinstance(payload, list) or not all(isinstance(s, Sample) for s in payload):
        text = payload.decode(errors="replace") if isinstance(payload, bytes) else None
        shown = str(payload) if text is None else text
        say(f"{node.fullpath()} <- {' '.join(shown[:_LONGEST].split())}")
        return msg
    say(f"{node.fullpath()} <- {len(payload)} samples")
    for sample in payload[:_SHOWN]:
        say(f"    {readable(sample)}")
    if len(payload) > _SHOWN:
        say(f"    and {len(payload) - _SHOWN} more")
    return msg
