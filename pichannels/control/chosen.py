"""Which dead letters somebody means."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from pichannels.control.failure_groups import failure_of
from pichannels.journal import Record

__all__ = ["GROUPED", "Chosen", "Grouped", "Listed"]

GROUPED: Final = 10_000
"""Dead letters that are looked through at most."""


class Chosen(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters are meant.

    Attributes:
        channel: of this one; of all channels when empty.
        ids: only these; nothing else goes with them.
        node: only what failed there (full path, or the end of it).
        error: only where the cause contains this.
        group: only those of this group; see `FailureGroup`.
        start, end: of messages made at or after, and before (ISO 8601).
    """

    channel: str | None = None
    ids: list[str] | None = None
    node: str | None = None
    error: str | None = None
    group: str | None = None
    start: str | None = None
    end: str | None = None

    @property
    def is_all(self) -> bool:
        """Whether nothing but a channel is asked for."""
        return not (self.ids or self.conditions)

    @property
    def conditions(self) -> list[str]:
        """All that is asked for beside a channel and ids."""
        all_of_them = (self.node, self.error, self.group, self.start, self.end)
        return [each for each in all_of_them if each]

    def fits(self, record: Record) -> bool:
        """Whether a dead letter is one of those that are meant."""
        facts = record.meta
        at = str(facts.get("node", ""))
        if self.node and at != self.node and not at.endswith(f".{self.node}"):
            return False
        if self.group and failure_of(record).id != self.group:
            return False
        return not self.error or self.error in str(facts.get("err_msg", ""))


class Listed(Chosen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of dead letters, the newest first.

    Attributes:
        skip: how many come before the page.
        count: how many at most.
    """

    skip: int = 0
    count: int = 20


class Grouped(Chosen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters to look through, the newest `count` of them.

    Attributes:
        count: how many at most.
    """

    count: Annotated[int, msgspec.Meta(ge=1, le=GROUPED)] = GROUPED
