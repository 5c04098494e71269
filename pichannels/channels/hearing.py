"""What came of each tag of a channel, and what is wrong with some of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import translate
from typing import Final, NamedTuple, TypeAlias

from pichannels.channels.tags import Stream
from pichannels.coverage.expected import Expectations, Patience, Verdict
from pichannels.manifest import ManifestEntry

__all__ = ["Expected", "Hearing", "Mark"]

Expected: TypeAlias = float | dict[str, float] | None
"""Seconds between two values of any tag, or by patterns of tags; None to learn it."""

_Matches: TypeAlias = Callable[[str], object]
_Entries: TypeAlias = dict[str, ManifestEntry]

_HEARD: Final = frozenset({Verdict.BLIND, Verdict.STALE})
"""Marks that a value takes away as soon as it comes."""


class Mark(NamedTuple):
    """Something is wrong with a tag, or may be.

    Attributes:
        verdict: `blind`, `stale`, `flat` or `quiet`.
        since: the time of the last value before that, ticks; of a flat one since
            when it is the same.
    """

    verdict: Verdict
    since: int


class Hearing:
    """What is heard of the tags of a channel.

    Args:
        patience: when a tag is too quiet.
        expect: how often values of tags come.

    Attributes:
        expectations: by the ledger's number of a tag.
        marks: the tags with which something is wrong, by number.
        quiet: the tags that are silent for longer than usual, as their sources are.
    """

    def __init__(self, patience: Patience, expect: Expected = None) -> None:
        self.expectations = Expectations(patience)
        self.marks: dict[int, Mark] = {}
        self.quiet: dict[int, Mark] = {}
        self._patterns = _patterns(expect)
        self._live: _Entries = {}
        self._read: _Entries = {}

    def grow(self, tags: Mapping[int, Stream], count: int, now: int) -> None:
        """There are so many tags in the ledger; something is expected of these."""
        self.expectations.grow(count, now)
        for tag, stream in tags.items() if self._patterns else ():
            seconds = self.given(stream)
            if seconds is not None:
                self.expectations.give(tag, seconds)

    def given(self, stream: Stream) -> float | None:
        """What the settings expect of a tag: what fits first, by path or name."""
        for matches, seconds in self._patterns:
            if matches(stream.path) or matches(stream.name):
                return seconds
        return None

    def mark(self, tag: int) -> Mark | None:
        """What is to be told of a tag; nothing where values come as expected."""
        return self.marks.get(tag) or self.quiet.get(tag)

    def came(self, entries: Iterable[ManifestEntry], *, is_live: bool) -> None:
        """Values were accepted; noted for each WebID is what has the newest."""
        noted = self._live if is_live else self._read
        get = noted.get
        for entry in entries:
            known = get(entry.key)
            if known is None or entry.last > known.last:
                noted[entry.key] = entry

    def take(self) -> tuple[_Entries, _Entries]:
        """What came since the last time: of PI channels, and of the archive."""
        taken = self._live, self._read
        self._live, self._read = {}, {}
        return taken

    def note(
        self, tag: int, entry: ManifestEntry, at: int, *, is_live: bool
    ) -> Mark | None:
        """Note what came of a tag until `at`; the mark that is gone by it."""
        self.expectations.arrived(tag, entry.first, entry.last, entry.count, at)
        self.quiet.pop(tag, None)
        mark = self.marks.get(tag)
        if mark is None or mark.verdict not in _HEARD or entry.last <= mark.since:
            return None
        if mark.verdict is Verdict.BLIND and not is_live:
            return None
        return self.marks.pop(tag)


def _patterns(expect: Expected) -> list[tuple[_Matches, float]]:
    if expect is None:
        return []
    by_pattern = expect if isinstance(expect, dict) else {"*": expect}
    return [
        (re.compile(translate(pattern), re.IGNORECASE).match, seconds)
        for pattern, seconds in by_pattern.items()
    ]
