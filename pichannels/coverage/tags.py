"""The tags of a channel: numbers for their keys, states, and what is over for each.

Most tags of a channel have the same past: subscribed together, lost together, repaired
in the same reads. A past does not change and is shared, so that such a tag costs no
more than the reference to it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from msgspec.structs import replace

from pichannels.coverage.intervals import EMPTY, IntervalSet
from pichannels.coverage.labels import Label, Labels, cleared, marked
from pichannels.values import OPEN_END

__all__ = ["PAGE", "Past", "TagState", "TagTable"]

PAGE: Final = 256
"""Tags that are saved together."""

_SHARED: Final = 4096


class TagState(enum.StrEnum):
    """What can be expected of a tag; `FUTURE` is a live one with such timestamps."""

    LIVE = "live"
    UNRESOLVED = "unresolved"
    NO_ACCESS = "no access"
    STATIC = "static"
    REMOVED = "removed"
    FUTURE = "future"

    @property
    def is_readable(self) -> bool:
        """Whether there is any use in reading its archive."""
        return self in (TagState.LIVE, TagState.FUTURE)


_STATES: Final = tuple(TagState)
_LIVE: Final = _STATES.index(TagState.LIVE)


class Past(msgspec.Struct, frozen=True):
    """What is over and known of a tag.

    Attributes:
        origin: from when on it is to be covered, ticks.
        delivered: what was delivered, without what PI channels give just now.
        denied: what does not count although a PI channel gave it.
        reasons: of holes; they say nothing where there is none.
        excluded: what is not to be delivered, and why.
    """

    origin: int
    delivered: IntervalSet = EMPTY
    denied: IntervalSet = EMPTY
    reasons: Labels = ()
    excluded: Labels = ()

    def joined(self, start: int, end: int) -> Past:
        """All of a range is delivered."""
        return replace(
            self,
            delivered=self.delivered.add(start, end),
            denied=self.denied.remove(start, end),
            reasons=cleared(self.reasons, start, end),
        )

    def given(self, start: int, end: int) -> Past:
        """All that a PI channel gave in a range is delivered."""
        past = self
        for gap in self.denied.gaps(start, end):
            past = past.joined(*gap)
        return past

    def reopened(self, start: int, end: int) -> Past:
        """Nothing of a range is delivered."""
        return replace(
            self,
            delivered=self.delivered.remove(start, end),
            denied=self.denied.add(start, end),
        )

    def cut_off(self, start: int) -> Past:
        """Nothing is delivered from `start` on."""
        return replace(self, delivered=self.delivered.remove(start, OPEN_END + 1))

    def explained(self, label: Label) -> Past:
        """Holes in a range have this reason."""
        return replace(self, reasons=marked(self.reasons, label))

    def without(self, label: Label) -> Past:
        """A range is excluded."""
        return replace(self, excluded=marked(self.excluded, label))

    def with_again(self, start: int, end: int) -> Past:
        """Nothing of a range is excluded."""
        return replace(self, excluded=cleared(self.excluded, start, end))

    def since(self, origin: int) -> Past:
        """To be covered from another time on."""
        return replace(self, origin=origin)


class TagTable:
    """The tags of one channel, numbered from 0 in the order of their coming.

    Attributes:
        keys: number -> key.
        pasts: number -> past; changed by `change` only.
        codes: number -> state, as its place among all states.
        futures: tags that have timestamps of the future, whatever their state.
        new_pages, changed_pages: which pages of keys and of pasts are to be saved.
    """

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.pasts: list[Past] = []
        self.futures: set[int] = set()
        self.new_pages: set[int] = set()
        self.changed_pages: set[int] = set()
        self._ids: dict[str, int] = {}
        self.codes = bytearray()
        self._shared: dict[Past, Past] = {}
        self._newest = Past(0)

    def __len__(self) -> int:
        return len(self.keys)

    def get(self, key: str) -> int | None:
        """The number of a key, if it has one."""
        return self._ids.get(key)

    def add(self, key: str, origin: int, is_future: bool = False) -> int:
        """The number of a key; a new tag is covered from `origin` on."""
        known = self._ids.get(key)
        if known is not None:
            return known
        tag = self._ids[key] = len(self.keys)
        self.keys.append(key)
        self.pasts.append(self._new(origin))
        self.codes.append(_LIVE)
        if is_future:
            self.futures.add(tag)
        self.new_pages.add(tag // PAGE)
        self.changed_pages.add(tag // PAGE)
        return tag

    def _new(self, origin: int) -> Past:
        # Those that come together are covered from the same time on.
        if self._newest.origin != origin:
            self._newest = self._share(Past(origin))
        return self._newest

    def add_all(self, keys: Iterable[str], origin: int) -> range:
        """`add` for many at once; the numbers of those that are new."""
        new = [key for key in dict.fromkeys(keys) if key not in self._ids]
        tags = range(len(self.keys), len(self.keys) + len(new))
        self._ids.update(zip(new, tags, strict=True))
        self.keys += new
        self.pasts += [self._new(origin)] * len(new)
        self.codes += bytes([_LIVE]) * len(new)
        self.new_pages.update(_pages(tags))
        self.changed_pages.update(_pages(tags))
        return tags

    def state(self, tag: int) -> TagState:
        """What can be expected of the tag."""
        state = _STATES[self.codes[tag]]
        is_future = state is TagState.LIVE and tag in self.futures
        return TagState.FUTURE if is_future else state

    def is_future(self, tag: int) -> bool:
        """Whether the tag has timestamps of the future, whatever its state."""
        return tag in self.futures

    def set_state(self, tag: int, state: TagState) -> None:
        """Expect this of the tag; one of the future stays one."""
        if state is TagState.FUTURE:
            self.futures.add(tag)
            state = TagState.LIVE
        self.codes[tag] = _STATES.index(state)
        self.changed_pages.add(tag // PAGE)

    def set_states(self, tags: range, state: TagState) -> None:
        """`set_state` for tags that follow each other."""
        if state is TagState.FUTURE:
            self.futures.update(tags)
            state = TagState.LIVE
        self.codes[tags.start : tags.stop] = bytes([_STATES.index(state)]) * len(tags)
        self.changed_pages.update(_pages(tags))

    def change(self, tags: Iterable[int], rule: Callable[[Past], Past]) -> None:
        """Replace the pasts of tags; equal ones are worked out once and shared."""
        pasts, pages = self.pasts, self.changed_pages
        # The old past is kept as well: nobody else gets its id meanwhile.
        made: dict[int, tuple[Past, Past]] = {}
        for tag in tags:
            old = pasts[tag]
            known = made.get(id(old))
            if known is None:
                new = rule(old)
                known = made[id(old)] = (old, old if new == old else self._share(new))
            if known[1] is not old:
                pasts[tag] = known[1]
                pages.add(tag // PAGE)

    def _share(self, past: Past) -> Past:
        if len(self._shared) >= _SHARED:
            self._shared.clear()
        return self._shared.setdefault(past, past)


def _pages(tags: range) -> range:
    """The pages that tags which follow each other are on."""
    return range(tags.start // PAGE, -(-tags.stop // PAGE)) if tags else range(0)
