"""The bodies of writes, in the form that PI wants and checked before they are sent.

Values are small functions, as there are many of them; points, elements, attributes,
event frames and searches are structs. Fields that are not given are not sent, so
that the same structs serve `create_...` and `update`; None is sent as null.
`batches` has the body of `batch.execute`.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from datetime import datetime
from math import isfinite
from numbers import Integral, Real
from typing import Any, ClassVar, Final, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from pichannels.piwebasync.exceptions import APIException, SerializationError
from pichannels.values import (
    OPEN_END,
    DigitalState,
    Sample,
    format_ticks,
    ticks_from_datetime,
)

__all__ = [
    "Attribute",
    "Element",
    "EventFrame",
    "Instant",
    "Point",
    "Search",
    "ValueQuery",
    "pi_time",
    "sample_value",
    "samples_by_stream",
    "stream_value",
    "stream_values",
    "timed_value",
]

Instant: TypeAlias = str | int | datetime
"""PI time or ISO 8601 text, ticks of 100 ns since 1970 UTC, or an aware datetime."""

_Text: TypeAlias = str | None | UnsetType
_Texts: TypeAlias = list[str] | UnsetType
_Flag: TypeAlias = bool | UnsetType
_Number: TypeAlias = float | None | UnsetType

_POINT_TYPES: Final = frozenset(
    "Int16 Int32 Float16 Float32 Float64 Digital Timestamp String Blob".split()
)
_SEVERITIES: Final = frozenset(
    ("None", "Information", "Warning", "Minor", "Major", "Critical")
)
# What neither PI nor AF takes in a name.
_NOT_IN_NAMES: Final = frozenset("*?;{}[]|\\`'\"")


def pi_time(moment: Instant) -> str:
    """A time as PI reads it, exact to 100 ns.

    Raises:
        SerializationError: a number out of range, a datetime without time zone,
            an empty text, or something else.
    """
    if isinstance(moment, str) and moment:
        return moment
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        return format_ticks(ticks_from_datetime(moment))
    if isinstance(moment, int) and not isinstance(moment, bool):
        if 0 <= moment <= OPEN_END:
            return format_ticks(moment)
    allowed = "a text, ticks since 1970, or a datetime with time zone"
    raise SerializationError("timestamp", moment, allowed)


def timed_value(
    value: Any,
    timestamp: Instant | None = None,
    *,
    units: str | None = None,
    good: bool | None = None,
    questionable: bool | None = None,
) -> dict[str, Any]:
    """One value to write; without `timestamp` PI takes its own time.

    A `DigitalState` is written by its name, which is what PI takes; an instant
    for a timestamp point is an aware datetime. `units` is an abbreviation of AF.

    Raises:
        SerializationError: PI has no form for this value or time.
    """
    body: dict[str, Any] = {}
    if timestamp is not None:
        body["Timestamp"] = pi_time(timestamp)
    body["Value"] = _plain(value)
    given = (
        ("UnitsAbbreviation", units),
        ("Good", good),
        ("Questionable", questionable),
    )
    return body | {key: one for key, one in given if one is not None}


def sample_value(sample: Sample) -> dict[str, Any]:
    """A sample as a value to write, with its status where that is not good."""
    return timed_value(
        sample.value,
        sample.ticks,
        good=None if sample.good else False,
        questionable=sample.questionable or None,
    )


def stream_value(web_id: str, value: dict[str, Any]) -> dict[str, Any]:
    """One value (`timed_value`) of one stream, for `streamsets.update_value...`."""
    return {"WebId": _web_id(web_id), "Value": value}


def stream_values(web_id: str, values: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Values (`timed_value`) of one stream, for `streamsets.update_values...`."""
    return {"WebId": _web_id(web_id), "Items": list(values)}


def samples_by_stream(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Samples as the body of `streamsets.update_values_adhoc`, by their WebIDs.

    Raises:
        SerializationError: a tag without WebID, or a value without a form.
    """
    streams: dict[str, list[dict[str, Any]]] = {}
    for sample in samples:
        streams.setdefault(sample.tag.web_id, []).append(sample_value(sample))
    return [stream_values(web_id, values) for web_id, values in streams.items()]


def _web_id(web_id: str) -> str:
    if isinstance(web_id, str) and web_id:
        return web_id
    raise SerializationError("WebId", web_id, "the WebID of a point or an attribute")


def _plain(value: Any) -> Any:
    """The value as JSON that PI takes."""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, (str, bool)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real) and isfinite(value):
        return float(value)
    if isinstance(value, DigitalState) and value.name:
        return value.name
    if isinstance(value, datetime):
        return pi_time(value)
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    allowed = "a finite number, a text, a bool, a state with a name, a time, a list"
    raise SerializationError("value", value, allowed)


class _Object(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="pascal",
    repr_omit_defaults=True,
):
    """An object of PI under its own keys; fields are checked by their types."""

    _times: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(self):
            value = getattr(self, field.name)
            if value is not UNSET:
                msgspec.structs.force_setattr(
                    self, field.name, self._fitting(field, value)
                )

    def _fitting(self, field: msgspec.structs.FieldInfo, value: Any) -> Any:
        if field.name in self._times:
            return None if value is None else pi_time(value)
        try:
            fitting = msgspec.convert(value, field.type)
        except msgspec.ValidationError as exc:
            expected = str(exc).removeprefix("Expected ")
            raise SerializationError(field.encode_name, value, expected) from exc
        if field.name == "name":
            _check_name(fitting)
        return fitting


def _check_name(name: str) -> None:
    refused = "".join(sorted(set(name) & _NOT_IN_NAMES))
    if refused or not name.strip():
        allowed = f"a name without {refused}" if refused else "a name"
        raise SerializationError("Name", name, allowed)


def _check_one_of(key: str, value: Any, allowed: Iterable[str]) -> None:
    if value is not UNSET and value not in allowed:
        raise SerializationError(key, value, ", ".join(sorted(allowed)))


class Point(_Object, frozen=True, kw_only=True):
    """A PI point, for `dataservers.create_point` and `points.update`.

    Of points that exist PI changes name, descriptor, engineering units, step and
    display digits only; new ones need a name, a class and a type.

    Raises:
        SerializationError: a field does not fit.
    """

    name: str | UnsetType = UNSET
    descriptor: _Text = UNSET
    point_class: str | UnsetType = UNSET
    point_type: str | UnsetType = UNSET
    digital_set_name: _Text = UNSET
    engineering_units: _Text = UNSET
    zero: _Number = UNSET
    span: _Number = UNSET
    step: _Flag = UNSET
    future: _Flag = UNSET
    display_digits: int | UnsetType = UNSET

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_one_of("PointType", self.point_type, _POINT_TYPES)
        if self.point_type == "Digital" and not self.digital_set_name:
            name = self.digital_set_name
            raise SerializationError("DigitalSetName", name, "the set of its states")


class Element(_Object, frozen=True, kw_only=True):
    """An AF element, for `create_element` and `elements.update`.

    Raises:
        SerializationError: a field does not fit.
    """

    name: str | UnsetType = UNSET
    description: _Text = UNSET
    template_name: _Text = UNSET
    category_names: _Texts = UNSET
    extended_properties: dict[str, Any] | UnsetType = UNSET


class Attribute(_Object, frozen=True, kw_only=True):
    """An AF attribute, for `create_attribute` and `attributes.update`.

    `type` is a type of AF such as `Double`, `type_qualifier` the enumeration set of
    an `EnumerationValue`, `config_string` what the data reference reads.

    Raises:
        SerializationError: a field does not fit.
    """

    name: str | UnsetType = UNSET
    description: _Text = UNSET
    type: str | UnsetType = UNSET
    type_qualifier: _Text = UNSET
    default_units_name: _Text = UNSET
    data_reference_plug_in: _Text = UNSET
    config_string: _Text = UNSET
    is_configuration_item: _Flag = UNSET
    is_excluded: _Flag = UNSET
    is_hidden: _Flag = UNSET
    is_manual_data_entry: _Flag = UNSET
    category_names: _Texts = UNSET
    trait_name: _Text = UNSET
    display_digits: int | UnsetType = UNSET


class EventFrame(_Object, frozen=True, kw_only=True):
    """An AF event frame, for `create_event_frame` and `eventframes.update`.

    Without `end_time` it is still going on.

    Raises:
        SerializationError: a field does not fit.
    """

    _times: ClassVar[tuple[str, ...]] = ("start_time", "end_time")

    name: str | UnsetType = UNSET
    description: _Text = UNSET
    template_name: _Text = UNSET
    start_time: Instant | UnsetType = UNSET
    end_time: Instant | None | UnsetType = UNSET
    severity: str | UnsetType = UNSET
    can_be_acknowledged: _Flag = UNSET
    ref_element_web_ids: _Texts = UNSET
    category_names: _Texts = UNSET
    extended_properties: dict[str, Any] | UnsetType = UNSET

    def __post_init__(self) -> None:
        _check_order(self.start_time, self.end_time)
        super().__post_init__()
        _check_one_of("Severity", self.severity, _SEVERITIES)


def _check_order(start: Any, end: Any) -> None:
    """Refuse an end before the start; PI alone knows what its own times mean."""
    both = (start, end)
    alike = any(all(isinstance(one, kind) for one in both) for kind in (int, datetime))
    if alike and end < start:
        raise SerializationError("EndTime", end, f"not before {start}")


class ValueQuery(_Object, frozen=True, kw_only=True):
    """One condition of a `Search`: an attribute's value compared with another.

    Raises:
        SerializationError: a field does not fit.
    """

    attribute_name: str
    attribute_value: Any
    search_operator: str = "Equal"
    attribute_uom: str | UnsetType = msgspec.field(name="AttributeUOM", default=UNSET)


class Search(_Object, frozen=True, kw_only=True):
    """Objects of a template by values of attributes; all conditions have to hold.

    For `create_search_by_attribute` of `elements` and `eventframes`. The template
    and the root, below which it searches, are WebIDs.

    Raises:
        APIException: there is no condition.
        SerializationError: a field does not fit.
    """

    element_template: str
    value_queries: Sequence[ValueQuery]
    search_root: str | UnsetType = UNSET

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.value_queries:
            raise APIException("a search by attributes needs at least one ValueQuery")
