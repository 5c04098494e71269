"""As-of joins: each value with the last ones of references up to its time."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable
from operator import itemgetter
from typing import Any, NamedTuple

from pichannels.errors import UsageError
from pichannels.windows.bucket import is_good, packed, unpacked
from pichannels.windows.keyed import BEFORE
from pichannels.windows.shapes import ticks_of

__all__ = ["AsOf", "JoinState", "Joined", "Reference"]


class Reference(NamedTuple):
    """A value of a reference, and when it was, ticks."""

    ticks: int
    value: Any


class Joined(NamedTuple):
    """A value with those that were there at its time.

    Attributes:
        ticks: of the value.
        value: as it was given.
        found: name of each reference -> its value then; None where there was none
            within the tolerance, or a bad one.
    """

    ticks: int
    value: Any
    found: dict[str, Reference | None]

    def dump(self) -> list[Any]:
        """Plain data; see `load`.

        Raises:
            CodecError: a value has a type without codec.
        """
        found = {
            name: reference and [reference.ticks, packed(reference.value)]
            for name, reference in self.found.items()
        }
        return [self.ticks, packed(self.value), found]

    @classmethod
    def load(cls, data: list[Any]) -> Joined:
        """What `dump` described."""
        ticks, value, found = data
        references = {
            name: each and Reference(each[0], unpacked(each[1]))
            for name, each in found.items()
        }
        return cls(ticks, unpacked(value), references)


_at = itemgetter(0)


class AsOf:
    """Makes the joins of each key.

    Args:
        references: their names.
        tolerance: seconds that the value of a reference may be older; by default it
            may be as old as it is.
        lateness: seconds that values may come behind the newest of all in the group.

    Raises:
        UsageError: an option is not usable.
    """

    def __init__(
        self,
        references: Iterable[str],
        *,
        tolerance: float | None = None,
        lateness: float = 0.0,
    ) -> None:
        self.references = tuple(references)
        if not self.references:
            raise UsageError("a join takes one reference at least")
        self.tolerance = None if tolerance is None else ticks_of("tolerance", tolerance)
        self.lateness = ticks_of("lateness", lateness, 0)

    def state(self) -> JoinState:
        """The joins of a new key."""
        return JoinState(self)

    @property
    def form(self) -> list[Any]:
        """Plain data that differs where a saved state cannot be gone on with."""
        return ["JoinState", *sorted(self.references)]


class JoinState:
    """The joins of one key.

    A value is joined when the watermark, the newest time of all less the lateness, has
    gone beyond it: only then all that were there at its time are known.

    Attributes:
        mark: the watermark, ticks.
    """

    __slots__ = ("_known", "_rules", "_waiting", "mark")

    def __init__(self, rules: AsOf) -> None:
        self._rules = rules
        self.mark = BEFORE
        self._waiting: list[tuple[int, Any]] = []
        self._known: dict[str, list[Reference]] = {
            name: [] for name in rules.references
        }

    @property
    def is_open(self) -> bool:
        """Whether values wait to be joined."""
        return bool(self._waiting)

    def add(self, ticks: int, value: Any, out: list[Joined]) -> bool:
        """Take a value to be joined.

        Returns:
            False where it is late. It is joined at once then, with those references
            of which nothing has come since.
        """
        if ticks < self.mark:
            out.append(self._joined(ticks, value))
            return False
        insort(self._waiting, (ticks, value), key=_at)
        self.advance(ticks - self._rules.lateness, out)
        return True

    def put(
        self, name: str, ticks: int, value: Any, good: bool, out: list[Joined]
    ) -> None:
        """Take a value of a reference; from a bad one on there is none."""
        known = self._known[name]
        if not (good and is_good(value)):
            value = None
        reference = Reference(ticks, value)
        if not known or ticks >= known[-1][0]:
            known.append(reference)
        else:
            insort(known, reference, key=_at)
        self.advance(ticks - self._rules.lateness, out)

    def advance(self, mark: int, out: list[Joined]) -> None:
        """Join all before this time, as no earlier values will come."""
        if mark <= self.mark:
            return
        self.mark = mark
        waiting, count = self._waiting, 0
        while count < len(waiting) and waiting[count][0] < mark:
            out.append(self._joined(*waiting[count]))
            count += 1
        del waiting[:count]
        for known in self._known.values():
            # The last one before the watermark is still needed.
            del known[: max(bisect_right(known, mark, key=_at) - 1, 0)]

    def finish(self, out: list[Joined]) -> None:
        """Join all, because no more values will come at all."""
        if self._waiting:
            self.advance(self._waiting[-1][0] + 1, out)

    def _joined(self, ticks: int, value: Any) -> Joined:
        tolerance = self._rules.tolerance
        found: dict[str, Reference | None] = {}
        for name, known in self._known.items():
            place = bisect_right(known, ticks, key=_at) - 1
            reference = known[place] if place >= 0 else None
            if reference is not None and (
                reference.value is None
                or (tolerance is not None and ticks - reference.ticks > tolerance)
            ):
                reference = None
            found[name] = reference
        return Joined(ticks, value, found)

    def dump(self) -> list[Any]:
        """Plain data; see `load`.

        Raises:
            CodecError: a value has a type without codec.
        """
        waiting = [[ticks, packed(value)] for ticks, value in self._waiting]
        known = {
            name: [[ticks, packed(value)] for ticks, value in references]
            for name, references in self._known.items()
        }
        return [self.mark, waiting, known]

    def load(self, data: list[Any]) -> list[Any]:
        """Become what `dump` described."""
        self.mark, waiting, known, *rest = data
        self._waiting = [(ticks, unpacked(value)) for ticks, value in waiting]
        for name, references in known.items():
            self._known[name] = [Reference(t, unpacked(v)) for t, v in references]
        return rest
