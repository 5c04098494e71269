"""Topics that clients follow: each by a reader of its own, which is in no group."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

from pichannels import clock
from pichannels.adapters.kafka import Place
from pichannels.adapters.kafka_reading import Reading
from pichannels.dataflow.following import (
    AT_ONCE,
    Event,
    Follower,
    Outlet,
    Slow,
    as_json,
    gap,
    last_of_each_key,
)
from pichannels.dataflow.topic import Topic

__all__ = ["TopicOutlet"]

logger: Final = logging.getLogger("pichannels.dataflow")

_LOOK: Final = 1.0
"""Seconds after which a reader without records looks around."""


class TopicOutlet(Outlet):
    """A topic: it is its own history, and places are its offsets."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._followers: set[_TopicFollower] = set()

    async def open(self, place: str | None, slow: Slow) -> Follower:
        """Follow it from a place, or from now on.

        Raises:
            TryAgain: brokers do not answer.
            SettingsError: a setting of the topic is not usable.
        """
        reading = await self._topic.reading(_none_is_under_way)
        follower = _TopicFollower(self._topic, reading, slow)
        try:
            await reading.open()
            await follower.begin(None if place is None else _offsets(place))
        except BaseException:
            await reading.close()
            raise
        self._followers = {each for each in self._followers if not each.is_over}
        self._followers.add(follower)
        return follower

    def close(self) -> None:
        for follower in self._followers:
            follower.is_over = True


class _TopicFollower(Follower):
    def __init__(self, topic: Topic, reading: Reading, slow: Slow) -> None:
        self._topic = topic
        self._reading = reading
        self._conflates = slow == "conflate"
        self._offsets: dict[int, int] = {}
        self._first: list[Event] = []

    @property
    def place(self) -> str:
        return _text(self._offsets)

    async def begin(self, offsets: dict[int, int] | None) -> None:
        """Go to these offsets, as far as they are there, or to the end."""
        lost: int | None = 0
        for place, (begin, end) in (await self._reading.bounds()).items():
            # A partition that was not there is new to the client.
            wanted = end if offsets is None else offsets.get(place.partition, begin)
            if wanted > end:
                # The topic was made anew.
                lost, wanted = None, begin
            elif wanted < begin:
                lost = None if lost is None else lost + begin - wanted
                wanted = begin
            self._offsets[place.partition] = wanted
        if lost != 0 or offsets == {}:
            self._first.append(gap(lost or None))
        await self._reading.seek(self._offsets)

    async def take(self, seconds: float) -> list[Event]:
        if self._first:
            return [self._first.pop()]
        events: list[Event] = []
        until = clock.monotonic() + seconds
        while not events and not self.is_over and clock.monotonic() < until:
            found = await self._reading.take((), _LOOK, AT_ONCE)
            for records in found.values():
                events += filter(None, map(self._event, records))
        return last_of_each_key(events) if self._conflates else events

    def _event(self, raw: Any) -> Event | None:
        self._offsets[raw.partition] = raw.offset + 1
        try:
            record = self._topic.decode(raw)
        except Exception as exc:
            where = f"{raw.topic}/{raw.partition}/{raw.offset}"
            logger.warning("%s cannot be read: %s", where, exc)
            return None
        key = as_json(record.key)
        data = f'{{"key":{key},"value":{as_json(record.value)}}}'
        return Event("update", data, _text(self._offsets), key)

    async def close(self) -> None:
        self.is_over = True
        await self._reading.close()


def _text(offsets: dict[int, int]) -> str:
    return ".".join(f"{part}-{offset}" for part, offset in sorted(offsets.items()))


def _offsets(text: str) -> dict[int, int]:
    """The offsets of a place; none where it is no such text."""
    try:
        pairs = [each.split("-") for each in text.split(".")]
        return {_number(part): _number(offset) for part, offset in pairs}
    except ValueError:
        return {}


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise ValueError(text)
    return int(text)


async def _none_is_under_way(places: Sequence[Place]) -> None:
    return
