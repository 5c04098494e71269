"""The last updates of a source, numbered, so that a reader may go on where it was."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import msgspec

from pichannels.dataflow.cache import Cache
from pichannels.errors import UsageError

__all__ = ["History", "Update"]

_RUNS: Final = "runs"
_RUNS_KEPT: Final = 100
_CLEAN_EVERY: Final = 100


class Update(msgspec.Struct, frozen=True, array_like=True):
    """One of many updates.

    Attributes:
        number: one more than that of the one before.
        key: the key as text, for those who want the last one of each key only.
        data: JSON.
    """

    number: int
    key: str
    data: str


class History:
    """Numbers updates and keeps the last of them.

    A place is the number of an update after which somebody goes on. As text it also
    says in which run of the program the number was given, so that those of a history
    that is gone are told.

    Args:
        keep: how many updates are kept.
        part: a part of a cache that they are kept in as well, over restarts.

    Raises:
        UsageError: `keep` is below 1, or another history has this part.
        CacheError: the part cannot be read.
    """

    def __init__(self, keep: int = 1000, part: Cache | None = None) -> None:
        if keep < 1:
            raise UsageError(f"keep is 1 or more, not {keep!r}")
        self.keep = keep
        self.last = 0
        self.is_closed = False
        self._part = part
        self._updates: dict[int, Update] = {}
        self._door = asyncio.Lock()
        self._changed = asyncio.Event()
        self._run = secrets.token_hex(4)
        # The runs before this one, each with the last number that it gave.
        self._runs: dict[str, int] = {}
        if part is not None:
            if part.keeper is not None and not part.keeper.is_closed:
                raise UsageError(
                    "this cache keeps the updates of another source already; give it a"
                    " part of its own, history=cache.create_column_family(...)"
                )
            part.keeper = self
            self._restore(part)

    def _restore(self, part: Cache) -> None:
        found: list[Update] = []
        for number, stored in part.items(backwards=True):
            if not isinstance(number, int) or len(found) == self.keep:
                break
            if found and number != found[-1].number - 1:
                # What is before a gap is no use.
                break
            found.append(Update(number, *stored))
        self._updates = {update.number: update for update in reversed(found)}
        self.last = max(self._updates, default=0)
        self._note_run(part)

    def _note_run(self, part: Cache) -> None:
        """A run gave the numbers from where it began to where the next one did."""
        runs = [*(part[_RUNS] or []), [self._run, self.last]][-_RUNS_KEPT:]
        ends = [began for _, began in runs[1:]]
        self._runs = {run: end for (run, _), end in zip(runs, ends, strict=False)}
        part[_RUNS] = runs

    @property
    def first(self) -> int:
        """The number of the oldest update that is kept."""
        return next(iter(self._updates), self.last + 1)

    def text(self, number: int) -> str:
        """A place as text."""
        return f"{self._run}-{number}"

    def place(self, text: str) -> int | None:
        """The place that was given as text, or None where it is not of this history."""
        run, _, number = text.rpartition("-")
        if not (number.isascii() and number.isdecimal() and len(number) < 19):
            return None
        if run == self._run:
            return int(number) if int(number) <= self.last else None
        last = self._runs.get(run)
        return None if last is None else min(int(number), last)

    async def put(self, key: str, data: str) -> None:
        """Add an update."""
        async with self._door:
            update = Update(self.last + 1, key, data)
            if self._part is not None and self._part.keeper is self:
                await self._part.store(update.number, [key, data])
                gone = update.number - self.keep
                if gone > 0 and gone % _CLEAN_EVERY == 0:
                    self._part.delete_range(0, gone + 1)
            self._updates[update.number] = update
            self._updates.pop(update.number - self.keep, None)
            self.last = update.number
        self._wake()

    def after(self, place: int, most: int) -> Iterator[Update]:
        """What is kept of the updates behind a place, in order."""
        start = max(place + 1, self.first)
        for number in range(start, min(self.last, start + most - 1) + 1):
            yield self._updates[number]

    def lost_after(self, place: int) -> int:
        """How many updates behind a place are not kept any more."""
        return max(0, self.first - place - 1)

    async def changed(self, place: int, seconds: float) -> bool:
        """Wait until there is something behind a place; False where nothing came."""
        if self.last <= place and not self.is_closed:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
        return self.last > place

    def reopen(self) -> None:
        """Let others wait again.

        Raises:
            UsageError: another history has the part now.
        """
        if self._part is not None and self._part.keeper is not self:
            raise UsageError("another endpoint keeps its updates there now")
        self.is_closed = False

    def close(self) -> None:
        """Let those end who wait for updates; another history may have the part."""
        self.is_closed = True
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
