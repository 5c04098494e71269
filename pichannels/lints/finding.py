"""What a rule finds."""

from __future__ import annotations

import msgspec

__all__ = ["Finding"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that is odd.

    Attributes:
        code: of the rule.
        where: file and line, where they are known, else the settings file.
        what: the channel, branch, node or key that it is about.
        text: what is odd, and what to do.
    """

    code: str
    where: str
    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.code} {self.what}: {self.text}"
