"""Names of temporary files."""

from __future__ import annotations

import os
from tempfile import mkstemp

__all__ = ["mktempfname"]


def mktempfname(suffix: str = "", prefix: str = "tmp", dir: str | None = None) -> str:
    """The name of a new and empty file; who asks for it deletes it."""
    number, name = mkstemp(suffix, prefix, dir)
    os.close(number)
    return name
