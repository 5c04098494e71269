"""Writes Protobuf's language: the `.proto` text of a file descriptor.

Registries keep texts, and not each of them makes one of a descriptor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

try:
    from google.protobuf import descriptor_pb2, text_encoding
except ImportError:
    descriptor_pb2 = None  # type: ignore[assignment,unused-ignore]

__all__ = ["text_of"]

_STRING: Final = 9
_GROUP: Final = 10
_BYTES: Final = 12
_REPEATED: Final = 3


def text_of(file: bytes) -> str | None:
    """The `.proto` text of a file descriptor.

    None where it has what this cannot say: editions, groups, services, extensions,
    options of one's own.
    """
    proto = descriptor_pb2.FileDescriptorProto.FromString(file)
    if not _is_sayable(proto):
        return None
    lines = [f'syntax = "{proto.syntax or "proto2"}";']
    if proto.package:
        lines.append(f"package {proto.package};")
    lines += _imports(proto)
    lines += (f"option {each};" for each in _options(proto.options))
    writer = _Writer(proto.syntax == "proto3")
    for enum in proto.enum_type:
        lines += writer.enum(enum)
    for message in proto.message_type:
        lines += writer.message(message)
    return "\n".join(lines) + "\n"


# What can be said


def _is_sayable(file: Any) -> bool:
    if file.syntax == "editions" or file.service or file.extension:
        return False
    enums = all(map(_has_plain_options, _enum_parts(file.enum_type)))
    messages = all(map(_is_sayable_message, file.message_type))
    return _has_plain_options(file) and enums and messages


def _is_sayable_message(message: Any) -> bool:
    if message.extension or message.extension_range:
        return False
    parts = [message, *message.field, *message.oneof_decl]
    return (
        all(field.type != _GROUP for field in message.field)
        and all(map(_has_plain_options, [*parts, *_enum_parts(message.enum_type)]))
        and all(map(_is_sayable_message, message.nested_type))
    )


def _enum_parts(enums: Iterable[Any]) -> Iterator[Any]:
    for enum in enums:
        yield from (enum, *enum.value)


def _has_plain_options(part: Any) -> bool:
    """Whether all of its options are the library's, and a word or a text each."""
    left = type(part.options)()
    left.CopyFrom(part.options)
    for field, _ in part.options.ListFields():
        if not field.is_extension and isinstance(getattr(left, field.name), str | int):
            left.ClearField(field.name)
    return bool(left.ByteSize() == 0)


def _options(options: Any) -> list[str]:
    """Names and values, as they stand in a text."""
    found = []
    for field, value in options.ListFields():
        if field.name == "map_entry":
            continue
        if field.enum_type is not None:
            value = field.enum_type.values_by_number[value].name
        elif isinstance(value, bool):
            value = str(value).lower()
        else:
            value = _quoted(value)
        found.append(f"{field.name} = {value}")
    return found


def _imports(file: Any) -> Iterator[str]:
    for index, name in enumerate(file.dependency):
        how = "public " if index in file.public_dependency else ""
        how = "weak " if index in file.weak_dependency else how
        yield f'import {how}"{name}";'


class _Writer:
    """Makes the lines of messages and enums."""

    def __init__(self, is_proto3: bool) -> None:
        self._is_proto3 = is_proto3
        labels = descriptor_pb2.FieldDescriptorProto.Label.items()
        self._labels = {n: name.removeprefix("LABEL_").lower() for name, n in labels}
        kinds = descriptor_pb2.FieldDescriptorProto.Type.items()
        self._kinds = {n: name.removeprefix("TYPE_").lower() for name, n in kinds}

    def message(self, message: Any) -> Iterator[str]:
        yield f"message {message.name} {{"
        yield from (f"  option {each};" for each in _options(message.options))
        yield from _reserved(message, 1)
        for enum in message.enum_type:
            yield from _indented(self.enum(enum))
        # What is nested keeps its place, as data names messages by it; a map's entries
        # are nested too.
        maps = set()
        for nested in message.nested_type:
            if nested.options.map_entry:
                field = _map_field(message, nested)
                maps.add(field.number)
                yield f"  {self._map(field, nested)}"
            else:
                yield from _indented(self.message(nested))
        alone = [each for each in message.field if each.number not in maps]
        yield from _indented(self._fields(message, alone))
        yield "}"

    def _fields(self, message: Any, fields: list[Any]) -> Iterator[str]:
        shown: set[int] = set()
        for field in fields:
            if not field.HasField("oneof_index") or field.proto3_optional:
                yield self._field(field, self._label(field))
            elif field.oneof_index not in shown:
                shown.add(field.oneof_index)
                yield from self._oneof(message, field.oneof_index, fields)

    def _oneof(self, message: Any, index: int, fields: list[Any]) -> Iterator[str]:
        oneof = message.oneof_decl[index]
        yield f"oneof {oneof.name} {{"
        yield from (f"  option {each};" for each in _options(oneof.options))
        for field in fields:
            if field.HasField("oneof_index") and field.oneof_index == index:
                yield f"  {self._field(field, '')}"
        yield "}"

    def _label(self, field: Any) -> str:
        is_told = (
            not self._is_proto3 or field.proto3_optional or field.label == _REPEATED
        )
        return f"{self._labels[field.label]} " if is_told else ""

    def _field(self, field: Any, label: str) -> str:
        return f"{label}{self._kind(field)} {_ending(field)}"

    def _map(self, field: Any, entry: Any) -> str:
        key, value = map(self._kind, entry.field)
        return f"map<{key}, {value}> {_ending(field)}"

    def _kind(self, field: Any) -> str:
        return str(field.type_name).lstrip(".") or self._kinds[field.type]

    def enum(self, enum: Any) -> Iterator[str]:
        yield f"enum {enum.name} {{"
        yield from (f"  option {each};" for each in _options(enum.options))
        yield from _reserved(enum, 0)
        for value in enum.value:
            options = _bracketed(_options(value.options))
            yield f"  {value.name} = {value.number}{options};"
        yield "}"


def _map_field(message: Any, entry: Any) -> Any:
    """The field of a message whose entries these are."""
    return next(
        each
        for each in message.field
        if each.type_name.rpartition(".")[2] == entry.name
    )


def _ending(field: Any) -> str:
    """Name, number and options of a field."""
    told = []
    if field.HasField("default_value"):
        told.append(f"default = {_default(field)}")
    if field.HasField("json_name") and field.json_name != _json_name(field.name):
        told.append(f"json_name = {_quoted(field.json_name)}")
    told += _options(field.options)
    return f"{field.name} = {field.number}{_bracketed(told)};"


def _default(field: Any) -> str:
    if field.type == _BYTES:
        return f'"{field.default_value}"'
    value = str(field.default_value)
    return _quoted(value) if field.type == _STRING else value


def _json_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def _reserved(inside: Any, beyond: int) -> Iterator[str]:
    for each in inside.reserved_range:
        last = each.end - beyond
        yield f"  reserved {each.start}{f' to {last}' if last > each.start else ''};"
    for name in inside.reserved_name:
        yield f"  reserved {_quoted(name)};"


def _bracketed(told: list[str]) -> str:
    return f" [{', '.join(told)}]" if told else ""


def _quoted(text: str) -> str:
    return f'"{text_encoding.CEscape(text.encode(), as_utf8=False)}"'


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)
