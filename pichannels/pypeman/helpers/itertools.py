"""Lists in lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["flatten"]


def flatten(items: Iterable[Any]) -> Iterator[Any]:
    """The items of lists and tuples, however deep they are."""
    for item in items:
        if isinstance(item, list | tuple):
            yield from flatten(item)
        else:
            yield item
