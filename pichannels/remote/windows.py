"""Credits: how much may be on its way, in items and in bytes.

A credit is absolute: so much of this context may be sent, counted from its start.
Saying it twice does no harm. The receiver keeps a `Window`, the sender an
`Allowance`. Bytes that are cut anywhere keep to the credit exactly. An item cannot
be cut: one that is larger than what is left may go when at least half of the window
is free, so that an item larger than the whole window gets through, alone.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pichannels.remote.frames import TURN_BYTES

__all__ = ["Allowance", "Grant", "Window"]

UNCOUNTED: Final = 2**62


class Grant(NamedTuple):
    """A credit: items and bytes from the start of a context on."""

    items: int
    size: int


class Window:
    """What the receiver has granted, and how much of it has come and gone.

    Args:
        items: how many items may wait here; 0 grants only what is asked for, None
            does not count them.
        size: how many bytes.
    """

    def __init__(self, items: int | None, size: int) -> None:
        self.items = items
        self.size = size
        self.granted = self._whole(0, 0)
        self.came = Grant(0, 0)
        self.used = Grant(0, 0)

    def _whole(self, items: int, size: int) -> Grant:
        counted = UNCOUNTED if self.items is None else items + self.items
        return Grant(counted, size + self.size)

    def arrive(self, sizes: list[int]) -> bool:
        """Note items of these sizes.

        Returns:
            False where they are more than was granted.
        """
        before = self.came
        self.came = Grant(before.items + len(sizes), before.size + sum(sizes))
        if self.came.items > self.granted.items:
            return False
        if self.came.size <= self.granted.size:
            return True
        free = self.granted.size - (self.came.size - sizes[-1])
        return self.items is not None and _may_overrun(free, self.size)

    def use(self, items: int, size: int) -> None:
        """The application has taken so much."""
        self.used = Grant(self.used.items + items, self.used.size + size)

    def renew(self) -> Grant | None:
        """A higher credit, once half of the window is free again; else None."""
        wanted = self._whole(*self.used)
        by_items = self.items and 2 * (wanted.items - self.granted.items) >= self.items
        if not by_items and 2 * (wanted.size - self.granted.size) < self.size:
            return None
        return self._raise_to(wanted)

    def demand(self, items: int) -> Grant | None:
        """A credit with which at least so many items may be here, if one is needed.

        Of bytes half of the window is always granted, as `renew` sees to.
        """
        if self.used.items + items <= self.granted.items:
            return None
        wanted = self._whole(*self.used)
        return self._raise_to(
            Grant(max(wanted.items, self.used.items + items), wanted.size)
        )

    def _raise_to(self, wanted: Grant) -> Grant | None:
        raised = Grant(
            max(self.granted.items, wanted.items), max(self.granted.size, wanted.size)
        )
        if raised == self.granted:
            return None
        self.granted = raised
        return raised


class Allowance:
    """What the sender was granted, and how much of it is sent.

    Args:
        first: the first credit of the context.
        is_cut_anywhere: for bytes, which keep to the credit exactly.
    """

    def __init__(self, first: Grant, is_cut_anywhere: bool) -> None:
        self._limit = first
        self._window = first.size
        self._is_cut_anywhere = is_cut_anywhere
        self.sent = Grant(0, 0)

    def raise_to(self, limit: Grant) -> None:
        """A credit came; one that is lower changes nothing."""
        self._limit = Grant(
            max(self._limit.items, limit.items), max(self._limit.size, limit.size)
        )

    @property
    def items(self) -> int:
        """How many items are left."""
        return max(self._limit.items - self.sent.items, 0)

    @property
    def size(self) -> int:
        """How many bytes are left."""
        return max(self._limit.size - self.sent.size, 0)

    @property
    def turn(self) -> int:
        """How many bytes to send at a time: what fits also when half is free."""
        return max(min(self.size, self._window // 2, TURN_BYTES), 1)

    def fits(self, items: int, size: int) -> bool:
        """Whether items of this size together may be sent now."""
        if items > self.items:
            return False
        free = self._limit.size - self.sent.size
        if size <= free:
            return True
        is_whole = items == 1 and not self._is_cut_anywhere
        return is_whole and _may_overrun(free, self._window)

    def spend(self, items: int, size: int) -> None:
        """So much is sent."""
        self.sent = Grant(self.sent.items + items, self.sent.size + size)


def _may_overrun(free: int, window: int) -> bool:
    return free > 0 and 2 * free >= window
