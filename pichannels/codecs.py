"""Typed encoding of messages and saved data; never pickle.

A stored message is input like any other, so reading one back must not run code
of its choosing. Plain data, the common standard types, PI values, dataclasses
and msgspec structs work by themselves; other types through `register_codec`.
There are two forms of the same: MessagePack for stores, JSON for people.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import sys
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from pichannels.errors import CodecError
from pichannels.values import DigitalState, Sample, Tag, ValueFailure

__all__ = [
    "Unknown",
    "decode",
    "decode_json",
    "decode_leniently",
    "encode",
    "encode_json",
    "register_codec",
]

_EXTENSION: Final = 1
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_ATOMS = frozenset({type(None), bool, float, str, bytes})


class _Typed:
    """A value with the name of the codec that reads it back."""

    __slots__ = ("data", "name")

    def __init__(self, name: str, data: Any) -> None:
        self.name = name
        self.data = data


class _Codec(NamedTuple):
    name: str
    dump: Callable[[Any], Any]
    load: Callable[[Any], Any]


class Unknown(msgspec.Struct, frozen=True):
    """A value of a type that nothing here knows; it is written as it was read.

    Attributes:
        name: of its codec, or its module and class.
        data: what the codec has made of it.
    """

    name: str
    data: Any


_BY_TYPE: dict[type, _Codec] = {}
_BY_NAME: dict[str, _Codec] = {}


def register_codec(
    type_: type,
    dump: Callable[[Any], Any],
    load: Callable[[Any], Any],
    *,
    name: str | None = None,
) -> None:
    """Let messages carry values of `type_`.

    Args:
        type_: the exact type (subclasses need a codec of their own).
        dump: gives plain data, or values of types that have codecs.
        load: makes the value again from what `dump` gave.
        name: what is written beside the data, by default module and class name;
            keep it when the class moves.
    """
    codec = _Codec(name or f"{type_.__module__}:{type_.__qualname__}", dump, load)
    _BY_TYPE[type_] = codec
    _BY_NAME[codec.name] = codec


def encode(value: Any) -> bytes:
    """MessagePack of `value`.

    Raises:
        CodecError: some value inside has no codec.
    """
    try:
        return _ENCODER.encode(value if type(value) in _ATOMS else _pack(value))
    except CodecError:
        raise
    except Exception as exc:
        raise _unwritable(exc) from exc


def decode(data: bytes) -> Any:
    """The value that `encode` wrote.

    Raises:
        CodecError: not written by `encode`, or a type is unknown here.
    """
    try:
        return _DECODER.decode(data)
    except CodecError:
        raise
    except Exception as exc:
        raise _unreadable("data", exc) from exc


def decode_leniently(data: bytes) -> Any:
    """As `decode`, but what has a type that is unknown here becomes `Unknown`.

    For tools that show, copy or count what others have written.

    Raises:
        CodecError: not written by `encode`.
    """
    try:
        return _LENIENT_DECODER.decode(data)
    except CodecError:
        raise
    except Exception as exc:
        raise _unreadable("data", exc) from exc


def encode_json(value: Any, *, indent: int = 0) -> str:
    """JSON text of `value`; typed values become `{"$type": ..., "value": ...}`.

    Raises:
        CodecError: some value inside has no codec.
    """
    try:
        data = _JSON_ENCODER.encode(_json(_pack(value)))
    except CodecError:
        raise
    except Exception as exc:
        raise _unwritable(exc) from exc
    return (msgspec.json.format(data, indent=indent) if indent else data).decode()


def decode_json(text: str | bytes) -> Any:
    """The value that `encode_json` wrote; any other JSON gives plain data.

    Raises:
        CodecError: no JSON, or a type is unknown here.
    """
    try:
        return _unjson(_JSON_DECODER.decode(text))
    except CodecError:
        raise
    except Exception as exc:
        raise _unreadable("JSON", exc) from exc


def _unwritable(exc: Exception) -> CodecError:
    return CodecError(f"this value cannot be stored: {_reason(exc)}")


def _unreadable(what: str, exc: Exception) -> CodecError:
    return CodecError(f"stored {what} cannot be read: {_reason(exc)}")


def _reason(exc: Exception) -> str:
    if isinstance(exc, RecursionError):
        return "nested too deeply"
    return str(exc) or type(exc).__name__


def _pack(value: Any) -> Any:
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is int:
        return value if _INT_MIN <= value <= _INT_MAX else _Typed("int", hex(value))
    if kind is list:
        if value and type(value[0]) is Sample and all(type(v) is Sample for v in value):
            return _Typed("samples", _dump_samples(value))
        return [v if type(v) in _ATOMS else _pack(v) for v in value]
    if kind is dict:
        # What is plain costs no call.
        return {
            key if type(key) in _ATOMS else _pack(key): (
                item if type(item) in _ATOMS else _pack(item)
            )
            for key, item in value.items()
        }
    if kind is Sample:
        return _Typed("sample", _dump_samples([value]))
    codec = _BY_TYPE.get(kind)
    if codec is not None:
        return _Typed(codec.name, _pack(codec.dump(value)))
    return _pack_by_shape(value, kind)


def _pack_by_shape(value: Any, kind: type) -> Any:
    if kind is Unknown:
        return _Typed(value.name, _pack(value.data))
    name = f"{kind.__module__}:{kind.__qualname__}"
    fields = _field_names(kind)
    if fields is None and not isinstance(value, enum.Enum):
        raise CodecError(
            f"{name} has no codec; call pichannels.codecs.register_codec for it,"
            " or make it a dataclass"
        )
    if _find(name) is not kind:
        raise CodecError(
            f"{name} could not be read back, for no module has it by this name;"
            " define it at the top of a module, or call register_codec for it"
        )
    if fields is None:
        return _Typed(name, _pack(value.value))
    return _Typed(name, {field: _pack(getattr(value, field)) for field in fields})


def _field_names(kind: type) -> Iterable[str] | None:
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return None


def _unpack_typed(name: str, data: Any) -> Any:
    codec = _BY_NAME.get(name)
    try:
        return codec.load(data) if codec else _load_by_shape(name, data)
    except CodecError:
        raise
    except Exception as exc:
        raise CodecError(f"stored {name} cannot be read: {exc!r}") from exc


def _load_by_shape(name: str, data: Any) -> Any:
    kind = _find_type(name)
    if issubclass(kind, enum.Enum):
        return kind(data)
    if issubclass(kind, msgspec.Struct):
        return kind(**data)
    return _load_dataclass(kind, data)


def _load_dataclass(kind: Any, data: dict[str, Any]) -> Any:
    fields = {field.name: field.init for field in dataclasses.fields(kind)}
    value = kind(
        **{name: item for name, item in data.items() if fields.get(name, True)}
    )
    for name, item in data.items():
        if not fields[name]:
            object.__setattr__(value, name, item)
    return value


def _find(name: str) -> Any:
    # Only what the program has imported by itself counts, and no attribute is
    # computed: data never decides what is imported or run.
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    return found


def _find_type(name: str) -> type:
    found = _find(name)
    is_data = isinstance(found, type) and (
        issubclass(found, (msgspec.Struct, enum.Enum))
        or dataclasses.is_dataclass(found)
    )
    if not is_data:
        raise CodecError(
            f"stored data has a {name}, which is unknown here; import its module or"
            " call register_codec before reading it"
        )
    assert isinstance(found, type)
    return found


def _enc_hook(value: Any) -> Any:
    if type(value) is _Typed:
        return msgspec.msgpack.Ext(
            _EXTENSION, _ENCODER.encode([value.name, value.data])
        )
    raise CodecError(f"{type(value).__name__} has no codec")


def _ext_hook(code: int, data: memoryview) -> Any:
    if code != _EXTENSION:
        raise CodecError(f"stored data has an unknown extension {code}")
    name, inner = _DECODER.decode(data)
    return _unpack_typed(name, inner)


def _lenient_hook(code: int, data: memoryview) -> Any:
    if code != _EXTENSION:
        raise CodecError(f"stored data has an unknown extension {code}")
    name, inner = _LENIENT_DECODER.decode(data)
    try:
        return _unpack_typed(name, inner)
    except CodecError:
        return Unknown(name, inner)


_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=_enc_hook)
_DECODER: Final = msgspec.msgpack.Decoder(ext_hook=_ext_hook)
_LENIENT_DECODER: Final = msgspec.msgpack.Decoder(ext_hook=_lenient_hook)
_JSON_ENCODER: Final = msgspec.json.Encoder()
_JSON_DECODER: Final = msgspec.json.Decoder()


def _json(value: Any) -> Any:
    kind = type(value)
    if kind is bytes:
        return _json_bytes(value)
    if kind is float and (value != value or value in (_INFINITY, -_INFINITY)):
        return {"$type": "float", "value": str(value)}
    if kind is list:
        return [_json(item) for item in value]
    if kind is dict:
        if "$type" in value or any(type(key) is not str for key in value):
            pairs = [[_json(key), _json(item)] for key, item in value.items()]
            return {"$type": "dict", "value": pairs}
        return {key: _json(item) for key, item in value.items()}
    if kind is _Typed:
        return {"$type": value.name, "value": _json(value.data)}
    return value


_INFINITY = float("inf")


def _json_bytes(value: bytes) -> dict[str, str]:
    try:
        return {"$type": "bytes", "text": value.decode()}
    except UnicodeDecodeError:
        return {"$type": "bytes", "value": base64.b64encode(value).decode()}


def _unjson(value: Any) -> Any:
    if type(value) is list:
        return [_unjson(item) for item in value]
    if type(value) is not dict:
        return value
    name = value.get("$type")
    if type(name) is not str:
        return {key: _unjson(item) for key, item in value.items()}
    if name == "bytes" and "text" in value:
        return str(value["text"]).encode()
    return _unpack_typed(name, _unjson(value.get("value")))


def _dump_samples(samples: list[Sample]) -> list[Any]:
    tags: dict[Tag, int] = {}
    rows = [
        [
            tags.setdefault(sample.tag, len(tags)),
            sample.ticks,
            _pack(sample.value),
            sample.good
            | sample.questionable << 1
            | sample.substituted << 2
            | sample.annotated << 3,
            sample.units,
            sample.nth,
            sample.id,
        ]
        for sample in samples
    ]
    return [[list(msgspec.structs.astuple(tag)) for tag in tags], rows]


def _load_samples(data: Any) -> list[Sample]:
    tags = [Tag(*fields) for fields in data[0]]
    return [
        Sample(
            tags[tag],
            ticks,
            value,
            bool(flags & 1),
            bool(flags & 2),
            bool(flags & 4),
            bool(flags & 8),
            units,
            nth,
            id,
        )
        for tag, ticks, value, flags, units, nth, id in data[1]
    ]


def _load_one_sample(data: Any) -> Sample:
    return _load_samples(data)[0]


def _load_bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _fields(value: msgspec.Struct) -> list[Any]:
    return list(msgspec.structs.astuple(value))


# Decimal digits have a limit in Python, hexadecimal ones have none.
_BY_NAME["int"] = _Codec("int", hex, lambda text: int(text, 16))
_BY_NAME["float"] = _Codec("float", str, float)
_BY_NAME["samples"] = _Codec("samples", _dump_samples, _load_samples)
_BY_NAME["dict"] = _Codec("dict", list, dict)
_BY_NAME["bytes"] = _Codec("bytes", base64.b64encode, _load_bytes)
_BY_NAME["sample"] = _Codec("sample", _dump_samples, _load_one_sample)
register_codec(Tag, _fields, lambda v: Tag(*v), name="tag")
register_codec(DigitalState, _fields, lambda v: DigitalState(*v), name="state")
register_codec(ValueFailure, _fields, lambda v: ValueFailure(*v), name="failure")
register_codec(tuple, list, tuple, name="tuple")
register_codec(set, list, set, name="set")
register_codec(frozenset, list, frozenset, name="frozenset")
register_codec(bytearray, bytes, bytearray, name="bytearray")
register_codec(complex, str, complex, name="complex")
register_codec(Decimal, str, Decimal, name="decimal")
register_codec(UUID, str, UUID, name="uuid")
register_codec(datetime, datetime.isoformat, datetime.fromisoformat, name="datetime")
register_codec(date, date.isoformat, date.fromisoformat, name="date")
register_codec(time, time.isoformat, time.fromisoformat, name="time")
register_codec(
    timedelta,
    lambda v: [v.days, v.seconds, v.microseconds],
    lambda v: timedelta(*v),
    name="timedelta",
)
