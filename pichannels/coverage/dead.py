"""What messages that were given up leave undelivered."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from pichannels.coverage.labels import Label

__all__ = ["DEAD", "DeadLetter", "DeadLetters"]

DEAD: Final = "dead letter"


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that was given up, or samples of one that were set aside.

    Attributes:
        at: when, ticks.
        ranges: tag, start and end of each.
    """

    at: int
    ranges: tuple[tuple[int, int, int], ...]


class DeadLetters:
    """The dead letters of one ledger, which exclude what they hold.

    Attributes:
        changed: which ones are to be saved, or deleted.
    """

    def __init__(self) -> None:
        self.changed: set[int] = set()
        self._letters: dict[int, DeadLetter] = {}
        self._of: dict[int, set[int]] = {}

    def __len__(self) -> int:
        return len(self._letters)

    @property
    def messages(self) -> Collection[int]:
        """Their numbers."""
        return self._letters.keys()

    def get(self, message: int) -> DeadLetter | None:
        """The one of a message."""
        return self._letters.get(message)

    def add(
        self, message: int, ranges: Iterable[tuple[int, int, int]], at: int
    ) -> None:
        """A message was given up; ranges are tag, start and end."""
        found = tuple(ranges)
        known = self._letters.get(message)
        if not found or (known is not None and known.ranges == found):
            return
        self.remove(message)
        self._letters[message] = DeadLetter(at, found)
        for tag, _, _ in found:
            self._of.setdefault(tag, set()).add(message)

    def remove(self, message: int) -> DeadLetter | None:
        """It is a dead letter no longer; what it was."""
        self.changed.add(message)
        letter = self._letters.pop(message, None)
        for tag in {tag for tag, _, _ in letter.ranges} if letter else ():
            self._of[tag].remove(message)
            if not self._of[tag]:
                del self._of[tag]
        return letter

    @property
    def tags(self) -> Collection[int]:
        """Those of which there are any."""
        return self._of.keys()

    def concern(self, tag: int) -> bool:
        """Whether there are any of a tag."""
        return tag in self._of

    def labels(self, tag: int) -> list[Label]:
        """What they exclude of a tag."""
        return [
            Label(start, end, DEAD, self._letters[message].at)
            for message in sorted(self._of.get(tag, ()))
            for other, start, end in self._letters[message].ranges
            if other == tag
        ]
