"""What is odd in settings: the codes of the rules, and where they do not count."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from pichannels.errors import nearest

__all__ = ["LINT_CODES", "Ignored", "unknown_code"]

LINT_CODES: Final = {
    "PC101": "unused branch",
    "PC102": "numeric sink that may get system states",
    "PC103": "secret in clear",
    "PC104": "unreachable node",
}
"""The rules of `check --strict` by their codes."""


class Ignored(msgspec.Struct, frozen=True):
    """A part of a YAML file in which some rules do not count.

    Attributes:
        codes: of the rules.
        name: the full name of the channel or branch.
        file: where it is.
        path: the keys that lead to it there.
    """

    codes: Collection[str]
    name: str
    file: str
    path: str

    def covers(self, code: str, where: str, what: str) -> bool:
        """Whether a finding is about this part, and does not count."""
        if code not in self.codes:
            return False
        is_here = where.rpartition(":")[0] == self.file and what.startswith(
            (f"{self.path}.", f"{self.path}[")
        )
        return is_here or what == self.name or what.startswith(f"{self.name}.")


def unknown_code(code: str) -> str:
    """What to say of a code that no rule has."""
    known = ", ".join(LINT_CODES)
    return f"there is no rule {code!r}{nearest(code, LINT_CODES)}; there are: {known}"
