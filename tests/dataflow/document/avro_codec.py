# mypy: ignore-errors
# ruff: noqa: T201
from io import BytesIO
from typing import Any, cast  # the document forgot both

from avro.io import BinaryDecoder, BinaryEncoder, DatumReader, DatumWriter
from avro.schema import parse  # and had a Schema that it did not use

from pichannels.dataflow.codecs import ICodec  # was: slipstream.codecs


class AvroCodec(ICodec):
    """Serializes/deserializes avro messages using schema."""

    def __init__(self, path: str):
        with open(path) as a:
            self.schema = parse(a.read())

    def encode(self, obj: Any) -> bytes:
        writer = DatumWriter(self.schema)
        bytes_writer = BytesIO()
        encoder = BinaryEncoder(bytes_writer)
        writer.write(obj, encoder)
        return cast(bytes, bytes_writer.getvalue())

    def decode(self, s: bytes) -> object:
        bytes_reader = BytesIO(s)
        decoder = BinaryDecoder(bytes_reader)
        reader = DatumReader(self.schema)
        return cast(object, reader.read(decoder))


# Not in the document: what the codec does.
codec = AvroCodec("emoji.avsc")
print(codec.decode(codec.encode({"msg": "🐟"})))
