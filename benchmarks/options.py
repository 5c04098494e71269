"""What the command passes on to the benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """`quick` runs tiny counts to see that all of it works.

    Files are written below `directory`, whose disk is what is measured.
    """

    directory: Path
    quick: bool = False
    with_peer: bool = True

    def count(self, usual: int) -> int:
        """How many to run of what is usually run `usual` times."""
        return max(usual // 200, 20) if self.quick else usual
