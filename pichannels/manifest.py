"""What a message says about tags, in brief: stored beside it and indexed.

A manifest is made once, where the message was parsed; the ledger and the tag
index read only this and never the payload.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from pichannels.errors import CodecError
from pichannels.values import Sample

__all__ = ["ManifestEntry", "decode_manifest", "encode_manifest", "sample_entries"]


class ManifestEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One tag of a message.

    Attributes:
        key: of the tag: what outlives renames, or its WebID.
        first, last: the earliest and the latest event, in ticks.
        count: how many events.
    """

    key: str
    first: int
    last: int
    count: int


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[ManifestEntry])


def sample_entries(samples: Iterable[object]) -> list[ManifestEntry]:
    """One entry for each tag of samples, by its WebID, else its path or name.

    What is no sample is left out.
    """
    found: dict[str, list[int]] = {}
    for sample in samples:
        if type(sample) is not Sample:
            continue
        tag, at = sample.tag, sample.ticks
        key = tag.web_id or tag.path or tag.name
        row = found.get(key)
        if row is None:
            found[key] = [at, at, 1]
        else:
            row[:] = min(row[0], at), max(row[1], at), row[2] + 1
    return [ManifestEntry(key, *row) for key, row in found.items()]


def encode_manifest(entries: Iterable[ManifestEntry]) -> bytes:
    """MessagePack of the entries: a list of [key, first, last, count]."""
    return _ENCODER.encode(list(entries))


def decode_manifest(data: bytes) -> list[ManifestEntry]:
    """The entries that `encode_manifest` wrote.

    Raises:
        CodecError: the bytes are no manifest.
    """
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise CodecError(f"this is no manifest: {exc}") from exc
