"""Python values to text formats: what others can read."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from nodes._decoders import alternative_characters
from nodes._options import at_least, one_of
from nodes._schema_encoders import Avro, Protobuf
from pichannels.adapters.hl7_messages import needs_hl7, write_message
from pichannels.adapters.soap_envelopes import (
    Version,
    content_type_of,
    write_envelope,
)
from pichannels.adapters.xml_documents import needs_xml, write_xml
from pichannels.checks import encoding_name
from pichannels.errors import CodecError
from pichannels.formats.csv_rows import Layout, written
from pichannels.message import Message
from pichannels.node import BaseNode

__all__ = [
    "CSV",
    "HL7",
    "JSON",
    "SOAP",
    "XML",
    "Avro",
    "Base64",
    "Protobuf",
    "Text",
]


def _encoded(text: str, encoding: str) -> bytes:
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as exc:
        raise CodecError(f"the text has what {encoding} has not: {exc}") from exc


class JSON(BaseNode):
    """The payload as JSON text.

    Numbers that JSON has not (NaN, infinities) become null; datetimes, dataclasses
    and msgspec structs are written too.

    Args:
        encoding: bytes in this encoding, and no text.
        indent: how many spaces each level is set in; by default all is on one line.
        options: those of every node.

    Raises:
        CodecError: the payload has what cannot be written; fails this message only.
        SettingsError: an option is not usable.
    """

    changes: ClassVar = frozenset({"content_type", "payload"})

    def __init__(
        self, encoding: str | None = None, indent: int | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        at_least("indent", indent, 0)
        self.encoding = None if encoding is None else encoding_name(encoding)
        self.indent = indent

    def process(self, msg: Message) -> Message:
        try:
            data = msgspec.json.encode(msg.payload)
        except (TypeError, ValueError, RecursionError) as exc:
            raise CodecError(f"this cannot be written as JSON: {exc}") from exc
        if self.indent:
            data = msgspec.json.format(data, indent=self.indent)
        if self.encoding != "utf-8":
            text = data.decode()
            encoding = self.encoding
            msg.payload = text if encoding is None else _encoded(text, encoding)
        else:
            msg.payload = data
        msg.content_type = "application/json"
        return msg


class XML(BaseNode):
    """A dict, as `decode.XML` gives it, as XML text. Needs the extra `xml`.

    Args:
        encoding: what the document says that it is in; `encode.Text` makes it so.
        pretty: on several lines, set in.
        options: those of every node.

    Raises:
        CodecError: the payload cannot be written; fails this message only.
        SettingsError: there is no such encoding, or the extra is not installed.
    """

    changes: ClassVar = frozenset({"content_type", "payload"})

    def __init__(
        self, encoding: str = "utf-8", pretty: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        needs_xml()
        self.encoding = encoding_name(encoding)
        self.pretty = pretty

    def process(self, msg: Message) -> Message:
        msg.payload = write_xml(msg.payload, encoding=self.encoding, pretty=self.pretty)
        msg.content_type = "application/xml"
        return msg


class SOAP(BaseNode):
    """The payload as a SOAP envelope, as text. Needs the extra `xml`.

    By default it answers the request that `decode.SOAP` has taken apart.

    Args:
        operation: the name of the element in the body; by default that of the request
            with `Response`.
        namespace: of that element; by default that of the request.
        version: `1.1` or `1.2`; by default that of the request, else `1.1`.
        header: entries of the header, by their names.
        options: those of every node.

    Raises:
        CodecError: the payload cannot be written; fails this message only.
        SettingsError: there is no such version, or the extra is not installed.
    """

    changes: ClassVar = frozenset({"content_type", "payload"})

    def __init__(
        self,
        operation: str | None = None,
        namespace: str | None = None,
        version: Version | None = None,
        header: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        needs_xml()
        if version is not None:
            one_of("version", version, ("1.1", "1.2"))
        self.operation = operation
        self.namespace = namespace
        self.version = version
        self.header = header

    def process(self, msg: Message) -> Message:
        meta = msg.meta
        version: Version = self.version or meta.get("soap_version") or "1.1"
        operation = self.operation or f"{meta.get('soap_operation') or ''}Response"
        namespace = self.namespace
        if namespace is None:
            namespace = str(meta.get("soap_namespace") or "")
        msg.payload = write_envelope(
            version, msg.payload, operation, namespace, self.header
        )
        msg.content_type = content_type_of(version)
        return msg


class HL7(BaseNode):
    """An `hl7.Message` as text. Needs the extra `hl7`.

    Args:
        options: those of every node.

    Raises:
        CodecError: the payload is something else; fails this message only.
        SettingsError: the extra is not installed.
    """

    changes: ClassVar = frozenset({"content_type", "payload"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        needs_hl7()

    def process(self, msg: Message) -> Message:
        msg.payload = write_message(msg.payload)
        msg.content_type = "text/hl7"
        return msg


class CSV(BaseNode):
    """A list of dicts or lists as CSV text.

    Args:
        header: begin with a line that has the names of the fields.
        fieldnames: the fields of dicts, in this order; by default those of the first
            row. Fields that a row has not are empty.
        delimiter: what stands between fields.
        quoting: `minimal`, `all`, `nonnumeric` or `none`, or a constant of the module
            csv.
        newline: what ends a line; empty for `\\r\\n`.
        options: those of every node.

    Raises:
        CodecError: a row cannot be written; with its number. Fails this message only.
        SettingsError: an option is not usable.
    """

    changes: ClassVar = frozenset({"content_type", "payload"})

    def __init__(
        self,
        header: bool = False,
        fieldnames: Sequence[str] | None = None,
        delimiter: str = ",",
        quoting: int | str | None = None,
        newline: str = "",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.header = header
        self.fieldnames = None if fieldnames is None else list(fieldnames)
        self.layout = Layout(delimiter, quoting)
        self.newline = newline or "\r\n"

    def process(self, msg: Message) -> Message:
        msg.payload = written(
            msg.payload,
            self.layout,
            header=self.header,
            fieldnames=self.fieldnames,
            newline=self.newline,
        )
        msg.content_type = "text/csv"
        return msg


class Text(BaseNode):
    """Text to bytes.

    Args:
        encoding: of the bytes.
        options: those of every node.

    Raises:
        CodecError: the payload is no text, or the encoding has not all of its
            characters; fails this message only.
        SettingsError: there is no such encoding.
    """

    changes: ClassVar = frozenset({"payload"})

    def __init__(self, encoding: str = "utf-8", **options: Any) -> None:
        super().__init__(**options)
        self.encoding = encoding_name(encoding)

    def process(self, msg: Message) -> Message:
        if not isinstance(msg.payload, str):
            raise CodecError(
                f"the payload is {type(msg.payload).__name__}, and no text"
            )
        msg.payload = _encoded(msg.payload, self.encoding)
        return msg


class Base64(BaseNode):
    """Bytes to base64, as bytes.

    Args:
        altchars: the two characters in place of `+` and `/`: `-_` in URLs.
        options: those of every node.

    Raises:
        CodecError: the payload is no bytes; fails this message only.
        SettingsError: `altchars` are not two characters.
    """

    changes: ClassVar = frozenset({"payload"})

    def __init__(self, altchars: str | bytes | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.altchars = alternative_characters(altchars)

    def process(self, msg: Message) -> Message:
        if not isinstance(msg.payload, bytes | bytearray | memoryview):
            kind = type(msg.payload).__name__
            raise CodecError(
                f"the payload is {kind}, and no bytes; encode.Text makes it so"
            )
        msg.payload = base64.b64encode(msg.payload, self.altchars)
        return msg
