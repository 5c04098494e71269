"""Names with `*` and `?`, as people write them where several are meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

__all__ = ["matching"]


def matching(patterns: Iterable[str]) -> Callable[[str], object]:
    """What fits one of the names, in which `*` and `?` stand for others.

    Capitals do not matter. The function that is returned gives something true for a
    name that fits.
    """
    parts = (
        "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in name)
        for name in patterns
    )
    return re.compile("|".join(parts), re.IGNORECASE | re.DOTALL).fullmatch
