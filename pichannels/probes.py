"""What is found when the other side of a channel or node is looked at; plain."""

from __future__ import annotations

import msgspec

__all__ = ["Finding"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        ok: whether it is as it should be.
        what: what was looked at, in a word or two.
        text: what was found, and what to do where it is wrong.
    """

    ok: bool
    what: str
    text: str
