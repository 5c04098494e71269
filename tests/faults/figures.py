"""How long a run of the suite is, its seed, and what it shows."""

from __future__ import annotations

import os
import random
from typing import Any, Final

import msgspec

__all__ = ["BUDGET", "Figures", "seed_of"]

BUDGET: Final = float(os.environ.get("FAULTS_SECONDS") or 0)
"""Seconds that all scenarios together may take; 0 is the short form."""
_SEED: Final = os.environ.get("FAULTS_SEED") or str(random.randrange(2**32))


def seed_of(name: str) -> str:
    """The seed of a scenario: the same for the same `FAULTS_SEED`."""
    return f"{_SEED}/{name}"


class Figures(msgspec.Struct, kw_only=True):
    """What a scenario has shown."""

    name: str
    seconds: float
    faults: int
    accepted: int
    delivered: int
    duplicates: int
    again: int
    aside: int
    peak: int
    outage: float
    whole_after: float
    wrong: list[str]
    notes: dict[str, Any]
