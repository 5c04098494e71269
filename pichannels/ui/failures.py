"""Dead letters of a journal, read for a bounded time: a page of them, and groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from pichannels import clock
from pichannels.control.chosen import Chosen, Grouped, Listed
from pichannels.control.failure_groups import FailureGroup, FailureGroups, failure_of
from pichannels.control.masking import Mask
from pichannels.control.mutes import NAMESPACE, judge, read_mutes
from pichannels.errors import JournalError, UsageError
from pichannels.journal.reader import read_all_saved
from pichannels.journal.records import Record
from pichannels.ui.content import facts_of, row_of
from pichannels.ui.reading import Timed
from pichannels.ui.searching import MessagesWanted, search_journal

__all__ = [
    "GroupsFound",
    "LettersFound",
    "LettersWanted",
    "groups_in",
    "hidden_group",
    "letters_in",
]

_MOST: Final = 1000
_PAGE: Final = 500


class GroupsFound(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters that are alike.

    Attributes:
        groups: the largest first.
        scanned: how many dead letters were looked at, the newest first.
        complete: False where there are more than were looked at.
    """

    groups: list[FailureGroup]
    scanned: int
    complete: bool = True


class LettersWanted(Listed, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of dead letters; the first one, or that behind another.

    Attributes:
        cursor: `next` of the page before.
    """

    cursor: str | None = None


class LettersFound(NamedTuple):
    """A page of dead letters.

    Attributes:
        letters: as `DeadRow` tells them.
        next: the cursor of the next page, or None.
        is_complete: False where the time was over before the page was full; `next`
            goes on.
    """

    letters: list[dict[str, Any]]
    next: str | None = None
    is_complete: bool = True


def letters_in(timed: Timed, wanted: LettersWanted, mask: Mask | None) -> LettersFound:
    """A page of dead letters, the newest first.

    Raises:
        UsageError: a condition is not of its kind.
        JournalError: so many cannot be left out in the time for one search.
    """
    if wanted.skip < 0 or not 0 < wanted.count <= _MOST:
        raise UsageError(f"skip is 0 or more, count 1 to {_MOST}")
    left, found = wanted.skip, list[Record]()
    for page in _pages(timed, wanted, mask, wanted.cursor):
        # What is left out is not kept, as there may be very many.
        left, some = max(0, left - len(page.records)), page.records[left:]
        found += some[: wanted.count + 1 - len(found)]
        if len(found) > wanted.count:
            last = found[wanted.count - 1]
            shown = [_letter(each, mask) for each in found[: wanted.count]]
            return LettersFound(shown, f"{last.ticks}.{last.seq}")
    if left and not page.is_last:
        raise JournalError(f"it takes too long to leave {wanted.skip} out; give an end")
    shown = [_letter(each, mask) for each in found]
    return LettersFound(shown, page.next, page.is_last)


def groups_in(timed: Timed, wanted: Grouped, mask: Mask | None) -> GroupsFound:
    """Groups of dead letters.

    Raises:
        UsageError: a condition is not of its kind.
    """
    groups = FailureGroups()
    is_complete = True
    for page in _pages(timed, wanted, mask):
        room = wanted.count - groups.scanned
        groups.take(page.records[:room])
        if timed.is_over or len(page.records) > room:
            is_complete = False
            break
    found = groups.groups()
    judge(found, read_mutes(read_all_saved(timed.conn, NAMESPACE)), clock.now())
    return GroupsFound(
        groups=[hidden_group(group, mask) for group in found],
        scanned=groups.scanned,
        complete=is_complete,
    )


def hidden_group(group: FailureGroup, mask: Mask | None) -> FailureGroup:
    """A group without what is hidden: what an exception says may quote the payload."""
    message = None if mask is None else mask.applied(group.message)
    return msgspec.structs.replace(group, message=message)


class _Page(NamedTuple):
    records: list[Record]
    next: str | None

    @property
    def is_last(self) -> bool:
        return self.next is None


def _pages(
    timed: Timed, wanted: Chosen, mask: Mask | None, cursor: str | None = None
) -> Iterator[_Page]:
    search = MessagesWanted(
        channel=wanted.channel,
        start=wanted.start,
        end=wanted.end,
        state="error",
        node=wanted.node or None,
        error=wanted.error or None,
        count=_PAGE,
        cursor=cursor,
    )
    while True:
        page = search_journal(timed, search, mask)
        records = [each for each in page.records if _is_of(each, wanted.group)]
        yield _Page(records, page.next)
        if page.next is None or timed.is_over:
            return
        search = msgspec.structs.replace(search, cursor=page.next)


def _is_of(record: Record, group: str | None) -> bool:
    return not group or failure_of(record).id == group


def _letter(record: Record, mask: Mask | None) -> dict[str, Any]:
    row, facts = row_of(record, mask, with_values=True), facts_of(record)
    is_part = "part_of" in facts
    return {
        "id": row.id,
        "channel": row.channel,
        "timestamp": row.timestamp,
        "uuid": row.uuid,
        "lane": row.lane,
        "node": row.node,
        "error": None if mask is None else row.error,
        "attempts": row.attempts,
        "samples": facts.get("sample_error_count", 0) if is_part else None,
        "payload": row.payload,
    }
