"""PI values: tags, samples, digital states, and time as ticks.

A *tick* is 100 ns, the resolution of PI's own timestamps; instants are int64
ticks since 1970-01-01 UTC, so that nothing is lost and PI's last instant
(9999-12-31T23:59:59.9999999Z) fits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any, Final
from zlib import crc32

import msgspec

from pichannels.errors import DecodeError

__all__ = [
    "NO_DATA",
    "OPEN_END",
    "TICKS_PER_SECOND",
    "DigitalState",
    "Sample",
    "Tag",
    "Value",
    "ValueFailure",
    "datetime_from_ticks",
    "format_ticks",
    "number_identical",
    "parse_all_ticks",
    "parse_ticks",
    "tags_of",
    "ticks_from_datetime",
]

TICKS_PER_SECOND: Final = 10_000_000
NO_DATA: Final = 0
"""PI's 1970-01-01T00:00:00Z, which means that there is no value."""
OPEN_END: Final = 2_534_023_007_999_999_999
"""PI's 9999-12-31T23:59:59.9999999Z, the end of what has not ended."""

_pack_double = Struct("<d").pack
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The digits after the seconds, not those of an offset.
_FRACTION = re.compile(r".{7,10}[^.,+-]*[.,]([0-9]+)")
# Slices of a loop are made once. Where a whole second with its point, the hour, what
# follows the hour, four digits, and all that is left stand in a text:
_SECOND, _HOUR, _AFTER = slice(20), slice(14), slice(14, 20)
_FOUR, _REST = slice(20, 24), slice(24, None)
# Instants are added up of pieces of their text, as look-ups are far cheaper than
# parsing. What PI repeats is kept: days, hours, whole seconds with their point.
_KEPT = 8192
_DAYS: dict[str, int] = {}
_OF_DAY: Final = {f"{n:02d}:": n * 36_000_000_000 for n in range(24)}
_OF_HOUR: Final = {
    f"{n // 60:02d}:{n % 60:02d}.": n * TICKS_PER_SECOND for n in range(3600)
}


def _keep(pieces: dict[str, int], text: str, ticks: int) -> int:
    """Remember a piece; all are forgotten when they are too many."""
    if len(pieces) >= _KEPT:
        pieces.clear()
    pieces[text] = ticks
    return ticks


class _Hours(dict[str, int]):
    """Ticks by such as `2024-05-01T06:`; the day has to be known."""

    def __missing__(self, text: str) -> int:
        return _keep(self, text, _DAYS[text[:11]] + _OF_DAY[text[11:]])


class _Seconds(dict[str, int]):
    """Ticks by such as `2024-05-01T06:00:00.`; the day has to be known."""

    def __missing__(self, text: str) -> int:
        return _keep(self, text, _HOURS[text[:14]] + _OF_HOUR[text[14:]])


_HOURS = _Hours()
_SECONDS = _Seconds()


def _endings(digits: int, worth: int, before: str = "") -> dict[str, int]:
    """Ticks of all texts of so many digits and Z; the last digit is `worth` so many."""
    texts = (f"{before}{n:0{digits}d}Z" for n in range(10**digits))
    return {text: n * worth for n, text in enumerate(texts)}


# The first four digits after the point, and what can follow them. Together they
# check what they add up, which is why nothing else needs to be looked at.
_HIGH: Final = {f"{n:04d}": n * 1000 for n in range(10_000)}
_LOW: Final = {"Z": 0} | _endings(1, 100) | _endings(2, 10) | _endings(3, 1)
# All that can follow whole seconds with fewer digits.
_SHORT: Final = (
    {"Z": 0}
    | _endings(1, 1_000_000, ".")
    | _endings(2, 100_000, ".")
    | _endings(3, 10_000, ".")
)


def parse_ticks(text: str) -> int:
    """Ticks of an ISO 8601 instant, exact to the seventh digit.

    `Z`, `+hh:mm` and a missing offset (UTC) are understood; digits after the
    seventh are cut off.

    Raises:
        DecodeError: the text is no instant.
    """
    try:
        return _SECONDS[text[_SECOND]] + _HIGH[text[_FOUR]] + _LOW[text[_REST]]
    except KeyError:
        return _parse_new(text)


def parse_all_ticks(texts: Sequence[str]) -> list[int]:
    """`parse_ticks` of each text; faster than so many calls.

    Raises:
        DecodeError: one of the texts is no instant.
    """
    if texts and texts[0][:17] == texts[-1][:17]:
        return _dense(texts)
    return _sparse(texts)


def _dense(texts: Sequence[str]) -> list[int]:
    """Ticks of instants of which many share their second."""
    seconds, high, low = _SECONDS, _HIGH, _LOW
    second, four, rest = _SECOND, _FOUR, _REST
    result: list[int] = []
    append = result.append
    for text in texts:
        try:
            append(seconds[text[second]] + high[text[four]] + low[text[rest]])
        except KeyError:
            append(_parse_new(text))
    return result


def _sparse(texts: Sequence[str]) -> list[int]:
    """Ticks of instants most of which have a second of their own."""
    hours, of_hour, high, low = _HOURS, _OF_HOUR, _HIGH, _LOW
    hour, after, four, rest = _HOUR, _AFTER, _FOUR, _REST
    result: list[int] = []
    append = result.append
    for text in texts:
        try:
            whole = hours[text[hour]] + of_hour[text[after]]
            append(whole + high[text[four]] + low[text[rest]])
        except KeyError:
            append(_parse_new(text))
    return result


def _parse_new(text: str) -> int:
    """Ticks of a text that is unusual, or whose day has not been met lately."""
    fraction = _SHORT.get(text[19:])
    if fraction is not None and text[:11] in _DAYS:
        try:
            return _SECONDS[text[:19] + "."] + fraction
        except KeyError:
            pass  # The text is no instant, which the next lines tell better.
    try:
        return _parse_any(text)
    except (ValueError, OverflowError) as exc:
        raise DecodeError("a timestamp", str(exc), text) from exc


def _parse_any(text: str) -> int:
    if not text.isascii():
        raise ValueError("other than ASCII characters")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    whole = ticks_from_datetime(moment.replace(microsecond=0))
    of_day, of_hour = _OF_DAY.get(text[11:14]), _OF_HOUR.get(text[14:19] + ".")
    if text[-1:] == "Z" and of_day is not None and of_hour is not None:
        _keep(_DAYS, text[:11], whole - of_day - of_hour)
    digits = _FRACTION.match(text)
    return whole + int(f"{digits[1]:0<7.7}") if digits else whole


def ticks_from_datetime(moment: datetime) -> int:
    """Ticks of an aware datetime.

    Raises:
        ValueError: the datetime has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone; use datetime.now(UTC)")
    since = moment - _EPOCH
    return (since.days * 86400 + since.seconds) * 10_000_000 + since.microseconds * 10


def datetime_from_ticks(ticks: int) -> datetime:
    """The aware UTC datetime of `ticks`; the seventh digit is cut off."""
    seconds, rest = divmod(ticks, TICKS_PER_SECOND)
    return _EPOCH + timedelta(seconds=seconds, microseconds=rest // 10)


def format_ticks(ticks: int) -> str:
    """ISO 8601 text as PI writes it: `Z`, up to seven digits, no trailing zeros."""
    seconds, rest = divmod(ticks, TICKS_PER_SECOND)
    moment = _EPOCH + timedelta(seconds=seconds)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    if rest:
        text += f".{rest:07d}".rstrip("0")
    return text + "Z"


class DigitalState(msgspec.Struct, frozen=True, gc=False):
    """A state of a digital tag, or a system state such as `I/O Timeout`.

    `code` is the state's number in its set; names can be localised.
    """

    name: str
    code: int
    is_system: bool = False


class ValueFailure(msgspec.Struct, frozen=True, gc=False):
    """What PI answers in place of a value that it could not compute."""

    message: str


Value = float | int | str | bool | DigitalState | ValueFailure | None
"""What a sample can hold. Lists come through as they are."""


class Tag(msgspec.Struct, frozen=True, gc=False):
    """Which time series of which server: a PI point or an AF attribute.

    `server` is the *configured* name of the logical server; `key` is the point
    id or the attribute's GUID, which outlive renames, else the path.
    """

    name: str
    path: str = ""
    web_id: str = ""
    server: str = ""
    key: str = ""
    units: str = ""


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One event of a tag.

    A sample never changes; `with_value` and `with_` make another one that keeps
    the `event_id` of the event as PI sent it.
    """

    tag: Tag
    ticks: int
    value: Any
    good: bool = True
    questionable: bool = False
    substituted: bool = False
    annotated: bool = False
    units: str = ""
    nth: int = 0
    """Which one among events of the tag that are the same in every respect."""
    id: str = ""
    """The event id once it had to be fixed; ask for `event_id` instead."""

    @property
    def event_id(self) -> str:
        """The same for the same event however often it is read or sent.

        Made of the configured server, the point id or attribute GUID, the
        timestamp, the raw value and status, and the number among identical ones.
        """
        if self.id:
            return self.id
        tag = self.tag
        status = (
            self.good
            | self.questionable << 1
            | self.substituted << 2
            | self.annotated << 3
        )
        return (
            f"{tag.server}/{tag.key or tag.path or tag.name}/{self.ticks}"
            f"/{_checksum(self.value):08x}.{status:x}.{self.nth}"
        )

    @property
    def is_system(self) -> bool:
        """Whether the value is a system state (`Bad Input`, `Pt Created`, ...)."""
        return type(self.value) is DigitalState and self.value.is_system

    @property
    def timestamp(self) -> datetime:
        """The instant as aware UTC datetime (microseconds; `ticks` is exact)."""
        return datetime_from_ticks(self.ticks)

    @property
    def ns(self) -> int:
        """Nanoseconds since 1970 UTC."""
        return self.ticks * 100

    @property
    def iso(self) -> str:
        """The instant as PI writes it."""
        return format_ticks(self.ticks)

    def with_value(self, value: Any, units: str | None = None) -> Sample:
        """The same event with another value (and units)."""
        return self.with_(value=value, units=self.units if units is None else units)

    def with_(self, **changes: Any) -> Sample:
        """The same event with other fields."""
        changes.setdefault("id", self.event_id)
        return msgspec.structs.replace(self, **changes)


def _whose(tag: Tag) -> tuple[str, str]:
    return tag.server, tag.key or tag.path or tag.name


def _checksum(value: Any) -> int:
    """Tells values of the same tag and instant apart, the same in each process."""
    kind = type(value)
    if kind is float:
        return crc32(_pack_double(value))
    if kind is DigitalState:
        value = (value.code, value.is_system)
    # The kind counts too: 1 and True are different values of a tag.
    return crc32(f"{kind.__name__}{value!r}".encode("utf-8", "surrogatepass"))


def number_identical(samples: list[Sample]) -> list[Sample]:
    """Number the samples of one message that are the same in every respect.

    Returns the list itself where all differ, which is the usual case.
    """
    if len({(_whose(s.tag), s.ticks) for s in samples}) == len(samples):
        return samples
    seen: dict[str, int] = {}
    result = []
    for sample in samples:
        identity = sample.event_id
        nth = seen.get(identity, 0)
        seen[identity] = nth + 1
        result.append(
            msgspec.structs.replace(sample, nth=nth, id="") if nth else sample
        )
    return result


def tags_of(samples: Iterable[Sample]) -> list[Tag]:
    """The tags in order of their first appearance, each once."""
    return list(dict.fromkeys(sample.tag for sample in samples))
