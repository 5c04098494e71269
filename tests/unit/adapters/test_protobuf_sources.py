"""Texts of Protobuf's language and the descriptors that they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import (
    any_pb2,
    api_pb2,
    descriptor_pb2,
    descriptor_pool,
    source_context_pb2,
    struct_pb2,
    type_pb2,
)
from google.protobuf.compiler import plugin_pb2

from pichannels.adapters.protobuf_messages import classes_of
from pichannels.adapters.protobuf_sources import descriptor_of
from pichannels.adapters.protobuf_texts import text_of
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
  extensions 100 to max [declaration = { number: 100 }];
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


def resolved(data: bytes, *before: bytes) -> list[Any]:
    """What the library makes of a file: its fields and their kinds."""
    pool = descriptor_pool.DescriptorPool()
    for each in before:
        pool.AddSerializedFile(each)
    pool.AddSerializedFile(data)
    name = descriptor_pb2.FileDescriptorProto.FromString(data).name
    file = pool.FindFileByName(name)
    found: list[Any] = [file.GetOptions().SerializeToString()]
    found += map(shown, file.enum_types_by_name.values())
    for message in nested(file.message_types_by_name.values()):
        found += map(shown, [*message.fields, *message.enum_types, *message.oneofs])
    return found


def nested(messages: Any) -> Iterator[Any]:
    for each in messages:
        yield each
        yield from nested(each.nested_types)


def shown(part: Any) -> tuple[Any, ...]:
    names = ("number", "type", "has_presence", "default_value", "json_name")
    facts = [getattr(part, name, None) for name in names]
    kinds = [getattr(part, name, None) for name in ("message_type", "enum_type")]
    values = [(v.name, v.number) for v in getattr(part, "values", [])]
    options = part.GetOptions().SerializeToString()
    kind_names = [kind.full_name for kind in kinds if kind is not None]
    return part.full_name, facts, kind_names, values, options


@pytest.mark.parametrize(
    "file", [plugin_pb2, struct_pb2, api_pb2], ids=["plugin", "struct", "api"]
)
def test_a_descriptor_comes_back_from_its_text(file: Any) -> None:
    needed = [descriptor_pb2, any_pb2, source_context_pb2, type_pb2]
    before = [each.DESCRIPTOR.serialized_pb for each in needed]
    data = file.DESCRIPTOR.serialized_pb
    text = text_of(data)
    assert text is not None
    again = descriptor_of(file.DESCRIPTOR.name, text)
    assert resolved(again, *before) == resolved(data, *before)


def test_what_one_imports_is_named_as_it_was() -> None:
    files = [unit_file(), line_file()]
    texts = [text_of(each.SerializeToString()) or "" for each in files]
    read = [descriptor_of(f.name, t) for f, t in zip(files, texts, strict=True)]
    written = [each.SerializeToString() for each in files]
    assert sorted(fields_of(classes_of(read))) == sorted(fields_of(classes_of(written)))


WHOLE = r"""syntax = "proto2";
import public "other.proto";
option java_package = "org.plant";
option optimize_for = LITE_RUNTIME;
enum E {
  option allow_alias = true;
  reserved 7;
  A = 0;
  B = 0 [deprecated = true];
}
message M {
  option deprecated = true;
  reserved 4 to 6;
  reserved "old";
  map<string, E> by_name = 8 [deprecated = true];
  optional string s = 1 [default = "a\"b\303\251", json_name = "text"];
  optional double d = 2 [default = -1.5e-3];
  required bytes b = 3;
  repeated int32 many = 7 [packed = true];
}
"""


def test_all_that_a_text_says_is_kept() -> None:
    data = descriptor_of("m.proto", WHOLE)
    other = descriptor_pb2.FileDescriptorProto(name="other.proto").SerializeToString()
    message = classes_of([other, data])["M"]()
    assert (message.s, message.d) == ('a"bé', -0.0015)
    assert text_of(data) == WHOLE


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


def own_option(file: Any) -> None:
    file.options.MergeFromString(b"\xc2\x3e\x01x")


@pytest.mark.parametrize(
    "change",
    [
        lambda file: setattr(file, "syntax", "editions"),
        lambda file: file.service.add(name="S"),
        lambda file: file.message_type.add(name="M").extension_range.add(
            start=1, end=2
        ),
        lambda file: file.message_type.add(name="M").field.add(name="f", type=10),
        own_option,
    ],
    ids=["edition", "service", "extensions", "group", "option"],
)
def test_what_a_text_would_lose_is_left_to_descriptors(change: Any) -> None:
    file = descriptor_pb2.FileDescriptorProto(name="a.proto")
    change(file)
    assert text_of(file.SerializeToString()) is None
