"""Single messages as they come to a node, and as they leave it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from pichannels import clock, codecs
from pichannels.channels.chain import Chain
from pichannels.channels.followed import Follower
from pichannels.errors import CodecError
from pichannels.message import Message
from pichannels.node import Step

__all__ = ["Passage", "shown_of", "tap_once"]

_OUTPUTS: Final = 5
"""How many of the messages that a node gives for one are shown."""
_SAMPLES: Final = 20
"""How many items of a batch are shown."""
_LARGEST: Final = 64 * 1024
"""Characters of what is shown whole: what is cut could not be masked any more."""


class Passage(NamedTuple):
    """One message at a node.

    Attributes:
        ticks: when it came.
        uuid: of the message.
        came: what came; see `shown_of`.
        left: what left, the first of it.
        more: how much more left.
        seconds: how long the node worked.
        error: what it raised, or None.
        cost: seconds that it took to write this down.
    """

    ticks: int
    uuid: str
    came: dict[str, Any]
    left: list[dict[str, Any]]
    more: int
    seconds: float
    error: BaseException | None
    cost: float


def shown_of(msg: Message) -> dict[str, Any]:
    """A message as plain data: `content_type`, `meta`, `payload`, and `omitted`.

    Of a batch the first items; `omitted` says what is left out, or "".
    """
    payload, omitted = _payload(msg.payload)
    meta, more = _plain(msg.meta)
    return {
        "content_type": msg.content_type,
        "meta": meta,
        "payload": payload,
        "omitted": omitted or more,
    }


def _payload(payload: Any) -> tuple[Any, str]:
    if isinstance(payload, bytes):
        try:
            payload = payload.decode()
        except UnicodeDecodeError:
            return None, f"{len(payload):,} bytes"
    if isinstance(payload, str):
        is_short = len(payload) <= _LARGEST
        return (payload, "") if is_short else (None, f"{len(payload):,} characters")
    if not isinstance(payload, list) or len(payload) <= _SAMPLES:
        return _plain(payload)
    found, omitted = _plain(payload[:_SAMPLES])
    return found, omitted or f"{len(payload) - _SAMPLES:,} more items"


def _plain(value: Any) -> tuple[Any, str]:
    try:
        text = codecs.encode_json(value)
    except CodecError as exc:
        return None, str(exc)
    if len(text) > _LARGEST:
        return None, f"{len(text):,} characters"
    return msgspec.json.decode(text), ""


def tap_once(chain: Chain, position: int, take: Callable[[Passage], None]) -> None:
    """Tell of the next message at a step of a chain, when it has left it."""
    chain.once(position, partial(_tapped, take))


def _tapped(take: Callable[[Passage], None], call: Step) -> Step:
    def step(msg: Message) -> Any:
        work = _Work(msg, take)
        return Follower(work, work.gave, to_the_end=False).call(call, msg)

    return step


class _Work:
    """What a node makes of one message, written down as it is made."""

    def __init__(self, msg: Message, take: Callable[[Passage], None]) -> None:
        self._take = take
        self._ticks = clock.now()
        self._uuid = msg.uuid
        self._left: list[dict[str, Any]] = []
        self._more = 0
        self._seconds = self._cost = 0.0
        # The node may change it.
        self._came = self._shown(msg)

    def _shown(self, msg: Message) -> dict[str, Any]:
        began = clock.monotonic()
        found = shown_of(msg)
        self._cost += clock.monotonic() - began
        return found

    def enter(self) -> float:
        return clock.monotonic()

    def leave(self, entered: float) -> None:
        self._seconds += clock.monotonic() - entered

    def gave(self, msg: Message) -> None:
        """A message left the node."""
        if len(self._left) < _OUTPUTS:
            self._left.append(self._shown(msg))
        else:
            self._more += 1

    def end(self, error: BaseException | None = None) -> None:
        self._take(
            Passage(
                self._ticks,
                self._uuid,
                self._came,
                self._left,
                self._more,
                self._seconds,
                error,
                self._cost,
            )
        )
