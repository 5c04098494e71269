"""How values become bytes on a topic, and values again."""

from __future__ import annotations

from pichannels.formats.codec import (
    ICodec,
    JsonCodec,
    MessagePackCodec,
    decoded,
    encoded,
)

__all__ = ["ICodec", "JsonCodec", "MessagePackCodec", "decoded", "encoded"]
