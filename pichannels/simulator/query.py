"""Reading requests: query names in any case, numbers, times, WebIDs and limits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aiohttp import web

from pichannels.errors import PichannelsError
from pichannels.simulator.intervals import Interval, IntervalError, parse_interval
from pichannels.simulator.simtime import TimeError, parse_time
from pichannels.simulator.webids import WEB_ID_TYPES

__all__ = ["Query", "Refused"]


class Refused(PichannelsError):
    """The request is answered with this status and these sentences."""

    def __init__(self, status: int, *sentences: str) -> None:
        self.status = status
        self.sentences = sentences
        super().__init__(f"{status}: {' '.join(sentences)}")


class Query:
    """The parameters of a request; their names are the same in any case.

    Every method raises `Refused` with 400 where a value does not fit.
    """

    def __init__(self, request: web.Request) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in request.query.items():
            self._values.setdefault(name.lower(), []).append(value)

    def all(self, name: str) -> list[str]:
        """All values of a parameter that may be repeated."""
        return self._values.get(name.lower(), [])

    def text(self, name: str, default: str = "") -> str:
        """The value, or the default where it is absent or empty."""
        return (self.all(name) or [""])[-1] or default

    def required(self, name: str) -> list[str]:
        """All values of a parameter of which one at least is needed."""
        values = [value for value in self.all(name) if value]
        if not values:
            raise Refused(400, f"The parameter '{name}' is required.")
        return values

    def number(self, name: str, default: int, *, low: int = 0) -> int:
        """A whole number of at least `low`."""
        text = self.text(name)
        try:
            number = int(text) if text else default
        except ValueError as exc:
            raise Refused(400, f"'{text}' is not valid for '{name}'.") from exc
        if number < low:
            raise Refused(400, f"Parameter '{name}' must be at least {low}.")
        return number

    def count(self, most: int, default: int = 1000) -> int:
        """`maxCount`, refused above the server's limit."""
        number = self.number("maxCount", default, low=1)
        if number > most:
            raise Refused(
                400,
                f"Parameter 'maxCount' is greater than the maximum allowed ({most}).",
            )
        return number

    def flag(self, name: str) -> bool:
        """A boolean, false by default."""
        return self.choice(name, ("False", "True")) == "True"

    def choice(self, name: str, allowed: Sequence[str]) -> str:
        """One of the allowed words in any case; the first by default."""
        text = self.text(name, allowed[0])
        for word in allowed:
            if word.lower() == text.lower():
                return word
        raise Refused(400, f"'{text}' is not valid for '{name}'.")

    @property
    def form(self) -> str:
        """The WebID type of the answer."""
        return self.choice("webIdType", WEB_ID_TYPES)

    @property
    def fields(self) -> list[str]:
        """The selected fields, none for all."""
        chosen = ";".join(self.all("selectedFields")).split(";")
        return [field.strip() for field in chosen if field.strip()]

    async def zone(self) -> tzinfo:
        """The time zone of times without an offset."""
        name = self.text("timeZone")
        if not name:
            return UTC
        try:
            return await asyncio.to_thread(ZoneInfo, _WINDOWS_ZONES.get(name, name))
        except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
            raise Refused(400, f"The time zone '{name}' was not found.") from exc

    async def time(self, name: str, default: str, now: int) -> int:
        """An instant in ticks."""
        return _ticks(self.text(name, default), now, await self.zone())

    async def times(self, name: str, now: int) -> list[int]:
        """Instants in ticks, at least one."""
        zone = await self.zone()
        return [_ticks(text, now, zone) for text in self.required(name)]

    def ordered(self, times: Sequence[int]) -> list[int]:
        """Instants as `sortOrder` says, ascending by default."""
        order = self.choice("sortOrder", ("Ascending", "Descending"))
        return sorted(times, reverse=order == "Descending")

    def words(self, name: str, allowed: Sequence[str]) -> list[str]:
        """Those of the allowed words that are given, in any case; the first without."""
        known = {word.lower(): word for word in allowed}
        given = [text for text in self.all(name) if text] or [allowed[0]]
        for text in given:
            if text.lower() not in known:
                raise Refused(400, f"'{text}' is not valid for '{name}'.")
        return [known[text.lower()] for text in given]

    def interval(self, name: str, default: str) -> Interval:
        """A span of time."""
        try:
            return parse_interval(self.text(name, default))
        except IntervalError as exc:
            raise Refused(400, str(exc)) from exc


def _ticks(text: str, now: int, zone: tzinfo) -> int:
    try:
        return parse_time(text, now, zone)
    except TimeError as exc:
        raise Refused(400, str(exc)) from exc


_WINDOWS_ZONES: Final = {
    "UTC": "UTC",
    "GMT Standard Time": "Europe/London",
    "W. Europe Standard Time": "Europe/Berlin",
    "Central European Standard Time": "Europe/Warsaw",
    "Eastern Standard Time": "America/New_York",
    "Central Standard Time": "America/Chicago",
    "Pacific Standard Time": "America/Los_Angeles",
    "Tokyo Standard Time": "Asia/Tokyo",
}
"""The Windows names that are understood beside those of the IANA."""
