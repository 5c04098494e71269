"""Patterns that name tags."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import translate

from pichannels.values import Tag

__all__ = ["matcher"]


def matcher(patterns: Sequence[str]) -> Callable[[Tag], bool]:
    """Whether a tag matches one of the patterns, whatever the case.

    A pattern with a backslash is compared with the path, others with the name.
    """
    by_path = _compiled(pattern for pattern in patterns if "\\" in pattern)
    by_name = _compiled(pattern for pattern in patterns if "\\" not in pattern)

    def matches(tag: Tag) -> bool:
        return any(p.match(tag.name) for p in by_name) or any(
            p.match(tag.path) for p in by_path
        )

    return matches


def _compiled(patterns: Iterable[str]) -> list[re.Pattern[str]]:
    return [re.compile(translate(pattern), re.IGNORECASE) for pattern in patterns]
