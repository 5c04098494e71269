"""Brings the dead letters of a ledger in line with those in the journal.

The ledger is saved a moment after a message is set aside, redriven or discarded: a
crash may come between, and without an instance nobody tells it at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from pichannels.coverage.ledger import Ledger
from pichannels.errors import CodecError
from pichannels.journal import Journal, Record
from pichannels.manifest import ManifestEntry, sample_entries
from pichannels.states import State

__all__ = ["entries_of", "note_letters", "under_keys", "what_failed"]

logger: Final = logging.getLogger("pichannels.channels.pi")

_PAGE: Final = 200


async def note_letters(
    journal: Journal,
    channel: str,
    ledger: Ledger,
    key_of: Callable[[str], str | None],
    now: int,
) -> None:
    """Let a ledger know each dead letter that there is, and no other.

    Args:
        journal: where they are.
        channel: whose.
        ledger: of that channel.
        key_of: what it calls the tag of a WebID.
        now: when they count as noticed that it does not know, ticks.

    Raises:
        JournalError: the journal cannot be read.
    """
    gone, after = set(ledger.dead.messages), None
    while page := await journal.search(
        channel, count=_PAGE, state=State.ERROR, after=after
    ):
        after = page[-1].position
        gone.difference_update(record.seq for record in page)
        for record in page:
            try:
                entries = under_keys(what_failed(record), key_of)
            except CodecError as exc:
                logger.error("%s: %d: %s", channel, record.seq, exc)
            else:
                ledger.failed(record.seq, entries, now)
    for seq in sorted(gone):
        _over(ledger, seq, await journal.get(channel, seq))


def _over(ledger: Ledger, seq: int, record: Record | None) -> None:
    """What was a dead letter is none any more."""
    if record is None or "discarded" in record.meta:
        ledger.discarded(seq)
    elif record.state.is_final:
        # It is settled, or another one took its place, which is known by itself.
        ledger.redriven(seq)


def under_keys(
    entries: Iterable[ManifestEntry], key_of: Callable[[str], str | None]
) -> list[ManifestEntry]:
    """The entries under the keys of a ledger, without those of other tags."""
    found = ((key_of(entry.key), entry) for entry in entries)
    return [
        ManifestEntry(key, entry.first, entry.last, entry.count)
        for key, entry in found
        if key is not None
    ]


def what_failed(record: Record) -> list[ManifestEntry]:
    """What a dead letter holds; of set aside samples there is no manifest.

    Raises:
        CodecError: it cannot be read.
    """
    if record.manifest is not None:
        return record.tags()
    return entries_of(record.message().payload)


def entries_of(samples: Any) -> list[ManifestEntry]:
    """One entry for each tag of samples."""
    return sample_entries(samples if isinstance(samples, list) else ())
