"""What `Map` makes of fields; see `nodes.mapping`."""

from __future__ import annotations

from nodes.mapping import JoinMapItem, MapItem

__all__ = ["JoinMapItem", "MapItem"]
