"""Texts of Protobuf's language and the descriptors that they stand for."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, struct_pb2

from pichannels.adapters.protobuf_messages import classes_of
from pichannels.adapters.protobuf_sources import descriptor_of, text_of
from pichannels.errors import SettingsError
from tests.unit.formats.proto_files import line_file, unit_file

PUMP = """
/* A pump,
   as people write them. */
syntax = "proto3";
package plant.water;
option java_package = "org.plant";
import "google/protobuf/timestamp.proto";

enum State { option allow_alias = true; STOPPED = 0; OFF = 0; RUNNING = 0x2; };
message Pump {
  reserved 2 to 4, 9;
  reserved 'old';
  message Bearing { optional double heat = 1 [deprecated = true]; }
  string name = 1 [json_name = "n", (plant.note) = { text: "a;b}" }];
  map<string, Bearing> bearings_of = 5;
  oneof load { double watts = 6; State state = 7; }
  repeated .plant.water.Pump spare = 8; // the others
  google.protobuf.Timestamp since = 10;
  optional int32 count = 11;
}
service Pumps { rpc Start(Pump) returns (stream Pump) { option deprecated = true; } }
"""


def fields_of(classes: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [
        (name, field.number, field.name, field.type, field.has_presence)
        for name, kind in classes.items()
        for field in kind.DESCRIPTOR.fields
    ]


def test_a_text_is_read_as_protoc_reads_it() -> None:
    classes = classes_of([descriptor_of("pump.proto", PUMP)])
    assert list(classes) == [
        f"plant.water.Pump{name}" for name in ("", ".Bearing", ".BearingsOfEntry")
    ]
    pump = classes["plant.water.Pump"](
        bearings_of={"a": {"heat": 80.5}}, state=2, spare=[{"name": "P2"}], count=0
    )
    assert pump.SerializeToString().hex() == (
        "2a0e0a016112090900000000002054403802" + "42040a0250325800"
    )
    assert pump.HasField("count") and not pump.spare[0].HasField("count")


@pytest.mark.parametrize("file", [descriptor_pb2, struct_pb2], ids=["proto2", "proto3"])
def test_a_descriptor_comes_back_from_its_text(file: Any) -> None:
    text = text_of(file.DESCRIPTOR.serialized_pb)
    assert text is not None
    text = text.replace("google.protobuf", "ours")
    again = text_of(descriptor_of("ours.proto", text))
    assert again == text
    messages = file.DESCRIPTOR.message_types_by_name.values()
    theirs = sorted(f.name for each in messages for f in each.fields)
    found = fields_of(classes_of([descriptor_of("ours.proto", text)]))
    assert theirs == sorted(row[2] for row in found if row[0].count(".") == 1)


def test_what_one_imports_is_named_as_it_was() -> None:
    files = [unit_file(), line_file()]
    texts = [text_of(each.SerializeToString()) or "" for each in files]
    read = [descriptor_of(f.name, t) for f, t in zip(files, texts, strict=True)]
    written = [each.SerializeToString() for each in files]
    assert sorted(fields_of(classes_of(read))) == sorted(fields_of(classes_of(written)))


def test_defaults_are_kept() -> None:
    text = (
        'syntax = "proto2";\n'
        "message M {\n"
        '  optional string s = 1 [default = "a\\"b\\303\\251"];\n'
        "  optional double d = 2 [default = -1.5e-3];\n"
        "  required bytes b = 3;\n"
        "}\n"
    )
    data = descriptor_of("m.proto", text)
    message = classes_of([data])["M"]()
    assert (message.s, message.d) == ('a"bé', -0.0015)
    assert text_of(data) == text


@pytest.mark.parametrize(
    "text",
    [
        "message {",
        "message A { string a = 1 }",
        "message A { string a = x; }",
        "message A { string a = 99999999999; }",
        "message A { optional group B = 1 { } }",
        'edition = "2023";',
        "option a = {",
        "message A {",
        "%",
        "message A {" * 5000,
    ],
    ids=lambda text: text[:40],
)
def test_what_is_no_text_is_told(text: str) -> None:
    with pytest.raises(SettingsError, match="no .proto text"):
        descriptor_of("a.proto", text)


def test_what_a_text_cannot_say_is_left_to_descriptors() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="a.proto", syntax="editions")
    assert text_of(file.SerializeToString()) is None
