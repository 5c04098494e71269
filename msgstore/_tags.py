"""Which tags a message is about, for the tag indexes of stores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pichannels.errors import DecodeError
from pichannels.manifest import ManifestEntry
from pichannels.message import Message
from pichannels.piwebasync.parsing import (
    ChannelMessage,
    manifest,
    parse_array,
    parse_channel,
)
from pichannels.values import Sample, Tag

__all__ = ["tag_entries", "tags_of"]


def tag_entries(msg: Message) -> list[ManifestEntry]:
    """The tags of a message of PI, and of a payload of samples; else none.

    The key of a tag is its WebID, or else its key, path or name.
    """
    payload: Any = msg.payload
    if isinstance(msg.parsed, ChannelMessage):
        return manifest(msg.parsed)
    if isinstance(payload, bytes):
        return _parsed(payload) if "server" in msg.meta else []
    if isinstance(payload, Sample):
        payload = [payload]
    if not isinstance(payload, list | tuple) or not payload:
        return []
    return _of_samples(one for one in payload if isinstance(one, Sample))


def tags_of(msg: Message) -> tuple[str, ...]:
    """The keys of the tags of a message; see `tag_entries`."""
    return tuple(entry.key for entry in tag_entries(msg))


def _parsed(payload: bytes) -> list[ManifestEntry]:
    try:
        together = parse_array(payload) if payload[:1] == b"[" else None
        return manifest(together or parse_channel(payload))
    except DecodeError:
        return []


def _of_samples(samples: Iterable[Sample]) -> list[ManifestEntry]:
    found: dict[str, list[int]] = {}
    for sample in samples:
        run = found.setdefault(_key(sample.tag), [sample.ticks, sample.ticks, 0])
        run[0], run[1] = min(run[0], sample.ticks), max(run[1], sample.ticks)
        run[2] += 1
    return [ManifestEntry(key, *run) for key, run in found.items()]


def _key(tag: Tag) -> str:
    return tag.web_id or tag.key or tag.path or tag.name
