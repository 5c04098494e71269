"""What is kept of a ledger, and how it comes back after a crash.

`changes` gives records by name: few and small ones, since while all goes well only the
watermarks move. What is in flight is not in them: the journal knows which messages are
not settled, and what those hold back follows from their manifests.

The records rest on settlements. They have to become durable in the same commit as these
or later; an older state of any of them claims less, unless the ledger `is_urgent`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any, Final

import msgspec

from pichannels.coverage.intervals import IntervalSet
from pichannels.coverage.labels import Label
from pichannels.coverage.ledger import Ledger, Margins
from pichannels.coverage.segments import Segment
from pichannels.coverage.tags import PAGE, Past, TagState
from pichannels.errors import CodecError
from pichannels.manifest import ManifestEntry

__all__ = ["Claims", "restore"]

VERSION: Final = 1
_FORM: Final = "form"
_MARKS: Final = "watermarks"


class _Group(msgspec.Struct, array_like=True):
    """Tags of a page that share a past and a state."""

    state: TagState
    is_future: bool
    past: _PastRow
    runs: list[tuple[int, int]]
    """First one in the page, and how many follow each other."""


class _PastRow(msgspec.Struct, array_like=True):
    origin: int
    delivered: list[int]
    denied: list[int]
    reasons: list[Label]
    excluded: list[Label]


class _SegmentRow(msgspec.Struct, array_like=True):
    start: int
    cut: int | None
    tags: list[int]
    """The first number, and how far each is from the one before."""


class _DeadRow(msgspec.Struct, array_like=True):
    at: int
    ranges: list[tuple[int, int, int]]


_encode: Final = msgspec.msgpack.Encoder().encode


class Claims:
    """What has changed in a ledger since it was saved last.

    Args:
        ledger: whose changes.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._marks: dict[int, int] = {}
        self._is_new = True

    @property
    def is_urgent(self) -> bool:
        """Whether the changes have to be saved at once."""
        return self._ledger.is_urgent

    def changes(self) -> dict[str, bytes | None]:
        """The records to save since the last call; None deletes one.

        They belong into one commit.
        """
        found: dict[str, bytes | None] = {}
        if self._is_new:
            found[_FORM] = _encode((VERSION, PAGE))
            self._is_new = False
        found.update(self._tags())
        found.update(self._segments())
        found.update(self._dead())
        marks = {x.id: x.watermark for x in self._ledger.open_segments}
        if marks != self._marks:
            self._marks = marks
            found[_MARKS] = _encode(marks)
        self._ledger.is_urgent = False
        return found

    def _tags(self) -> Iterator[tuple[str, bytes]]:
        table = self._ledger.tags
        for page in sorted(table.new_pages):
            yield f"keys/{page}", _encode(table.keys[page * PAGE : (page + 1) * PAGE])
        for page in sorted(table.changed_pages):
            yield f"tags/{page}", _encode(self._page(page))
        table.new_pages.clear()
        table.changed_pages.clear()

    def _page(self, page: int) -> list[_Group]:
        table = self._ledger.tags
        tags = range(page * PAGE, min((page + 1) * PAGE, len(table)))
        pasts, codes, futures = table.pasts, table.codes, table.futures
        groups: dict[tuple[int, int, bool], _Group] = {}
        place = 0
        for key, run in groupby(
            (id(pasts[tag]), codes[tag], tag in futures) for tag in tags
        ):
            count = sum(1 for _ in run)
            group = groups.get(key)
            if group is None:
                tag = tags[place]
                row = _row(pasts[tag])
                group = groups[key] = _Group(table.state(tag), key[2], row, [])
            group.runs.append((place, count))
            place += count
        return list(groups.values())

    def _segments(self) -> Iterator[tuple[str, bytes | None]]:
        changed = self._ledger.changed_segments
        for id in sorted(changed):
            segment = self._ledger.segments.get(id)
            if segment is None:
                yield f"segment/{id}", None
            else:
                steps = _steps(segment.tags)
                row = _SegmentRow(segment.start, segment.cut, steps)
                yield f"segment/{id}", _encode(row)
        changed.clear()

    def _dead(self) -> Iterator[tuple[str, bytes | None]]:
        letters = self._ledger.dead
        for message in sorted(letters.changed):
            letter = letters.get(message)
            if letter is None:
                yield f"dead/{message}", None
            else:
                row = _DeadRow(letter.at, list(letter.ranges))
                yield f"dead/{message}", _encode(row)
        letters.changed.clear()


def _row(past: Past) -> _PastRow:
    return _PastRow(
        past.origin,
        past.delivered.steps(),
        past.denied.steps(),
        list(past.reasons),
        list(past.excluded),
    )


def _steps(tags: Iterable[int]) -> list[int]:
    given = sorted(tags)
    return given[:1] + [b - a for a, b in zip(given, given[1:], strict=False)]


def restore(
    records: Mapping[str, bytes],
    unsettled: Iterable[tuple[int, Sequence[ManifestEntry]]],
    now: int,
    margins: Margins | None = None,
) -> Ledger:
    """The ledger that the records tell of, after a crash or a stop.

    PI channels that were open are lost for the reason `restart`. What was received
    and is not settled is in flight; the rest of what was not saved is a hole.

    Args:
        records: all that `Claims.changes` gave and that was saved, by name.
        unsettled: the messages of PI channels that are not settled (not those of
            repairs and replays), with their manifests.
        now: the server's time, ticks.
        margins: as the ledger had them.

    Raises:
        CodecError: the records are damaged, or of a newer program.
    """
    ledger = Ledger(margins)
    if _FORM in records:
        version, page = _decoded(records, _FORM, tuple[int, int])
        if version != VERSION:
            raise CodecError(
                f"the coverage ledger has version {version}, but this program knows"
                f" only {VERSION}; upgrade pichannels"
            )
        _Restoring(ledger, records, page).run(unsettled, now)
    return ledger


class _Restoring:
    """Builds a ledger of records."""

    def __init__(self, ledger: Ledger, records: Mapping[str, bytes], page: int) -> None:
        self._ledger = ledger
        self._records = records
        self._size = page

    def run(
        self,
        unsettled: Iterable[tuple[int, Sequence[ManifestEntry]]],
        now: int,
    ) -> None:
        ledger = self._ledger
        self._tags()
        self._dead()
        segments = self._segments()
        # They reach no further than their start yet, so that each message holds back
        # all that is not known to be delivered without it.
        for message, entries in unsettled:
            ledger.hold(message, entries)
        marks = _decoded(self._records, _MARKS, dict[int, int], default={})
        for segment, cut in segments:
            if cut is None:
                segment.heard(marks.get(segment.id, segment.watermark))
                certain = segment.received - ledger.margins.overlap
                # Who looks long after a crash is told of a hole of that age.
                ledger.end(segment, certain, "restart", min(segment.watermark, now))
            else:
                ledger.end(segment, cut)

    def _names(self, kind: str) -> list[tuple[int, str]]:
        """The records of a kind in the order of their numbers."""
        names = [name for name in self._records if name.startswith(f"{kind}/")]
        try:
            return sorted((int(name.rpartition("/")[2]), name) for name in names)
        except ValueError as exc:
            raise CodecError(f"a record of the coverage ledger: {exc}") from exc

    def _tags(self) -> None:
        for number, name in self._names("keys"):
            if number * self._size != len(self._ledger.tags):
                raise CodecError(f"keys of the coverage ledger are missing at {name}")
            # Of a tag whose past was not saved nothing is claimed.
            self._ledger.add_tags(_decoded(self._records, name, list[str]), 0)
        for number, name in self._names("tags"):
            for group in _decoded(self._records, name, list[_Group]):
                self._group(number * self._size, group)

    def _group(self, page: int, group: _Group) -> None:
        table, row = self._ledger.tags, group.past
        past = Past(
            row.origin,
            IntervalSet.from_steps(row.delivered),
            IntervalSet.from_steps(row.denied),
            tuple(row.reasons),
            tuple(row.excluded),
        )
        for first, count in group.runs:
            tags = range(page + first, page + first + count)
            if tags.stop > len(table):
                raise CodecError("the coverage ledger tells of tags without keys")
            table.change(tags, partial(_instead, new=past))
            if group.is_future:
                table.set_states(tags, TagState.FUTURE)
            table.set_states(tags, group.state)

    def _dead(self) -> None:
        for message, name in self._names("dead"):
            row = _decoded(self._records, name, _DeadRow)
            self._ledger.dead.add(message, row.ranges, row.at)

    def _segments(self) -> list[tuple[Segment, int | None]]:
        found = []
        for id, name in self._names("segment"):
            row = _decoded(self._records, name, _SegmentRow)
            segment = Segment(id, row.start, [], self._ledger.margins.settle)
            at = 0
            for step in row.tags:
                at += step
                segment.tags.append(at)
            self._ledger.attach(segment)
            segment.watermark = segment.start - self._ledger.margins.ahead
            found.append((segment, row.cut))
        return found


def _instead(old: Past, new: Past) -> Past:
    return new


def _decoded(
    records: Mapping[str, bytes], name: str, kind: Any, default: Any = None
) -> Any:
    if default is not None and name not in records:
        return default
    try:
        return msgspec.msgpack.decode(records[name], type=kind)
    except msgspec.DecodeError as exc:
        raise CodecError(f"{name} of the coverage ledger is damaged: {exc}") from exc
