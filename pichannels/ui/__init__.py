"""The pages and the API, in a process of their own beside the instances."""

from __future__ import annotations

__all__: list[str] = []
