"""Files that somebody has open, which Windows lets nobody replace or delete.

A virus scanner, a backup, or a reader of our own holds a file for a moment; a
spreadsheet for hours. Elsewhere nothing of this happens, and all here does what its
namesake in `os` does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final, TypeVar

from pichannels import clock

__all__ = ["is_held", "patiently", "remove", "replace"]

T = TypeVar("T")

StrPath = str | os.PathLike[str]

_SHARING: Final = (32, 33)
"""What Windows tells of a file that is open, or locked, elsewhere."""
_DENIED: Final = 5
"""The same of one that is to be replaced; and what it tells where there is no right."""
_PATIENCE: Final = 1.0
_PAUSE: Final = 0.02


def replace(source: StrPath, target: StrPath) -> None:
    """`os.replace`, tried for a second where somebody has one of the files open.

    Raises:
        OSError: it is not possible.
    """
    patiently(lambda: os.replace(source, target))


def remove(path: StrPath) -> None:
    """`os.unlink` of a file that need not be there, tried for a second as well.

    Raises:
        OSError: it is not possible.
    """
    try:
        patiently(lambda: os.unlink(path))
    except FileNotFoundError:
        return


def patiently(action: Callable[[], T], seconds: float = _PATIENCE) -> T:
    """What it gives; it is tried again where Windows refuses it. Blocks meanwhile.

    Raises:
        OSError: it is still refused, or fails otherwise.
    """
    end = clock.monotonic() + seconds
    while True:
        try:
            return action()
        except PermissionError as exc:
            is_final = getattr(exc, "winerror", None) not in (_DENIED, *_SHARING)
            if is_final or clock.monotonic() >= end:
                raise
        time.sleep(_PAUSE)


def is_held(error: OSError) -> bool:
    """Whether it is because somebody has the file open, which time heals."""
    code = getattr(error, "winerror", None)
    if code is None and os.name == "nt" and isinstance(error, PermissionError):
        return _cannot_move(error.filename)
    return code in _SHARING or (code == _DENIED and _is_file(error.filename2))


def _is_file(target: object) -> bool:
    # What is to take its place was made beside it, so that there is the right to.
    return isinstance(target, str | os.PathLike) and os.path.isfile(target)


def _cannot_move(path: object) -> bool:
    """What `open` does not tell of a file: whether somebody else has it open."""
    if not isinstance(path, str | os.PathLike):
        return False
    try:
        os.rename(path, path)
    except OSError as exc:
        return getattr(exc, "winerror", None) in _SHARING
    return False
