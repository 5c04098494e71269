"""A sample as a record of plain values, as files, web servers and topics get it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from pichannels.errors import DecodeError
from pichannels.values import (
    TICKS_PER_SECOND,
    DigitalState,
    Sample,
    Tag,
    ValueFailure,
    datetime_from_ticks,
    format_ticks,
    parse_ticks,
    ticks_from_datetime,
)

__all__ = [
    "SAMPLES",
    "Line",
    "iso",
    "line_of",
    "record_of",
    "sample_fields",
    "sample_of",
]

SAMPLES: Final = "application/vnd.pichannels.samples"
"""The content type of a message whose payload is a list of samples."""
_SECONDS_KEPT: Final = 8192


class Line(msgspec.Struct, gc=False):
    """One sample; the order of the fields is that in files."""

    tag: str
    path: str
    time: str
    value: Any
    good: bool
    questionable: bool
    substituted: bool
    annotated: bool
    units: str
    event_id: str
    lane: str


class _Failure(msgspec.Struct, gc=False):
    error: str


# The text of whole seconds met last: formatting one is far dearer than a look-up.
_seconds: Final[dict[int, str]] = {}


def iso(ticks: int) -> str:
    """The instant as `format_ticks` writes it; faster for many near each other."""
    second, rest = divmod(ticks, TICKS_PER_SECOND)
    text = _seconds.get(second)
    if text is None:
        if len(_seconds) >= _SECONDS_KEPT:
            _seconds.clear()
        text = _seconds[second] = format_ticks(second * TICKS_PER_SECOND)[:-1]
    return f"{text}.{rest:07d}".rstrip("0") + "Z" if rest else text + "Z"


def line_of(sample: Sample, lane: str) -> Line:
    """A sample that came on this lane, ready for JSON."""
    tag = sample.tag
    value = sample.value
    return Line(
        tag.name,
        tag.path,
        iso(sample.ticks),
        value if type(value) is not ValueFailure else _Failure(value.message),
        sample.good,
        sample.questionable,
        sample.substituted,
        sample.annotated,
        sample.units or tag.units,
        sample.event_id,
        lane,
    )


def record_of(sample: Sample, lane: str) -> dict[str, Any]:
    """The same as a dict of plain values, for codecs."""
    record = msgspec.structs.asdict(line_of(sample, lane))
    value = record["value"]
    if isinstance(value, msgspec.Struct):
        record["value"] = msgspec.structs.asdict(value)
    return record


def sample_fields(sample: Sample, lane: str) -> dict[str, Any]:
    """`record_of`, for schemas of one's own.

    With `server`, `ticks` (of 100 ns since 1970 UTC), `timestamp` (an aware datetime),
    and the name of a digital state, or the text of an error, as `value`.
    """
    value = sample.value
    if type(value) is DigitalState:
        value = value.name
    elif type(value) is ValueFailure:
        value = value.message
    more = {
        "server": sample.tag.server,
        "ticks": sample.ticks,
        "timestamp": datetime_from_ticks(sample.ticks),
        "value": value,
    }
    return record_of(sample, lane) | more


def sample_of(record: Mapping[str, Any]) -> Sample:
    """The sample of a record that pichannels has written.

    Its event id is that of the record.

    Raises:
        DecodeError: it is none.
    """
    try:
        tag = Tag(
            str(record["tag"]),
            str(record.get("path") or ""),
            server=str(record.get("server") or ""),
            units=str(record.get("units") or ""),
        )
        return Sample(
            tag,
            _ticks_of(record),
            _value_of(record["value"]),
            good=_flag(record.get("good", True)),
            questionable=_flag(record.get("questionable")),
            substituted=_flag(record.get("substituted")),
            annotated=_flag(record.get("annotated")),
            id=str(record.get("event_id") or ""),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise DecodeError("a record of a sample", f"{exc!r}") from exc


def _flag(found: Any) -> bool:
    # CSV has texts.
    return found == "True" if isinstance(found, str) else bool(found)


def _ticks_of(record: Mapping[str, Any]) -> int:
    if "ticks" in record:
        return int(record["ticks"])
    time = record["time"]
    return parse_ticks(time) if isinstance(time, str) else ticks_from_datetime(time)


def _value_of(found: Any) -> Any:
    if not isinstance(found, Mapping):
        return found
    if "error" in found:
        return ValueFailure(str(found["error"]))
    return DigitalState(found["name"], found["code"], found.get("is_system", False))
