"""Payloads that come in text formats, to Python values."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from nodes._options import function
from pichannels.adapters.hl7_messages import needs_hl7, parse_message
from pichannels.adapters.xml_documents import needs_xml, parse_xml
from pichannels.checks import encoding_name
from pichannels.errors import DecodeError, MessageError, SettingsError
from pichannels.formats.csv_rows import Layout, rows_of
from pichannels.hl7v2.messages import charset, parse_header
from pichannels.message import Message
from pichannels.node import BaseNode

__all__ = ["CSV", "HL7", "XML", "Base64", "CSVFile", "Text", "alternative_characters"]

PYTHON: Final = "application/python"


def text_of(payload: Any, encoding: str, what: str) -> str:
    """The payload as text.

    Raises:
        DecodeError: it is neither text nor bytes, or not in the encoding.
    """
    if isinstance(payload, str):
        return payload
    if not isinstance(payload, bytes | bytearray | memoryview):
        raise DecodeError(what, f"the payload is {type(payload).__name__}")
    try:
        return bytes(payload).decode(encoding)
    except UnicodeDecodeError as exc:
        raise DecodeError(what, f"it is not {encoding}", bytes(payload)) from exc


class XML(BaseNode):
    """XML text or bytes to Python values: dicts, lists, texts and None.

    Attributes are `@name`, text beside them is `#text`. Entities are refused, so that
    no document can read files or grow when it is read. Needs the extra `xml`.

    Args:
        process_namespaces: put its namespace before each name.
        force_list: names of elements that are lists even where there is only one.
        options: those of every node.

    Raises:
        DecodeError: the payload is not XML, or has entities; fails this message only.
        SettingsError: the extra is not installed.
    """

    changes: ClassVar = frozenset({"content_type", "payload"})

    def __init__(
        self,
        process_namespaces: bool = False,
        force_list: Sequence[str] = (),
        **options: Any,
    ) -> None:
        super().__init__(**options)
        needs_xml()
        self.process_namespaces = process_namespaces
        self.force_list = tuple(force_list)

    def process(self, msg: Message) -> Message:
        msg.payload = parse_xml(
            msg.payload,
            process_namespaces=self.process_namespaces,
            force_list=self.force_list,
        )
        msg.content_type = PYTHON
        return msg


class HL7(BaseNode):
    """An HL7 message as text or bytes, to an `hl7.Message`.

    Needs the extra `hl7`, whose library says how to find segments and fields:
    `msg.payload["PID.F5"]`.

    Args:
        encoding: of bytes whose MSH-18 names none.
        options: those of every node.

    Raises:
        DecodeError: the payload is no such message; fails this message only.
        SettingsError: there is no such encoding, or the extra is not installed.
    """

    changes: ClassVar = frozenset({"content_type", "payload"})

    def __init__(self, encoding: str = "utf-8", **options: Any) -> None:
        super().__init__(**options)
        needs_hl7()
        self.encoding = encoding_name(encoding)

    def process(self, msg: Message) -> Message:
        payload = msg.payload
        encoding = self.encoding
        if isinstance(payload, bytes):
            encoding = charset(parse_header(payload), encoding)
        msg.payload = parse_message(text_of(payload, encoding, "an HL7 message"))
        msg.content_type = PYTHON
        return msg


class _CSV(BaseNode):
    """What both nodes for CSV have in common."""

    def __init__(
        self,
        *,
        to_dict: bool,
        headers: bool,
        delimiter: str,
        quoting: int | str | None,
        encoding: str,
        fieldnames: Sequence[str] | None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.encoding = encoding_name(encoding)
        self.layout = Layout(delimiter, quoting)
        self.headers = headers
        self.fieldnames = None if fieldnames is None else list(fieldnames)
        if to_dict and not headers and fieldnames is None:
            raise SettingsError(
                "nothing names the fields",
                key="to_dict",
                found=to_dict,
                allowed="with headers=True, or with fieldnames",
            )
        self.to_dict = to_dict

    def _read(self, payload: Any) -> list[Any]:
        return rows_of(
            text_of(payload, self.encoding, "CSV"),
            self.layout,
            headers=self.headers,
            fieldnames=self.fieldnames,
            to_dict=self.to_dict,
        )


class CSV(_CSV):
    """CSV as text or bytes, to a list of rows: lists, or dicts by the names of fields.

    All fields are text. Empty lines are left out.

    Args:
        to_dict: rows are dicts; needs `headers` or `fieldnames`.
        headers: the first line has the names of the fields, and is no row.
        delimiter: what stands between fields.
        quoting: `minimal`, `all`, `nonnumeric` (what is not quoted is a number) or
            `none` (quotes mean nothing), or a constant of the module csv.
        encoding: of payloads that are bytes.
        fieldnames: names of the fields, in place of those of the first line.
        options: those of every node.

    Raises:
        DecodeError: the payload is not CSV, or a row has another number of fields
            than there are names; with its number. Fails this message only.
        SettingsError: an option is not usable.
    """

    changes: ClassVar = frozenset({"content_type", "payload"})

    def __init__(
        self,
        to_dict: bool = False,
        headers: bool = False,
        delimiter: str = ",",
        quoting: int | str | None = None,
        encoding: str = "utf-8",
        fieldnames: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            to_dict=to_dict,
            headers=headers,
            delimiter=delimiter,
            quoting=quoting,
            encoding=encoding,
            fieldnames=fieldnames,
            **options,
        )

    def process(self, msg: Message) -> Message:
        msg.payload = self._read(msg.payload)
        msg.content_type = PYTHON
        return msg


class CSVFile(_CSV):
    """The rows of a CSV file as the payload; `decode.CSV` tells what they are.

    Args:
        filepath: of the file, or a function of the message that gives it; by default
            what `meta["filepath"]` says.
        to_dict, headers, delimiter, quoting, fieldnames: those of `decode.CSV`.
        encoding: of the file.
        options: those of every node.

    Raises:
        DecodeError: the file is not CSV; with the number of the row. Fails this
            message only.
        MessageError: no file is named.
        OSError: the file cannot be read.
        SettingsError: an option is not usable.
    """

    changes: ClassVar = frozenset({"content_type", "payload"})

    def __init__(
        self,
        filepath: str | os.PathLike[str] | Callable[[Message], Any] | None = None,
        to_dict: bool = False,
        headers: bool = False,
        delimiter: str = ",",
        quoting: int | str | None = None,
        encoding: str = "utf-8",
        fieldnames: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            to_dict=to_dict,
            headers=headers,
            delimiter=delimiter,
            quoting=quoting,
            encoding=encoding,
            fieldnames=fieldnames,
            **options,
        )
        if callable(filepath):
            function("decode.CSVFile", filepath, may_be_async=False)
        self.filepath = filepath

    async def process(self, msg: Message) -> Message:
        path = self.filepath(msg) if callable(self.filepath) else self.filepath
        path = path or msg.meta.get("filepath")
        if not path:
            raise MessageError(
                f"{self.fullpath()}: no file is named by meta['filepath']"
            )
        msg.payload = await asyncio.to_thread(self._read_file, Path(path))
        msg.content_type = PYTHON
        return msg

    def _read_file(self, path: Path) -> list[Any]:
        return self._read(path.read_bytes())


class Text(BaseNode):
    """Bytes to text.

    Args:
        encoding: of the payload.
        options: those of every node.

    Raises:
        DecodeError: the payload is not in the encoding, or no bytes; fails this
            message only.
        SettingsError: there is no such encoding.
    """

    changes: ClassVar = frozenset({"payload"})

    def __init__(self, encoding: str = "utf-8", **options: Any) -> None:
        super().__init__(**options)
        self.encoding = encoding_name(encoding)

    def process(self, msg: Message) -> Message:
        if isinstance(msg.payload, str):
            raise DecodeError("bytes", "the payload is text already")
        msg.payload = text_of(msg.payload, self.encoding, "text")
        return msg


class Base64(BaseNode):
    """Base64, as text or bytes, to the bytes that it stands for.

    White space in it means nothing.

    Args:
        altchars: the two characters in place of `+` and `/`: `-_` in URLs.
        options: those of every node.

    Raises:
        DecodeError: the payload is not base64; fails this message only.
        SettingsError: `altchars` are not two characters.
    """

    changes: ClassVar = frozenset({"payload"})

    def __init__(self, altchars: str | bytes | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.altchars = alternative_characters(altchars)

    def process(self, msg: Message) -> Message:
        text = text_of(msg.payload, "latin-1", "base64")
        try:
            joined = "".join(text.split()).encode("ascii")
            msg.payload = base64.b64decode(joined, self.altchars, validate=True)
        except ValueError as exc:
            raise DecodeError("base64", str(exc), text) from exc
        return msg


def alternative_characters(found: str | bytes | None) -> bytes | None:
    """The option `altchars` as base64 takes it.

    Raises:
        SettingsError: these are not two characters.
    """
    if found is None:
        return None
    raw = found.encode("ascii", "ignore") if isinstance(found, str) else found
    if not isinstance(raw, bytes) or len(raw) != 2:
        raise SettingsError(
            "these are not two characters", key="altchars", found=found, allowed="'-_'"
        )
    return raw
