"""The records of a topic as a stream: settled in order, then committed."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from pichannels.adapters.kafka import Place
from pichannels.adapters.kafka_reading import Reading, Start
from pichannels.dataflow.interfaces import Receipt, Stream
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


class _Receipt:
    """Of a record that is worked on beside others of its partition."""

    __slots__ = ("_hand", "_stream", "is_done", "key", "offset", "place", "turn")

    def __init__(
        self, stream: TopicStream, given: tuple[Place, int, int], key: bytes | None
    ) -> None:
        self.place, self.offset, self.turn = given
        self.key = None if key is None else (self.place, key)
        self.is_done = False
        self._stream = stream
        self._hand = stream.in_hand.setdefault(self.place, deque())
        self._hand.append(self)

    def settled(self) -> None:
        """The record is worked off; so are all up to the first that is not."""
        self.is_done = True
        last = None
        while self._hand and self._hand[0].is_done:
            last = self._hand.popleft()
        if last is not None:
            self._stream.note((last.place, last.offset, last.turn))


class TopicStream(Stream):
    """What a topic gives, one record after the other.

    Args:
        make: makes what reads the topic.
        decode: makes the records.
        set_aside: takes those of which it cannot.
        offset: where to go before the first record, whatever was committed.
        grace: seconds that a record under way gets before its partition goes away.
        at_once: how many records may be worked on beside each other.

    Attributes:
        is_closed: it gives no more.
        in_hand: what is worked on, by partition, in order.
    """

    def __init__(
        self,
        make: Open,
        decode: Decode,
        set_aside: SetAside,
        offset: Start | None,
        grace: float,
        at_once: int = 1,
    ) -> None:
        self.at_once = at_once
        self._make = make
        self._decode = decode
        self._set_aside = set_aside
        self._offset = offset
        self._grace = grace
        self.is_closed = False
        self._reading: Reading | None = None
        self._waiting: deque[tuple[Place, int, Any]] = deque()
        self._given: tuple[Place, int, int] | None = None
        self._key: bytes | None = None
        self.in_hand: dict[Place, deque[_Receipt]] = {}
        self._noted = asyncio.Event()
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
            self._key = raw.key
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
            self._noted.set()
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
        if self.in_hand.get(given[0]):
            # Not before those that came before.
            self.receipt().settled()
            return
        self._given = None
        self.note(given)

    def receipt(self) -> Receipt:
        given, self._given = self._given, None
        assert given is not None
        return _Receipt(self, given, self._key)

    def note(self, last: tuple[Place, int, int]) -> None:
        """All of a partition up to there is settled."""
        self._noted.set()
        if self._reading is not None:
            self._reading.settled(*last)

    def failed(self, error: BaseException) -> None:
        self._given = None
        self._noted.set()

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
        self._noted.set()
        await self._close_reading()

    async def _close_reading(self) -> None:
        reading, self._reading = self._reading, None
        self._waiting.clear()
        self._drop(list(self.in_hand))
        if reading is not None:
            await reading.close()

    async def _finish(self, places: Sequence[Place]) -> None:
        """Give nothing more of these partitions; the last one may be worked off."""
        gone = set(places)
        self._waiting = deque(each for each in self._waiting if each[0] not in gone)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._grace):
                while self._is_under_way(gone):
                    self._noted.clear()
                    await self._noted.wait()
        self._drop(gone)

    def _is_under_way(self, places: set[Place]) -> bool:
        if self._given is not None and self._given[0] in places:
            return True
        return any(self.in_hand.get(place) for place in places)

    def _drop(self, places: Iterable[Place]) -> None:
        """What is still worked on is settled no more; it comes again."""
        for place in places:
            self.in_hand.pop(place, deque()).clear()
