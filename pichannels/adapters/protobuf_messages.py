"""Protobuf by google.protobuf, which the extra `schemas` brings.

Messages are described by file descriptors, so that no generated code is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pichannels.errors import CodecError, DecodeError, SettingsError
from pichannels.values import (
    TICKS_PER_SECOND,
    format_ticks,
    parse_ticks,
    ticks_from_datetime,
)

try:
    from google.protobuf import (
        any_pb2,
        descriptor_pb2,
        descriptor_pool,
        duration_pb2,
        empty_pb2,
        field_mask_pb2,
        json_format,
        message,
        message_factory,
        struct_pb2,
        timestamp_pb2,
        wrappers_pb2,
    )
except ImportError:
    message = None  # type: ignore[assignment,unused-ignore]

__all__ = [
    "classes_of",
    "files_in",
    "fill",
    "indexes_of",
    "is_message",
    "message_at",
    "needed_by",
    "needs_protobuf",
    "parse_message",
    "plain",
    "renamed",
    "set_time",
    "time_text",
]

_GOOGLE: Final = "google/protobuf/"
_TIMESTAMP: Final = "google.protobuf.Timestamp"
_NANOS_PER_TICK: Final = 100


def needs_protobuf() -> None:
    """Look whether the library is there.

    Raises:
        SettingsError: it is not.
    """
    if message is None:
        raise SettingsError(
            "Protobuf needs the extra `schemas`: pip install 'pichannels[schemas]'"
        )


def is_message(value: Any) -> bool:
    """Whether it is a message, or a class of messages."""
    kind = value if isinstance(value, type) else type(value)
    return message is not None and issubclass(kind, message.Message)


def classes_of(files: Iterable[bytes]) -> dict[str, Any]:
    """The classes of messages, by full name in the order of the files.

    Args:
        files: file descriptors, serialized, those first that others import. The
            well-known ones of Google are there already.

    Raises:
        SettingsError: they are none, or an import is missing.
    """
    needs_protobuf()
    pool = descriptor_pool.DescriptorPool()
    found: dict[str, Any] = {}
    try:
        for data in [*_well_known(), *files]:
            proto = descriptor_pb2.FileDescriptorProto.FromString(data)
            pool.Add(proto)
            if not proto.name.startswith(_GOOGLE):
                file = pool.FindFileByName(proto.name)
                found |= dict(_classes_in(file.message_types_by_name.values()))
    except Exception as exc:
        raise SettingsError(f"these are no descriptors: {exc}", key="message") from exc
    return found


def _classes_in(descriptors: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    for each in descriptors:
        yield each.full_name, message_factory.GetMessageClass(each)
        yield from _classes_in(each.nested_types)


def _well_known() -> list[bytes]:
    modules = (
        any_pb2,
        duration_pb2,
        empty_pb2,
        field_mask_pb2,
        struct_pb2,
        timestamp_pb2,
        wrappers_pb2,
    )
    return [module.DESCRIPTOR.serialized_pb for module in modules]


def files_in(descriptor_set: bytes) -> list[bytes]:
    """The file descriptors of what `protoc --descriptor_set_out` writes.

    Raises:
        SettingsError: it is something else.
    """
    needs_protobuf()
    try:
        found = descriptor_pb2.FileDescriptorSet.FromString(descriptor_set)
    except Exception as exc:
        raise SettingsError(f"this is no descriptor set: {exc}", key="message") from exc
    return [
        file.SerializeToString()
        for file in found.file
        if not file.name.startswith(_GOOGLE)
    ]


def renamed(file: bytes, name: str) -> bytes:
    """A file descriptor, serialized, by another name.

    Raises:
        SettingsError: it is none.
    """
    try:
        proto = descriptor_pb2.FileDescriptorProto.FromString(file)
    except Exception as exc:
        raise SettingsError(f"this is no descriptor: {exc}", key="message") from exc
    proto.name = name
    return proto.SerializeToString()


def needed_by(file: Any) -> list[Any]:
    """The files that one imports, without the well-known ones."""
    return [each for each in file.dependencies if not each.name.startswith(_GOOGLE)]


def indexes_of(descriptor: Any) -> list[int]:
    """Where a message stands in its file: an index for each level."""
    parent = descriptor.containing_type
    if parent is None:
        return [list(descriptor.file.message_types_by_name).index(descriptor.name)]
    own = [each.name for each in parent.nested_types].index(descriptor.name)
    return [*indexes_of(parent), own]


def message_at(classes: Mapping[str, Any], file: str, indexes: Sequence[int]) -> Any:
    """The class of the message that stands there in a file.

    Raises:
        DecodeError: there is none.
    """
    for found in classes.values():
        descriptor = found.DESCRIPTOR
        if descriptor.file.name == file and indexes_of(descriptor) == list(indexes):
            return found
    raise DecodeError("Protobuf", f"{file} has no message at {list(indexes)}")


def parse_message(kind: Any, data: bytes) -> Any:
    """The message in these bytes.

    Raises:
        DecodeError: they are none.
    """
    try:
        return kind.FromString(data)
    except Exception as exc:
        what = f"a Protobuf {kind.DESCRIPTOR.full_name}"
        raise DecodeError(what, str(exc), data) from exc


# Plain values


def plain(msg: Any) -> Any:
    """A message as a dict of plain values; well-known types as JSON has them."""
    descriptor = msg.DESCRIPTOR
    if descriptor.full_name == _TIMESTAMP:
        return time_text(msg)
    if descriptor.file.name.startswith(_GOOGLE):
        return json_format.MessageToDict(msg, preserving_proto_field_name=True)
    return {
        field.name: _plain_field(field, getattr(msg, field.name))
        for field in descriptor.fields
        if not field.has_presence or msg.HasField(field.name)
    }


def _plain_field(field: Any, value: Any) -> Any:
    if _is_map(field):
        item = field.message_type.fields_by_name["value"]
        return {key: _plain_value(item, each) for key, each in value.items()}
    if _is_repeated(field):
        return [_plain_value(field, each) for each in value]
    return _plain_value(field, value)


def _plain_value(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return plain(value)
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        return value if named is None else named.name
    return value


def fill(msg: Any, values: Mapping[str, Any], *, leave_out: bool = False) -> Any:
    """Set the fields of a message; None leaves one as it is.

    Args:
        msg: the message, which is also what is returned.
        values: plain values, messages, instants as text or datetime.
        leave_out: leave out what the message has no field for.

    Raises:
        CodecError: there is no such field, or it does not take the value.
    """
    fields = msg.DESCRIPTOR.fields_by_name
    for name, value in values.items():
        field = fields.get(name)
        if field is None and not leave_out:
            raise CodecError(f"{msg.DESCRIPTOR.full_name} has no field {name!r}")
        if field is None or value is None:
            continue
        try:
            _set(msg, field, value)
        except CodecError:
            raise
        except Exception as exc:
            raise CodecError(f"{name} does not take {value!r:.80}: {exc}") from exc
    return msg


def _set(msg: Any, field: Any, value: Any) -> None:
    name = field.name
    if _is_map(field):
        item = field.message_type.fields_by_name["value"]
        target = getattr(msg, name)
        for key, each in value.items():
            if item.message_type is None:
                target[key] = each
            else:
                _set_message(target[key], each)
    elif _is_repeated(field):
        target = getattr(msg, name)
        for each in value:
            if field.message_type is None:
                target.append(each)
            else:
                _set_message(target.add(), each)
    elif field.message_type is not None:
        target = getattr(msg, name)
        target.SetInParent()
        _set_message(target, value)
    else:
        setattr(msg, name, value)


def _set_message(target: Any, value: Any) -> None:
    if is_message(value):
        target.CopyFrom(value)
    elif target.DESCRIPTOR.full_name == _TIMESTAMP:
        is_moment = isinstance(value, datetime)
        set_time(
            target, ticks_from_datetime(value) if is_moment else parse_ticks(value)
        )
    elif target.DESCRIPTOR.file.name.startswith(_GOOGLE):
        json_format.ParseDict(value, target)
    else:
        fill(target, value)


def set_time(target: Any, ticks: int) -> None:
    """Set a `google.protobuf.Timestamp`."""
    target.seconds, rest = divmod(ticks, TICKS_PER_SECOND)
    target.nanos = rest * _NANOS_PER_TICK


def time_text(stamp: Any) -> str:
    """A `google.protobuf.Timestamp` in ISO 8601, to 100 ns."""
    ticks = stamp.seconds * TICKS_PER_SECOND + stamp.nanos // _NANOS_PER_TICK
    return format_ticks(ticks)


def _is_map(field: Any) -> bool:
    kind = field.message_type
    return kind is not None and kind.GetOptions().map_entry


def _is_repeated(field: Any) -> bool:
    # Older versions of the library have a number for it.
    if hasattr(field, "is_repeated"):
        return bool(field.is_repeated)
    return bool(field.label == field.LABEL_REPEATED)
