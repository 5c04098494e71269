"""Reads Protobuf's language: file descriptors of `.proto` texts.

Registries keep texts. Some give descriptors of them, some do not. What has no part in
the bytes of a message is left out: services, extensions, and options of one's own.
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

__all__ = ["descriptor_of"]

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
_BYTES: Final = 12
_MOST_FIELDS: Final = 2**29 - 1
_MOST: Final = 2**31 - 1
_END: Final = ""
_QUOTES: Final = "\"'"
_OPENING: Final = "{[(<"
_CLOSING: Final = "}])>"
# What stands in a file or a message and says nothing of its bytes.
_SKIPPED: Final = frozenset({"service", "extend", "extensions"})


def descriptor_of(name: str, text: str) -> bytes:
    """The file descriptor of a `.proto` text, serialized.

    Raises:
        SettingsError: it is none, or has editions or groups.
    """
    file = descriptor_pb2.FileDescriptorProto(name=name)
    try:
        _Reader(text).read_file(file)
        return bytes(file.SerializeToString())
    except (ValueError, KeyError, IndexError, TypeError, RecursionError) as exc:
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
                self._read_import(file)
            elif word == "message":
                self._read_message(
                    file.message_type.add(name=self._take()), file.syntax
                )
            elif word == "enum":
                self._read_enum(file.enum_type.add(name=self._take()))
            elif word == "option":
                self._read_option(file.options)
            elif word in _SKIPPED:
                self._skip()
            elif word != ";":
                raise self._fault(word)

    def _read_import(self, file: Any) -> None:
        words = self._skip()
        if words[0] == "public":
            file.public_dependency.append(len(file.dependency))
        elif words[0] == "weak":
            file.weak_dependency.append(len(file.dependency))
        file.dependency.append(_unquoted(words[-1]))

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
            elif word == "option":
                self._read_option(message.options)
            elif word == "reserved":
                # The end of a range of fields is behind it.
                self._read_reserved(message, _MOST_FIELDS, 1)
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
            if word == "option":
                self._read_option(message.oneof_decl[index].options)
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
        self._expect("[")
        while (word := self._take()) != "]":
            if word == "default":
                self._expect("=")
                field.default_value = _default(self._take(), field.type)
            elif word == "json_name":
                self._expect("=")
                field.json_name = _unquoted(self._take())
            elif word != ",":
                self._set_option(field.options, word)

    def _read_option(self, options: Any) -> None:
        self._set_option(options, self._take())
        self._expect(";")

    def _set_option(self, options: Any, name: str) -> None:
        """Set what the library knows; an option of one's own is left out."""
        if name == "(":
            self._skip_to(")")
            while self._next not in ("=", _END):
                self._take()
        self._expect("=")
        value = self._take()
        if value in _OPENING:
            self._skip_to(_CLOSING[_OPENING.index(value)])
            return
        field = options.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            return
        if field.enum_type is not None:
            setattr(options, name, field.enum_type.values_by_name[value].number)
        elif value in ("true", "false"):
            setattr(options, name, value == "true")
        else:
            setattr(options, name, _unquoted(value))

    def _read_reserved(self, inside: Any, most: int, beyond: int) -> None:
        """Numbers, ranges and names that are not to be used again."""
        words = [word for word in self._skip() if word != ","]
        while words:
            word = words.pop(0)
            if word[0] in _QUOTES:
                inside.reserved_name.append(_unquoted(word))
                continue
            end = word
            if words[:1] == ["to"]:
                _, end, *words = words
            last = most if end == "max" else int(end, 0)
            inside.reserved_range.add(start=int(word, 0), end=last + beyond)

    def _read_enum(self, enum: Any) -> None:
        self._expect("{")
        while (word := self._take()) != "}":
            if word == "option":
                self._read_option(enum.options)
            elif word == "reserved":
                self._read_reserved(enum, _MOST, 0)
            elif word != ";":
                self._expect("=")
                value = enum.value.add(name=word, number=self._number())
                if self._next == "[":
                    self._read_options(value)
                self._expect(";")

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
            if word == _END:
                raise self._fault(word)
            if word in _OPENING:
                self._skip_to(_CLOSING[_OPENING.index(word)])
            # A block ends a statement by itself.
            if word == "{" and self._next != ";":
                break
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
    if token[0] not in _QUOTES:
        return token
    # Of bytes they keep the escapes.
    return token[1:-1] if kind == _BYTES else _unquoted(token)


def _entry_name(field: str) -> str:
    """What the message of a map's entries is called."""
    return "".join(word[:1].upper() + word[1:] for word in field.split("_")) + "Entry"
