"""Protobuf's language: file descriptors of `.proto` texts, and texts of descriptors.

Registries keep texts. Some take descriptors too and make texts of them, some do not.
What has no part in the bytes of a message is left out: services, extensions, and all
options but those that change what is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from pichannels.errors import SettingsError

try:
    from google.protobuf import descriptor_pb2, text_encoding
except ImportError:
    descriptor_pb2 = None  # type: ignore[assignment,unused-ignore]

__all__ = ["descriptor_of", "text_of"]

_TOKEN: Final = re.compile(
    r"""\s+|//[^\n]*|/\*.*?\*/
    |(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<word>[-+]?\d[\w.]*(?:(?<=[eE])[-+]\d+)?|-?[\w.]+)
    |(?P<sign>[][{}()<>=;,:/+-])""",
    re.DOTALL | re.VERBOSE,
)
_UNREADABLE: Final = "no .proto text that can be read"
_LABELS: Final = {"optional": 1, "required": 2, "repeated": 3}
_REPEATED: Final = 3
_STRING: Final = 9
_GROUP: Final = 10
_BYTES: Final = 12
_END: Final = ""
_OPENING: Final = "{[(<"
_CLOSING: Final = "}])>"
# What stands in a file or a message and says nothing of its bytes.
_SKIPPED: Final = frozenset({"option", "service", "extend", "extensions", "reserved"})


def descriptor_of(name: str, text: str) -> bytes:
    """The file descriptor of a `.proto` text, serialized.

    Raises:
        SettingsError: it is none, or has editions or groups.
    """
    file = descriptor_pb2.FileDescriptorProto(name=name)
    try:
        _Reader(text).read_file(file)
        return bytes(file.SerializeToString())
    except (ValueError, RecursionError) as exc:
        raise SettingsError(f"{_UNREADABLE}: {exc}") from exc


class _Reader:
    """Reads one text from its beginning to its end."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = next(self._tokens, _END)
        kinds = descriptor_pb2.FieldDescriptorProto.Type.items()
        self._kinds = {n.removeprefix("TYPE_").lower(): kind for n, kind in kinds}

    def read_file(self, file: Any) -> None:
        while (word := self._take()) != _END:
            if word == "syntax":
                self._expect("=")
                file.syntax = _unquoted(self._statement())
            elif word == "package":
                file.package = self._statement()
            elif word == "import":
                file.dependency.append(_unquoted(self._statement()))
            elif word == "message":
                self._read_message(
                    file.message_type.add(name=self._take()), file.syntax
                )
            elif word == "enum":
                self._read_enum(file.enum_type.add(name=self._take()))
            elif word in _SKIPPED:
                self._skip()
            elif word != ";":
                raise self._fault(word)

    def _read_message(self, message: Any, syntax: str) -> None:
        self._expect("{")
        alone: list[Any] = []
        while (word := self._take()) != "}":
            if word == "message":
                self._read_message(message.nested_type.add(name=self._take()), syntax)
            elif word == "enum":
                self._read_enum(message.enum_type.add(name=self._take()))
            elif word == "oneof":
                self._read_oneof(message)
            elif word in _SKIPPED:
                self._skip()
            elif word != ";":
                field = self._read_field(message, word)
                if word == "optional" and syntax == "proto3":
                    alone.append(field)
        # By its rules they stand behind those that are written.
        for field in alone:
            field.proto3_optional = True
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field.name}")

    def _read_oneof(self, message: Any) -> None:
        index = len(message.oneof_decl)
        message.oneof_decl.add(name=self._take())
        self._expect("{")
        while (word := self._take()) != "}":
            if word in _SKIPPED:
                self._skip()
            elif word != ";":
                self._read_field(message, word).oneof_index = index

    def _read_field(self, message: Any, word: str) -> Any:
        label = _LABELS.get(word, 1)
        kind = self._take() if word in _LABELS else word
        if kind == "group":
            raise self._fault(kind)
        field = message.field.add(label=label)
        if kind == "map" and self._next == "<":
            self._read_map(message, field)
        else:
            self._set_kind(field, kind)
            field.name = self._take()
        self._expect("=")
        field.number = self._number()
        if self._next == "[":
            self._read_options(field)
        self._expect(";")
        return field

    def _read_map(self, message: Any, field: Any) -> None:
        self._expect("<")
        key = self._take()
        self._expect(",")
        value = self._take()
        self._expect(">")
        field.name, field.label = self._take(), _REPEATED
        entry = message.nested_type.add(name=_entry_name(field.name))
        entry.options.map_entry = True
        for number, (name, kind) in enumerate((("key", key), ("value", value)), 1):
            self._set_kind(entry.field.add(name=name, number=number, label=1), kind)
        self._set_kind(field, entry.name)

    def _read_options(self, field: Any) -> None:
        """Of a field only its default changes what is read."""
        self._expect("[")
        while (word := self._take()) != "]":
            if word == "default":
                self._expect("=")
                field.default_value = _default(self._take(), field.type)
            elif word in _OPENING:
                self._skip_to(_CLOSING[_OPENING.index(word)])

    def _read_enum(self, enum: Any) -> None:
        self._expect("{")
        while (word := self._take()) != "}":
            if word == "option":
                name = self._take()
                said = self._skip()
                if name == "allow_alias":
                    enum.options.allow_alias = "true" in said
            elif word in _SKIPPED:
                self._skip()
            elif word != ";":
                self._expect("=")
                enum.value.add(name=word, number=self._number())
                self._skip()

    def _set_kind(self, field: Any, kind: str) -> None:
        known = self._kinds.get(kind)
        if known is None:
            # Whether it is a message or an enum is found where the name is looked up.
            field.type_name = kind
        else:
            field.type = known

    # Tokens

    def _take(self) -> str:
        """The next token; at the end of the text, again and again, none."""
        found, self._next = self._next, next(self._tokens, _END)
        return found

    def _expect(self, token: str) -> None:
        found = self._take()
        if found != token:
            raise self._fault(found)

    def _number(self) -> int:
        word = self._take()
        try:
            return int(word, 0)
        except ValueError:
            raise self._fault(word) from None

    def _statement(self) -> str:
        """The last word before the semicolon."""
        return self._skip()[-1]

    def _skip(self) -> list[str]:
        """The words to the end of a statement, or of its block."""
        words: list[str] = []
        while (word := self._take()) != ";":
            words.append(word)
            if word == "{":
                self._skip_to("}")
                if self._next != ";":
                    break
            elif word == _END:
                raise self._fault(word)
        return words

    def _skip_to(self, closing: str) -> None:
        while (word := self._take()) != closing:
            if word == _END:
                raise self._fault(word)
            if word in _OPENING:
                self._skip_to(_CLOSING[_OPENING.index(word)])

    def _fault(self, found: str) -> SettingsError:
        shown = f"{found!r}" if found else "its end"
        return SettingsError(f"{_UNREADABLE}: {shown} in it")


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            excerpt = text[at : at + 20]
            raise SettingsError(f"{_UNREADABLE}: {excerpt!r} in it")
        at = match.end()
        if match.lastgroup:
            yield match[0]


def _unquoted(text: str) -> str:
    return bytes(text_encoding.CUnescape(text[1:-1])).decode()


def _default(token: str, kind: int) -> str:
    """A default as descriptors have it."""
    if token[0] not in "\"'":
        return token
    # Of bytes they keep the escapes.
    return token[1:-1] if kind == _BYTES else _unquoted(token)


def _entry_name(field: str) -> str:
    """What the message of a map's entries is called."""
    return "".join(word[:1].upper() + word[1:] for word in field.split("_")) + "Entry"


# Texts


def text_of(file: bytes) -> str | None:
    """The `.proto` text of a file descriptor; None where it has editions or groups."""
    proto = descriptor_pb2.FileDescriptorProto.FromString(file)
    if proto.syntax == "editions" or any(map(_has_group, proto.message_type)):
        return None
    lines = [f'syntax = "{proto.syntax or "proto2"}";']
    if proto.package:
        lines.append(f"package {proto.package};")
    lines += [f'import "{name}";' for name in proto.dependency]
    writer = _Writer(proto.syntax == "proto3")
    for enum in proto.enum_type:
        lines += writer.enum(enum)
    for message in proto.message_type:
        lines += writer.message(message)
    return "\n".join(lines) + "\n"


def _has_group(message: Any) -> bool:
    kinds = {field.type for field in message.field}
    return _GROUP in kinds or any(map(_has_group, message.nested_type))


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
        for enum in message.enum_type:
            yield from _indented(self.enum(enum))
        # What is nested keeps its place, as data names messages by it; a map's entries
        # are nested too.
        maps = {}
        for nested in message.nested_type:
            if nested.options.map_entry:
                field = next(
                    each
                    for each in message.field
                    if each.type_name.rpartition(".")[2] == nested.name
                )
                maps[field.number] = nested
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
                yield f"oneof {message.oneof_decl[field.oneof_index].name} {{"
                for each in fields:
                    if each.HasField("oneof_index") and (
                        each.oneof_index == field.oneof_index
                    ):
                        yield f"  {self._field(each, '')}"
                yield "}"

    def _label(self, field: Any) -> str:
        label = self._labels[field.label]
        is_told = not self._is_proto3 or field.proto3_optional or label == "repeated"
        return f"{label} " if is_told else ""

    def _field(self, field: Any, label: str) -> str:
        default = ""
        if field.HasField("default_value"):
            default = f" [default = {self._default(field)}]"
        return f"{label}{self._kind(field)} {field.name} = {field.number}{default};"

    def _default(self, field: Any) -> str:
        if field.type == _BYTES:
            return f'"{field.default_value}"'
        if field.type == _STRING:
            data = field.default_value.encode()
            return f'"{text_encoding.CEscape(data, as_utf8=False)}"'
        return str(field.default_value)

    def _map(self, field: Any, entry: Any) -> str:
        key, value = map(self._kind, entry.field)
        return f"map<{key}, {value}> {field.name} = {field.number};"

    def _kind(self, field: Any) -> str:
        return str(field.type_name).lstrip(".") or self._kinds[field.type]

    def enum(self, enum: Any) -> Iterator[str]:
        yield f"enum {enum.name} {{"
        if enum.options.allow_alias:
            yield "  option allow_alias = true;"
        yield from (f"  {each.name} = {each.number};" for each in enum.value)
        yield "}"


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)
