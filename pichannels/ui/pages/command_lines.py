"""Commands as somebody can paste them into a terminal, of the system that this is."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from typing import Final

__all__ = ["command_line"]

_PLAIN: Final = re.compile(r"[\w@+=:,./\\-]+", re.ASCII)
_BEFORE_QUOTE: Final = re.compile(r'(\\*)("|$)')


def command_line(words: Sequence[str], *, is_windows: bool = os.name == "nt") -> str:
    """The words as a shell takes them: sh, or both cmd and PowerShell on Windows."""
    if not is_windows:
        return shlex.join(words)
    return " ".join(map(_for_windows, words))


def _for_windows(word: str) -> str:
    if _PLAIN.fullmatch(word):
        return word
    # A backslash is one, but before a quotation mark.
    return f'"{_BEFORE_QUOTE.sub(_doubled, word)}"'


def _doubled(found: re.Match[str]) -> str:
    slashes, mark = found.groups()
    return f"{slashes * 2}\\{mark}" if mark else slashes * 2
