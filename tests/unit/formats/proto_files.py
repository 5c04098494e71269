"""Descriptions of Protobuf messages for tests, and one of them as its source."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, timestamp_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

__all__ = ["UNIT_TEXT", "descriptors", "line_file", "unit_file"]

UNIT_TEXT: Final = """\
syntax = "proto3";
package plant;

// As protoc reads it.
message Unit {
  enum Kind {
    BOILER = 0;
    PUMP = 1;
  }
  string name = 1;
  Kind kind = 2;
}
"""


def unit_file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="plant/unit.proto", package="plant", syntax="proto3"
    )
    file.message_type.add(name="Other")
    unit = file.message_type.add(name="Unit")
    unit.field.add(name="name", number=1, type=Field.TYPE_STRING, label=1)
    kind = unit.enum_type.add(name="Kind")
    kind.value.add(name="BOILER", number=0)
    kind.value.add(name="PUMP", number=1)
    kind_field = unit.field.add(name="kind", number=2, type=Field.TYPE_ENUM, label=1)
    kind_field.type_name = ".plant.Unit.Kind"
    return file


def line_file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(
        name="plant/line.proto", package="plant", syntax="proto3"
    )
    file.dependency.extend(["plant/unit.proto", "google/protobuf/timestamp.proto"])
    line = file.message_type.add(name="Line")

    def add(number: int, name: str, kind: Any, *, many: bool = False) -> None:
        field = line.field.add(name=name, number=number, label=3 if many else 1)
        if isinstance(kind, str):
            field.type, field.type_name = Field.TYPE_MESSAGE, kind
        else:
            field.type = kind

    add(1, "tag", Field.TYPE_STRING)
    add(2, "timestamp", ".google.protobuf.Timestamp")
    add(3, "units_of", ".plant.Unit", many=True)
    add(4, "raw", Field.TYPE_BYTES)
    add(5, "counts", ".plant.Line.CountsEntry", many=True)
    entry = line.nested_type.add(name="CountsEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=Field.TYPE_STRING, label=1)
    entry.field.add(name="value", number=2, type=Field.TYPE_INT64, label=1)
    return file


def descriptors() -> bytes:
    """What `protoc --include_imports --descriptor_set_out` writes."""
    stamp = descriptor_pb2.FileDescriptorProto()
    timestamp_pb2.DESCRIPTOR.CopyToProto(stamp)
    files = [stamp, unit_file(), line_file()]
    return descriptor_pb2.FileDescriptorSet(file=files).SerializeToString()
