"""How values become bytes on a topic, and values again."""

from __future__ import annotations

from pichannels.formats.avro import SAMPLE_AVRO, AvroCodec
from pichannels.formats.codec import (
    ICodec,
    JsonCodec,
    MessagePackCodec,
    decoded,
    decoded_from,
    encoded,
    encoded_for,
)
from pichannels.formats.csv_codec import CsvCodec
from pichannels.formats.protobuf import SAMPLE_PROTO, ProtobufCodec
from pichannels.formats.registry import SchemaRefused, SchemaRegistry

__all__ = [
    "SAMPLE_AVRO",
    "SAMPLE_PROTO",
    "AvroCodec",
    "CsvCodec",
    "ICodec",
    "JsonCodec",
    "MessagePackCodec",
    "ProtobufCodec",
    "SchemaRefused",
    "SchemaRegistry",
    "decoded",
    "decoded_from",
    "encoded",
    "encoded_for",
]
