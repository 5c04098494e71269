"""Sparkplug B payloads by protobuf, which the extra `mqtt` brings.

The only module that knows protobuf. The messages are described here, by the field
numbers of the specification (Sparkplug 3.0), so that no generated code is needed.
"""

from __future__ import annotations

import importlib
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from pichannels.errors import DecodeError, SettingsError
from pichannels.values import format_ticks

__all__ = ["Metric", "Payload", "Sparkplug", "payload_class"]

_PACKAGE: Final = "pichannels.sparkplug"
_TICKS_PER_MILLISECOND: Final = 10_000
# Fields by message: name, type, number; `*` for repeated, `|` for one of the values.
_MESSAGES: Final[Mapping[str, str]] = {
    "Payload": "timestamp uint64 1, metrics *Metric 2, seq uint64 3, uuid string 4,"
    " body bytes 5",
    "Metric": "name string 1, alias uint64 2, timestamp uint64 3, datatype uint32 4,"
    " is_historical bool 5, is_transient bool 6, is_null bool 7, metadata MetaData 8,"
    " properties PropertySet 9, int_value |uint32 10, long_value |uint64 11,"
    " float_value |float 12, double_value |double 13, boolean_value |bool 14,"
    " string_value |string 15, bytes_value |bytes 16, dataset_value |DataSet 17,"
    " template_value |Template 18",
    "MetaData": "is_multi_part bool 1, content_type string 2, size uint64 3,"
    " seq uint64 4, file_name string 5, file_type string 6, md5 string 7,"
    " description string 8",
    "PropertySet": "keys *string 1, values *PropertyValue 2",
    "PropertySetList": "propertyset *PropertySet 1",
    "PropertyValue": "type uint32 1, is_null bool 2, int_value |uint32 3,"
    " long_value |uint64 4, float_value |float 5, double_value |double 6,"
    " boolean_value |bool 7, string_value |string 8,"
    " propertyset_value |PropertySet 9, propertysets_value |PropertySetList 10",
    "DataSet": "num_of_columns uint64 1, columns *string 2, types *uint32 3,"
    " rows *Row 4",
    "Row": "elements *DataSetValue 1",
    "DataSetValue": "int_value |uint32 1, long_value |uint64 2, float_value |float 3,"
    " double_value |double 4, boolean_value |bool 5, string_value |string 6",
    "Template": "version string 1, metrics *Metric 2, parameters *Parameter 3,"
    " template_ref string 4, is_definition bool 5",
    "Parameter": "name string 1, type uint32 2, int_value |uint32 3,"
    " long_value |uint64 4, float_value |float 5, double_value |double 6,"
    " boolean_value |bool 7, string_value |string 8",
}
_SIGNED: Final = {1: 8, 2: 16, 3: 32, 4: 64}
_DATETIME: Final = 13
# Arrays of numbers: how one is packed.
_ARRAYS: Final = {
    22: "b",
    23: "h",
    24: "i",
    25: "q",
    26: "B",
    27: "H",
    28: "I",
    29: "Q",
    30: "f",
    31: "d",
    34: "q",
}
_BOOLEANS: Final = 32
_STRINGS: Final = 33
_DATETIMES: Final = 34


class Metric(NamedTuple):
    """One value of a payload.

    Attributes:
        name: empty where only the alias says which metric it is.
        alias: a number in place of the name.
        ticks: when; None where the payload says it.
        datatype: its number in the specification; 0 where a birth has said it.
        is_historical: not the newest value.
        is_null: there is no value.
        raw: the value as it came; `Sparkplug.value` makes one of it.
        properties: what is said of the metric, as plain values.
    """

    name: str
    alias: int | None
    ticks: int | None
    datatype: int
    is_historical: bool
    is_null: bool
    raw: Any
    properties: dict[str, Any]


class Payload(NamedTuple):
    """One Sparkplug message."""

    ticks: int | None
    seq: int | None
    metrics: list[Metric]


def payload_class() -> Any:
    """The protobuf class of a payload.

    Raises:
        SettingsError: protobuf is not installed.
    """
    descriptors = _library("descriptor_pb2")
    pool = _library("descriptor_pool").DescriptorPool()
    pool.Add(_file(descriptors))
    found = pool.FindMessageTypeByName(f"{_PACKAGE}.Payload")
    return _library("message_factory").GetMessageClass(found)


def _library(name: str) -> Any:
    # Only when it is needed: it takes a while, and few projects do.
    try:
        return importlib.import_module(f"google.protobuf.{name}")
    except ImportError as exc:
        raise SettingsError(
            "Sparkplug needs the extra `mqtt`: pip install 'pichannels[mqtt]'"
        ) from exc


def _file(descriptors: Any) -> Any:
    file = descriptors.FileDescriptorProto(
        name="sparkplug_b.proto", package=_PACKAGE, syntax="proto2"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if "|" in fields:
            message.oneof_decl.add(name="value")
        for text in fields.split(", "):
            _add_field(descriptors.FieldDescriptorProto, message, *text.split())
    return file


def _add_field(types: Any, message: Any, name: str, kind: str, number: str) -> None:
    field = message.field.add(name=name, number=int(number))
    field.label = types.LABEL_REPEATED if kind[0] == "*" else types.LABEL_OPTIONAL
    if kind[0] == "|":
        field.oneof_index = 0
    kind = kind.strip("*|")
    if kind in _MESSAGES:
        field.type = types.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"
    else:
        field.type = getattr(types, f"TYPE_{kind.upper()}")


class Sparkplug:
    """Reads payloads.

    Raises:
        SettingsError: protobuf is not installed.
    """

    def __init__(self) -> None:
        self._class = payload_class()
        self._error: type[Exception] = _library("message").DecodeError

    def read(self, data: bytes) -> Payload:
        """What bytes say.

        Raises:
            DecodeError: they are no payload.
        """
        found = self._class()
        try:
            found.ParseFromString(data)
        except self._error as exc:
            raise DecodeError("a Sparkplug payload", str(exc), data) from exc
        return Payload(
            _ticks(found), _optional(found, "seq"), [*map(_metric, found.metrics)]
        )

    @staticmethod
    def value(raw: Any, datatype: int) -> Any:
        """A value as its type says; instants as ISO 8601, tables as mappings.

        Raises:
            DecodeError: it is not of that type.
        """
        try:
            return _value(raw, datatype)
        except (struct.error, ValueError, TypeError, AttributeError) as exc:
            what = f"a Sparkplug value of type {datatype}"
            raise DecodeError(what, str(exc), repr(raw)) from exc


def _optional(found: Any, field: str) -> Any:
    return getattr(found, field) if found.HasField(field) else None


def _ticks(found: Any) -> int | None:
    milliseconds = _optional(found, "timestamp")
    return None if milliseconds is None else milliseconds * _TICKS_PER_MILLISECOND


def _raw(found: Any) -> Any:
    field = found.WhichOneof("value")
    return None if field is None else getattr(found, field)


def _metric(found: Any) -> Metric:
    return Metric(
        found.name,
        _optional(found, "alias"),
        _ticks(found),
        found.datatype,
        found.is_historical,
        found.is_null,
        _raw(found),
        dict(_properties(found.properties)),
    )


def _properties(found: Any) -> Iterator[tuple[str, Any]]:
    for key, each in zip(found.keys, found.values, strict=False):
        raw = _raw(each)
        if hasattr(raw, "propertyset"):
            yield key, [dict(_properties(one)) for one in raw.propertyset]
        elif hasattr(raw, "keys"):
            yield key, dict(_properties(raw))
        elif each.is_null:
            yield key, None
        else:
            with suppress(DecodeError):
                yield key, Sparkplug.value(raw, each.type)


def _value(raw: Any, datatype: int) -> Any:
    bits = _SIGNED.get(datatype)
    if bits is not None:
        raw &= (1 << bits) - 1
        return raw - (1 << bits) if raw >> (bits - 1) else raw
    if datatype == _DATETIME:
        return format_ticks(raw * _TICKS_PER_MILLISECOND)
    if _BOOLEANS >= datatype >= min(_ARRAYS) or datatype in (_STRINGS, _DATETIMES):
        return _array(raw, datatype)
    if hasattr(raw, "num_of_columns"):
        return _table(raw)
    if hasattr(raw, "template_ref"):
        return {
            "template": raw.template_ref,
            "metrics": {
                each.name: None if each.is_null else _value(_raw(each), each.datatype)
                for each in raw.metrics
            },
        }
    return raw


def _table(found: Any) -> dict[str, Any]:
    types = list(found.types)
    rows = [
        [
            None if (raw := _raw(each)) is None else _value(raw, kind)
            for kind, each in zip(types, row.elements, strict=True)
        ]
        for row in found.rows
    ]
    return {"columns": list(found.columns), "rows": rows}


def _array(raw: bytes, datatype: int) -> list[Any]:
    """An array is packed in bytes, little end first."""
    if datatype == _STRINGS:
        return [part.decode() for part in raw.split(b"\0")[:-1]]
    if datatype == _BOOLEANS:
        (count,) = struct.unpack_from("<I", raw)
        if count > 8 * (len(raw) - 4):
            raise ValueError(f"{count} booleans do not fit in {len(raw)} bytes")
        return [bool(raw[4 + n // 8] >> (7 - n % 8) & 1) for n in range(count)]
    code = _ARRAYS[datatype]
    size = struct.calcsize(f"<{code}")
    values = list(struct.unpack(f"<{len(raw) // size}{code}", raw))
    if datatype == _DATETIMES:
        return [format_ticks(each * _TICKS_PER_MILLISECOND) for each in values]
    return values
