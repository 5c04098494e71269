"""Avro by fastavro, which the extra `schemas` brings."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from pichannels.errors import CodecError, DecodeError, SettingsError

try:
    import fastavro
    from fastavro.schema import fingerprint, to_parsing_canonical_form
except ImportError:
    fastavro = None  # type: ignore[assignment,unused-ignore]

__all__ = [
    "fingerprint_of",
    "name_of",
    "needs_avro",
    "parse_schema",
    "read_file",
    "read_record",
    "write_file",
    "write_record",
]

_WHAT: Final = "Avro"


def needs_avro() -> None:
    """Look whether the library is there.

    Raises:
        SettingsError: it is not.
    """
    if fastavro is None:
        raise SettingsError(
            "Avro needs the extra `schemas`: pip install 'pichannels[schemas]'"
        )


def parse_schema(schema: Any, needed: Sequence[str] = ()) -> Any:
    """A schema as the library works with it.

    Args:
        schema: JSON text, or what it says.
        needed: JSON text of schemas whose types it names, in an order that works.

    Raises:
        SettingsError: it is none.
    """
    needs_avro()
    names: dict[str, Any] = {}
    try:
        for each in needed:
            fastavro.parse_schema(msgspec.json.decode(each), names)
        plain = msgspec.json.decode(schema) if _is_json(schema) else schema
        return fastavro.parse_schema(plain, names)
    except Exception as exc:
        raise SettingsError(f"this is no Avro schema: {exc}", key="schema") from exc


def _is_json(schema: Any) -> bool:
    return isinstance(schema, str) and schema.lstrip()[:1] in ("{", "[", '"')


def name_of(schema: Any) -> str:
    """The full name of a parsed schema; that of its type where it has none."""
    if isinstance(schema, dict):
        return str(schema.get("name") or schema["type"])
    return "union" if isinstance(schema, list) else str(schema)


def fingerprint_of(schema: Any) -> bytes:
    """The eight bytes that tell a schema: CRC-64-AVRO of its canonical form."""
    form = to_parsing_canonical_form(schema)
    return bytes.fromhex(fingerprint(form, "CRC-64-AVRO"))


def write_record(schema: Any, value: Any) -> bytes:
    """The binary form of a value.

    Raises:
        CodecError: the schema has nothing for it.
    """
    stream = io.BytesIO()
    try:
        fastavro.schemaless_writer(stream, schema, value)
    except Exception as exc:
        raise CodecError(f"the schema does not take this value: {exc}") from exc
    return stream.getvalue()


def read_record(data: bytes, writer: Any, reader: Any = None) -> Any:
    """The value that was written by one schema, as another one sees it.

    Raises:
        DecodeError: it was not written by that schema, or does not go with the other.
    """
    stream = io.BytesIO(data)
    try:
        value = fastavro.schemaless_reader(stream, writer, reader)
    except Exception as exc:
        raise DecodeError(_WHAT, str(exc) or type(exc).__name__, data) from exc
    left = len(data) - stream.tell()
    if left:
        raise DecodeError(_WHAT, f"{left} bytes are left over", data)
    return value


def write_file(schema: Any, values: Iterable[Any]) -> bytes:
    """An object container file, compressed by deflate.

    Raises:
        CodecError: the schema has nothing for a value.
    """
    stream = io.BytesIO()
    try:
        fastavro.writer(stream, schema, values, codec="deflate")
    except Exception as exc:
        raise CodecError(f"the schema does not take this value: {exc}") from exc
    return stream.getvalue()


def read_file(data: bytes, reader: Any = None) -> list[Any]:
    """The values of an object container file, which has its schema in it.

    Raises:
        DecodeError: it is none, or does not go with the reader's schema.
    """
    try:
        return list(fastavro.reader(io.BytesIO(data), reader))
    except Exception as exc:
        what = "an Avro file"
        raise DecodeError(what, str(exc) or type(exc).__name__, data) from exc
