"""How hard the tests try.

`PROOFS=full`, as in continuous integration, takes the lengths and counts that proofs
are meant to have; `make test` alone takes shorter ones, which can fail all the same.
"""

from __future__ import annotations

import os
from typing import Final, TypeVar

__all__ = ["FULL", "either"]

FULL: Final = os.environ.get("PROOFS") == "full"

Number = TypeVar("Number", int, float)


def either(full: Number, short: Number) -> Number:
    """The one that is meant now."""
    return full if FULL else short
