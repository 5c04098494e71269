"""The records of a topic as a stream: settled in order, then committed."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from pichannels.adapters.kafka import Place
from pichannels.adapters.kafka_reading import Reading, Start
from pichannels.dataflow.interfaces import Stream
from pichannels.errors import TryAgain
from pichannels.retry import RetryPolicy

__all__ = ["Record", "TopicStream"]

logger: Final = logging.getLogger("pichannels.dataflow")

_AGAIN: Final = RetryPolicy(attempts=0, initial=0.5, maximum=30.0)
_AT_ONCE: Final = 500
_LOOK: Final = 1.0
"""Seconds after which a reader without records looks around."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record of a topic.

    Attributes:
        topic: the name of the topic.
        partition: which of its partitions.
        offset: where in the partition.
        timestamp: milliseconds since 1970.
        key: text where it is UTF-8, else bytes; None without one.
        value: by the codec of the topic; without one text where it is UTF-8, else
            bytes. None deletes the key.
        headers: names and bytes.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: Any
    value: Any
    headers: Sequence[tuple[str, bytes]] = ()


Open = Callable[[Callable[[Sequence[Place]], Awaitable[None]]], Awaitable[Reading]]
"""Makes what reads; it is given what ends work on partitions."""
Decode = Callable[[Any], Record]
"""Makes a record of a raw one, or raises."""
SetAside = Callable[[Any, Exception], Awaitable[None]]
"""Gets a raw record that cannot be decoded, and why."""


class TopicStream(Stream):
    """What a topic gives, one record after the other.

    Args:
        make: makes what reads the topic.
        decode: makes the records.
        set_aside: takes those of which it cannot.
        offset: where to go before the first record, whatever was committed.
        grace: seconds that a record under way gets before its partition goes away.

    Attributes:
        is_closed: it gives no more.
    """

    def __init__(
        self,
        make: Open,
        decode: Decode,
        set_aside: SetAside,
        offset: Start | None,
        grace: float,
    ) -> None:
        self._make = make
        self._decode = decode
        self._set_aside = set_aside
        self._offset = offset
        self._grace = grace
        self.is_closed = False
        self._reading: Reading | None = None
        self._waiting: deque[tuple[Place, int, Any]] = deque()
        self._given: tuple[Place, int, int] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._goes_on = asyncio.Event()
        self._goes_on.set()

    async def open(self) -> None:
        """Connect, and join the group.

        Raises:
            TryAgain: no broker answers.
            SettingsError: an option is not usable, or the login is refused.
        """
        if self._reading is not None:
            return
        reading = await self._make(self._finish)
        try:
            await reading.open()
            if self._offset is not None:
                await reading.seek(self._offset)
                self._offset = None
        except BaseException:
            await reading.close()
            raise
        self._reading = reading

    async def __anext__(self) -> Record:
        # Whoever asks for the next one is done with the last.
        self.settled()
        while True:
            if not self._goes_on.is_set():
                await self._goes_on.wait()
            if not self._waiting:
                await self._fill()
                continue
            waiting = self._waiting.popleft()
            place, turn, raw = waiting
            self._given = (place, raw.offset, turn)
            self._idle.clear()
            try:
                return self._decode(raw)
            except Exception as exc:
                await self._leave_out(waiting, exc)

    async def _leave_out(self, given: tuple[Place, int, Any], why: Exception) -> None:
        place, turn, raw = given
        try:
            await self._set_aside(raw, why)
        except BaseException:
            # Nothing behind it may be settled before it.
            self._given = None
            self._idle.set()
            if self._reading is not None and self._reading.turn(place) == turn:
                self._waiting.appendleft(given)
            raise
        self.settled()

    async def _fill(self) -> None:
        failures = 0
        while True:
            try:
                await self.open()
                assert self._reading is not None
                found = await self._reading.take((), _LOOK, _AT_ONCE)
            except TryAgain as exc:
                failures += 1
                await self._close_reading()
                delay = _AGAIN.delay(failures, exc)
                if delay is None:
                    raise
                logger.warning("%s; again in %.1f s", exc, delay)
                await asyncio.sleep(delay)
                continue
            for place, records in found.items():
                turn = self._reading.turn(place)
                self._waiting += [(place, turn, record) for record in records]
            return

    def settled(self) -> None:
        given = self._given
        if given is None:
            return
        self._given = None
        self._idle.set()
        if self._reading is not None:
            self._reading.settled(*given)

    def failed(self, error: BaseException) -> None:
        self._given = None
        self._idle.set()

    def held(self, is_held: bool) -> None:
        if is_held:
            self._goes_on.clear()
        else:
            self._goes_on.set()

    async def stop(self) -> bool:
        # What was not given is not committed, and comes again.
        self._waiting.clear()
        return False

    async def commit(self) -> None:
        """Settle the last record, and commit now.

        Raises:
            TryAgain: brokers do not answer, or the partitions went to others.
            SettingsError: we may not.
        """
        self.settled()
        if self._reading is not None:
            await self._reading.commit()

    async def seek(self, offset: Start) -> None:
        """Go on from there in all partitions that are ours.

        Raises:
            TryAgain: brokers do not answer.
        """
        await self.open()
        assert self._reading is not None
        await self._reading.seek(offset)
        self._waiting.clear()

    async def close(self) -> None:
        self.is_closed = True
        self._given = None
        self._idle.set()
        self._waiting.clear()
        await self._close_reading()

    async def _close_reading(self) -> None:
        reading, self._reading = self._reading, None
        self._waiting.clear()
        if reading is not None:
            await reading.close()

    async def _finish(self, places: Sequence[Place]) -> None:
        """Give nothing more of these partitions; the last one may be worked off."""
        gone = set(places)
        self._waiting = deque(each for each in self._waiting if each[0] not in gone)
        if self._given is not None and self._given[0] in gone:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._grace):
                    await self._idle.wait()
