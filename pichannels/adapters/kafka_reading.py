"""Reading topics of Kafka at least once: what is settled is committed, in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from pichannels.adapters.kafka import Consumer, Place
from pichannels.errors import PichannelsError, SettingsError, TryAgain

__all__ = ["Finish", "Reading", "Start", "checked_start"]

logger: Final = logging.getLogger("pichannels.channels")

Start = str | int | datetime | Mapping[int, int]
"""Where to read from: `earliest`, `latest`, an offset, offsets by partition, a time."""

_COMMIT_EVERY: Final = 0.2
_COMMIT_AGAIN: Final = 2.0
_ALLOWED: Final = "earliest, latest, an offset, offsets by partition, a time with zone"

Finish = Callable[[Sequence[Place]], Awaitable[None]]
Prepare = Callable[[Sequence[Any]], Awaitable[None]]


class Reading:
    """What is read of some topics, and how far it is settled.

    Records are settled in order for each partition, and then committed, soon. Before a
    partition goes to another member of the group, what is under way gets its time to
    be settled; what was not is read again by the other one.

    Args:
        options: what the library's consumer takes, beside what this decides.
        target: where the brokers are, for errors.
        topics: names, or one regular expression that begins with `^`.
        group: the group that shares the partitions; None to read all, and to commit
            nothing.
        start: where to begin where the group has committed nothing.
        finish: waits until nothing of these partitions is under way any more; what
            has been taken of them and not begun is not to be begun.
        prepare: gets records before they are given, and is waited for.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        target: str,
        topics: Sequence[str],
        group: str | None,
        start: Start,
        finish: Finish,
        prepare: Prepare | None = None,
    ) -> None:
        more = {
            "group_id": group,
            "enable_auto_commit": False,
            "auto_offset_reset": "latest" if start == "latest" else "earliest",
            # That it is alive a member tells by heartbeats; how long a message takes
            # is up to those who work on it.
            "max_poll_interval_ms": 2**31 - 1,
        }
        self._consumer = Consumer(
            {**options, **more}, target, topics, self._revoked, self._assigned
        )
        self._target = target
        self._is_member = group is not None
        self._start = start
        self._finish = finish
        self._prepare = prepare
        self._turns: dict[Place, int] = {}
        self._count = 0
        self._settled: dict[Place, int] = {}
        self._committed: dict[Place, int] = {}
        self._changed = asyncio.Event()
        self._committing = asyncio.Lock()
        self._committer: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect, and join the group.

        Raises:
            TryAgain: no broker answers.
            SettingsError: the login is refused.
        """
        await self._consumer.open()
        if not self._turns:
            # Outside of a group the library does not tell.
            await self._assigned(self._consumer.assigned)
        self._committer = asyncio.create_task(
            self._commit_always(), name=f"{self._target}: committer"
        )

    @property
    def places(self) -> list[Place]:
        """The partitions that are ours just now."""
        return list(self._turns)

    @property
    def behind(self) -> int:
        """How many records of our partitions are not settled, as far as is known."""
        ends = {place: self._consumer.end(place) for place in self._turns}
        return sum(
            max(0, end - self._settled[place])
            for place, end in ends.items()
            if end is not None and place in self._settled
        )

    def turn(self, place: Place) -> int:
        """What `settled` is to be given with records that are taken now."""
        return self._turns.get(place, 0)

    async def take(
        self, places: Iterable[Place], seconds: float, most: int
    ) -> dict[Place, list[Any]]:
        """Records of these partitions, or of all; perhaps after a while.

        Raises:
            TryAgain: brokers do not answer.
            SettingsError: we may not read there.
        """
        found = await self._consumer.take(places, seconds, most)
        if self._prepare is not None:
            for records in found.values():
                await self._prepare(records)
        if not self._is_member:
            # Partitions that a topic gets later are ours, too, and nobody tells.
            await self._assigned([place for place in found if place not in self._turns])
        return {place: each for place, each in found.items() if place in self._turns}

    def settled(self, place: Place, offset: int, turn: int) -> None:
        """All of a partition up to this offset is settled.

        What was taken before the partition went away, or before `seek`, is not noted.
        """
        if self._turns.get(place) == turn:
            self._settled[place] = offset + 1
            self._changed.set()

    async def commit(self) -> None:
        """Let the group go on behind what is settled.

        Raises:
            TryAgain: brokers do not answer, or the partitions went to others.
            SettingsError: we may not.
        """
        async with self._committing:
            new = {
                place: offset
                for place, offset in self._settled.items()
                if self._committed.get(place) != offset
            }
            if new:
                await self._consumer.commit(new)
                self._committed |= new

    async def seek(self, start: Start) -> dict[Place, int]:
        """Read our partitions from there on, whatever was committed.

        Returns:
            Where each of them would have gone on.

        Raises:
            TryAgain: brokers do not answer.
        """
        offsets = await self._resolved(start, self.places)
        before = {place: await self._consumer.position(place) for place in offsets}
        for place, offset in offsets.items():
            if place in self._turns:
                self._move(place, offset)
        return before

    def _move(self, place: Place, offset: int) -> None:
        self._count += 1
        self._turns[place] = self._count
        self._settled[place] = offset
        self._consumer.seek(place, offset)
        self._changed.set()

    async def bounds(self) -> dict[Place, tuple[int, int]]:
        """The first offset of each of our partitions, and that behind the last.

        Raises:
            TryAgain: brokers do not answer.
        """
        begins = await self._consumer.bounds(self.places, is_end=False)
        ends = await self._consumer.bounds(self.places, is_end=True)
        return {place: (begins[place], ends[place]) for place in begins}

    async def close(self) -> None:
        """Commit what is settled, leave the group and disconnect."""
        committer, self._committer = self._committer, None
        if committer is not None:
            committer.cancel()
            await asyncio.gather(committer, return_exceptions=True)
            await self._commit_if_possible()
        await self._consumer.close()

    async def _commit_always(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            if not await self._commit_if_possible():
                self._changed.set()
                await asyncio.sleep(_COMMIT_AGAIN)
            await asyncio.sleep(_COMMIT_EVERY)

    async def _commit_if_possible(self) -> bool:
        try:
            await self.commit()
        except PichannelsError as exc:
            logger.warning("%s: not committed: %s", self._target, exc)
            return False
        return True

    async def _revoked(self, places: Sequence[Place]) -> None:
        ours = [place for place in places if place in self._turns]
        if not ours:
            return
        await self._finish(ours)
        await self._commit_if_possible()
        for place in ours:
            for known in (self._turns, self._settled, self._committed):
                known.pop(place, None)

    async def _assigned(self, places: Sequence[Place]) -> None:
        for place in places:
            self._count += 1
            self._turns[place] = self._count
        if self._start in ("earliest", "latest"):
            return
        try:
            new = [p for p in places if await self._consumer.committed(p) is None]
            for place, offset in (await self._resolved(self._start, new)).items():
                self._move(place, offset)
        except TryAgain as exc:
            # Rather too much is read than too little.
            logger.warning("%s: read from the earliest on: %s", self._target, exc)

    async def _resolved(
        self, start: Start, places: Sequence[Place]
    ) -> dict[Place, int]:
        """The offsets that are meant; where a time has not come, the end."""
        if not places:
            return {}
        if isinstance(start, int):
            return dict.fromkeys(places, start)
        if isinstance(start, Mapping):
            return {p: start[p.partition] for p in places if p.partition in start}
        if isinstance(start, str):
            return await self._consumer.bounds(places, is_end=start == "latest")
        ends = await self._consumer.bounds(places, is_end=True)
        since = await self._consumer.since(places, int(start.timestamp() * 1000))
        return ends | since


def checked_start(key: str, found: Any) -> Start:
    """Where to read from; a time may be text.

    Raises:
        SettingsError: it is nothing of the kind.
    """
    if isinstance(found, str) and found not in ("earliest", "latest"):
        with suppress(ValueError):
            found = datetime.fromisoformat(found)
    is_one = found in ("earliest", "latest")
    if isinstance(found, datetime):
        is_one = found.tzinfo is not None
    elif isinstance(found, Mapping):
        is_one = bool(found) and all(map(_is_offset, [*found, *found.values()]))
    elif _is_offset(found):
        is_one = True
    if not is_one:
        raise SettingsError(
            "not a place in a topic", key=key, found=found, allowed=_ALLOWED
        )
    start: Start = found
    return start


def _is_offset(found: Any) -> bool:
    return isinstance(found, int) and not isinstance(found, bool) and found >= 0
