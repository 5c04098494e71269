"""From the frames of a PI channel to messages with manifests; pure.

Each frame is parsed once, here. Frames that wait together become one message: its
payload is the JSON array of them, and what was parsed goes along for the decoder to
take over. A frame that cannot be understood becomes a message of its own, so that it
costs nothing but itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from pichannels.errors import DecodeError
from pichannels.manifest import encode_manifest
from pichannels.message import Message
from pichannels.piwebasync.parsing import (
    ChannelMessage,
    manifest,
    parse_array,
    parse_channel,
)

__all__ = ["Given", "Initial", "Intake", "Received", "part_of"]

JSON: Final = "application/json"


class Received(NamedTuple):
    """One message and what the journal has to know of it."""

    message: Message
    manifest: bytes | None


class Initial(list[bytes]):
    """Frames with which a connection begins: current values, which may be old."""


class Given(NamedTuple):
    """What was handed over.

    Attributes:
        events: how many there were in it, but for current values.
        is_understood: whether all of it was.
    """

    events: int
    is_understood: bool


class Intake:
    """Makes messages of frames.

    Args:
        server: the configured name of the logical server, for `meta["server"]`.
        by_path: what decodes is told to know tags by their paths.
    """

    def __init__(self, server: str, *, by_path: bool = False) -> None:
        self._meta = {"server": server} | ({"keys": "path"} if by_path else {})
        self.frames = 0
        self.heartbeats = 0
        self.events = 0
        self.undecodable = 0

    def messages(self, frames: Sequence[bytes]) -> list[Received]:
        """The messages of frames that waited together; heartbeats make none."""
        self.frames += len(frames)
        if len(frames) > 1:
            joined = b"[" + b",".join(frames) + b"]"
            together = parse_array(joined, len(frames))
            if together is not None:
                return self._received(joined, together)
        return [received for frame in frames for received in self._alone(frame)]

    def _alone(self, frame: bytes) -> list[Received]:
        try:
            return self._received(frame, parse_channel(frame))
        except DecodeError:
            self.undecodable += 1
            return [Received(self._new(frame), None)]

    def _received(self, payload: bytes, parsed: ChannelMessage) -> list[Received]:
        entries = manifest(parsed)
        if parsed.is_heartbeat:
            self.heartbeats += 1
            return []
        self.events += len(parsed.ticks)
        msg = self._new(payload)
        msg.parsed = parsed
        return [Received(msg, encode_manifest(entries))]

    def _new(self, payload: bytes) -> Message:
        return Message(JSON, payload, self._meta.copy())


def part_of(msg: Message, payload: bytes) -> Received:
    """A message with a part of what another one has.

    Raises:
        DecodeError: the payload is nothing that a PI channel gives.
    """
    parsed = parse_array(payload) if payload.startswith(b"[") else None
    if parsed is None:
        parsed = parse_channel(payload)
    part = Message(JSON, payload, msg.meta.copy())
    part.parsed = parsed
    return Received(part, encode_manifest(manifest(parsed)))
