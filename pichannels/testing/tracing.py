"""The way of one message through the nodes: what each got, and what it gave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from pichannels import clock, codecs
from pichannels.errors import CodecError
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.testing.replays import Replay
from pichannels.testing.running import ChannelUnderTest

__all__ = ["Trace", "TraceStep", "trace"]

_MOST: Final = 50
"""Messages that are kept of what one node gets or gives."""


class TraceStep(msgspec.Struct, frozen=True, kw_only=True):
    """One node on the way.

    Attributes:
        node: its full name.
        kind: the name of its class.
        is_sink: whether messages leave the project there; it was not asked then.
        at: seconds after the message went in when it first got one.
        inputs, outputs: `content_type`, `meta` and `payload` of each.
        error: why it failed, or "".
    """

    node: str
    kind: str
    is_sink: bool
    at: float
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    error: str = ""


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """The way of a message.

    Attributes:
        channel: its full name.
        state: what became of the message.
        error: why, or "".
        steps: the nodes that it came to, in this order.
    """

    channel: str
    state: str
    error: str
    steps: list[TraceStep]


async def trace(channel: ChannelUnderTest, msg: Message, timeout: float) -> Trace:
    """Run a message through a channel that has not started, and follow it.

    Sinks are not asked and not started: they pass on what they get.

    Args:
        timeout: seconds until it is settled.

    Raises:
        UsageError: it was not settled in time.
    """
    began = clock.monotonic()
    inputs: dict[str, list[tuple[float, dict[str, Any]]]] = {}
    nodes = {node.fullpath(): node for node in channel.channel.nodes()}
    for path, node in nodes.items():
        noted = inputs[path] = []
        output = _passed_on if node.is_sink else None
        node.mock(input=_noting(noted, began), output=output)
    played = await Replay(channel, [msg], timeout=timeout)
    outcome = played.outcomes[0]
    error = "" if outcome.error is None else str(outcome.error)
    reached = sorted(
        (path for path in nodes if inputs[path]), key=lambda path: inputs[path][0][0]
    )
    return Trace(
        channel=channel.name,
        state=str(outcome.state),
        error=error,
        steps=[
            _step(
                nodes[path],
                inputs[path],
                played.outputs(path),
                error if path == outcome.node else "",
            )
            for path in reached
        ],
    )


def _noting(
    noted: list[tuple[float, dict[str, Any]]], began: float
) -> Callable[[Message], Message]:
    def note(msg: Message) -> Message:
        if len(noted) < _MOST:
            noted.append((clock.monotonic() - began, _shown(msg)))
        return msg

    return note


def _passed_on(msg: Message) -> Message:
    return msg


def _step(
    node: BaseNode,
    inputs: list[tuple[float, dict[str, Any]]],
    outputs: list[Message],
    error: str,
) -> TraceStep:
    return TraceStep(
        node=node.fullpath(),
        kind=type(node).__name__,
        is_sink=node.is_sink,
        at=round(inputs[0][0], 6),
        inputs=[shown for _, shown in inputs],
        outputs=[_shown(msg) for msg in outputs[:_MOST]],
        error=error,
    )


def _shown(msg: Message) -> dict[str, Any]:
    values = {
        "content_type": msg.content_type,
        "meta": msg.meta,
        "payload": msg.payload,
    }
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    try:
        return msgspec.json.decode(codecs.encode_json(value))
    except CodecError:
        return repr(value)
