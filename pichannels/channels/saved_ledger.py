"""What the journal has of a channel's ledger, and by which names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pichannels.channels.tags import Stream
from pichannels.manifest import ManifestEntry, decode_manifest

__all__ = ["LIVE", "entries_in", "in_flight", "ledger_key", "ledger_namespace"]

LIVE: Final = frozenset({"live", "late", "correction", "delete"})
"""The lanes of what PI channels give."""


def ledger_key(stream: Stream) -> str:
    """What a ledger calls a tag: what outlives a rename."""
    return stream.key


def ledger_namespace(channel: str) -> str:
    """Where the journal keeps the ledger of a channel."""
    return f"coverage:{channel}"


def entries_in(manifest: bytes | None) -> list[ManifestEntry]:
    """The tags and times of a message, as its row in the journal has them."""
    return [] if manifest is None else decode_manifest(manifest)


def in_flight(
    unsettled: Iterable[tuple[int, str, bytes | None]], keys: Mapping[str, str]
) -> list[tuple[int, list[ManifestEntry]]]:
    """The messages of PI channels among those that are not settled.

    Args:
        unsettled: number, lane and manifest of each message.
        keys: what the ledger calls tags, by WebID.
    """
    return [
        (seq, _renamed(entries_in(manifest), keys))
        for seq, lane, manifest in unsettled
        if lane in LIVE
    ]


def _renamed(
    entries: Iterable[ManifestEntry], keys: Mapping[str, str]
) -> list[ManifestEntry]:
    return [
        ManifestEntry(keys[e.key], e.first, e.last, e.count)
        for e in entries
        if e.key in keys
    ]
