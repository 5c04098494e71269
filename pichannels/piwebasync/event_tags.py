"""The tag that a stream of PI stands for, as its events are identified by it; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pichannels.errors import DecodeError
from pichannels.piwebasync import webids
from pichannels.piwebasync.assets import attribute_name
from pichannels.piwebasync.timed_values import StreamEvents
from pichannels.values import Tag

__all__ = ["key_in", "name_from_meta", "tag_of_stream"]


def tag_of_stream(stream: StreamEvents, server: str, *, by_path: bool = False) -> Tag:
    """A tag of what a message says of a stream.

    Args:
        server: the configured name of the logical server.
        by_path: whether the tag is known by its path: the ids of points differ
            between the members of a server.
    """
    return Tag(
        # By its name alone an attribute would be one of many.
        attribute_name(stream.path)
        or stream.name
        or stream.path.rpartition("\\")[2]
        or stream.web_id,
        stream.path,
        stream.web_id,
        server,
        stream.path if by_path else key_in(stream.web_id),
        stream.units_abbreviation or "",
    )


def key_in(web_id: str) -> str:
    """What outlives a rename: the number of a point, the GUIDs of an attribute.

    An attribute is told by its element too, as elements of one template share it. Empty
    where the WebID tells neither.
    """
    try:
        found = webids.decode(web_id)
    except DecodeError:
        return ""
    if found.kind == "DP" and found.ids:
        return str(found.ids[-1])
    if found.kind == "Ab" and len(found.ids) >= 2:
        return "/".join(map(str, found.ids[-2:]))
    return ""


def name_from_meta(stream: StreamEvents, meta: Mapping[str, Any]) -> None:
    """Name a stream that its document does not name, as the message does."""
    stream.web_id = str(meta.get("web_id") or "")
    stream.path = str(meta.get("path") or "")
    stream.name = str(meta.get("tag") or "")
