"""The HTTP API: routes over what the pages use in their own process."""

from __future__ import annotations

__all__: list[str] = []
