"""The process in which `pichannels.matching` matches a regular expression.

The input has the expression, then texts, each behind its length in 8 bytes. The output
has one byte for each: whether it could be read, and whether it was found.
"""

from __future__ import annotations

import re
import signal
import sys
from typing import BinaryIO, Final

__all__ = ["main"]

_LAST: Final = 60.0
"""Seconds after which it ends by itself, where nobody is left to end it."""


def main(given: BinaryIO, told: BinaryIO) -> None:
    """Match until the input ends."""
    pattern = re.compile(_next(given) or "")
    _tell(told, b"r")
    while (text := _next(given)) is not None:
        _alarm(_LAST)
        _tell(told, b"1" if pattern.search(text) else b"0")
        _alarm(0)


def _next(given: BinaryIO) -> str | None:
    length = given.read(8)
    if len(length) < 8:
        return None
    size = int.from_bytes(length, "big")
    return given.read(size).decode("utf-8", "surrogatepass")


def _tell(told: BinaryIO, answer: bytes) -> None:
    told.write(answer)
    told.flush()


def _alarm(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
