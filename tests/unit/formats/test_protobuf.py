"""The codec of Protobuf, with messages described in the tests."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from pichannels.adapters.protobuf_sources import descriptor_of
from pichannels.errors import CodecError, DecodeError, SettingsError
from pichannels.formats.codec import decoded_from, encoded_for
from pichannels.formats.protobuf import ProtobufCodec, read_indexes, write_indexes
from pichannels.formats.records import sample_of
from pichannels.formats.registry import SchemaRegistry
from pichannels.values import DigitalState, Sample, Tag, ValueFailure
from tests.servers.registry import Registry, recorded
from tests.unit.formats.proto_files import UNIT_TEXT, descriptors

TAG = Tag("TI1", r"\\S\TI1", server="S", units="K")
VALUES: list[Any] = [
    1.5,
    2**62,
    True,
    "open",
    None,
    DigitalState("I/O Timeout", 246, is_system=True),
    ValueFailure("no"),
    [1.0, 2, "a", None, False],
]


def samples() -> list[Sample]:
    return [Sample(TAG, 10**16 + n, value) for n, value in enumerate(VALUES)]


def test_a_sample_comes_back_as_it_was() -> None:
    codec = ProtobufCodec()
    for sample in samples():
        found = sample_of(codec.decode(codec.encode(sample)))  # type: ignore[arg-type]
        assert (found.ticks, found.value) == (sample.ticks, sample.value)
        assert found.event_id == sample.event_id


def test_the_file_that_is_shipped_describes_what_is_written() -> None:
    data = ProtobufCodec().encode(samples()[0])
    codec = ProtobufCodec(plain=False)
    message: Any = codec.decode(data)
    fields = [field.name for field in message.DESCRIPTOR.fields]
    assert fields[:4] == ["tag", "path", "server", "time"]
    assert (message.time.seconds, message.double_value) == (10**9, 1.5)
    assert message.DESCRIPTOR.fields_by_name["lane"].number == 18


def test_a_mapping_fills_a_message_and_comes_back() -> None:
    codec = ProtobufCodec(descriptors())
    value = {
        "tag": "a",
        "timestamp": "2026-11-21T12:00:00.1234567Z",
        "units_of": [{"name": "U1", "kind": "PUMP"}],
        "raw": b"\xff",
        "counts": {"x": 2**40},
    }
    assert codec.schema_name() == "plant.Line"
    assert codec.decode(codec.encode(value)) == value


def test_samples_give_the_fields_that_a_message_has(tmp_path: Path) -> None:
    path = tmp_path / "plant.desc"
    path.write_bytes(descriptors())
    codec = ProtobufCodec(path, name="plant.Line")
    found: Any = codec.decode(codec.encode(samples()[0]))
    assert (found["tag"], found["timestamp"]) == ("TI1", "2001-09-09T01:46:40Z")


@pytest.mark.parametrize(
    "value",
    [{"tog": "a"}, {"tag": 5}, {"units_of": [{"kind": "X"}]}, 5],
    ids=["no field", "no text", "no such word", "no mapping"],
)
def test_what_a_message_does_not_take_is_told(value: Any) -> None:
    with pytest.raises(CodecError):
        ProtobufCodec(descriptors()).encode(value)


@pytest.mark.parametrize(
    ("indexes", "data"),
    [
        ([0], b"\x00"),
        ([1], b"\x02\x02"),
        ([2, 0, 300], b"\x06\x04\x00\xd8\x04"),
    ],
    ids=["first", "second", "nested"],
)
def test_which_message_it_is_stands_before_it(indexes: list[int], data: bytes) -> None:
    assert write_indexes(indexes) == data
    assert read_indexes(data + b"rest") == (indexes, b"rest")


@pytest.mark.parametrize("data", [b"", b"\x02", b"\x01", b"\xff" * 20, b"\xfe\xff\x03"])
def test_a_message_that_cannot_be_named_is_told(data: bytes) -> None:
    with pytest.raises(DecodeError):
        read_indexes(data)


async def test_a_recorded_registry_numbers_files_and_tells_them() -> None:
    async with Registry(recorded("protobuf")) as server:
        registry = SchemaRegistry(server.url)
        writer, reader = (ProtobufCodec(registry=registry) for _ in "wr")
        one = await encoded_for("pi-values", writer, samples()[0])
        many = await encoded_for("pi-values", writer, samples())
        found = await decoded_from(reader, one)
        batch = await decoded_from(reader, many)
    assert (one[:6], many[:7]) == (b"\0\0\0\0\x01\0", b"\0\0\0\0\x01\x02\x08")
    assert sample_of(found).value == 1.5
    assert [sample_of(each).value for each in batch] == VALUES


async def test_files_that_one_imports_are_registered_before_it() -> None:
    async with Registry(recorded("imports")) as server:
        registry = SchemaRegistry(server.url)
        codec = ProtobufCodec(descriptors(), registry=registry)
        data = await encoded_for("lines", codec, {"tag": "a", "counts": {"x": 2}})
        found = await decoded_from(ProtobufCodec(registry=registry), data)
    posted = [(path, body) for method, path, body in server.asked if method == "POST"]
    assert [path for path, _ in posted] == [
        "/subjects/plant%2Funit.proto/versions",
        "/subjects/plant%2Funit.proto",
        "/subjects/lines-value/versions",
    ]
    name = "plant/unit.proto"
    assert posted[2][1]["references"] == [{"name": name, "subject": name, "version": 1}]
    assert (found["tag"], found["counts"]) == ("a", {"x": 2})


async def test_a_recorded_text_is_read_as_a_descriptor_is() -> None:
    """A registry that takes texts may give nothing else, whatever it is asked for."""
    data = b"\0\0\0\0\x01" + write_indexes([0]) + b"\x0a\x02U1\x10\x01"
    descriptor = base64.b64encode(descriptor_of("unit.proto", UNIT_TEXT)).decode()
    other = recorded("text")[1:]
    other[0]["answer"]["schema"] = descriptor
    for exchanges in (recorded("text"), other):
        async with Registry(exchanges) as server:
            codec = ProtobufCodec(registry=SchemaRegistry(server.url))
            found = await decoded_from(codec, data)
        assert found == {"name": "U1", "kind": "PUMP"}


async def test_a_schema_that_cannot_be_read_costs_one_record() -> None:
    exchanges = recorded("text")
    exchanges[1]["answer"]["schema"] = "message {"
    async with Registry(exchanges) as server:
        codec = ProtobufCodec(registry=SchemaRegistry(server.url))
        with pytest.raises(DecodeError, match=r"schema 1: no \.proto text"):
            await decoded_from(codec, b"\0\0\0\0\x01\0")


@pytest.mark.parametrize(
    "options",
    [
        {"message": b"junk"},
        {"message": descriptors(), "name": "plant.Lime"},
        {"message": Path("none.desc")},
        {"message": "plant.Line"},
    ],
    ids=["junk", "name", "file", "text"],
)
def test_options_are_looked_at(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        ProtobufCodec(**options)


async def test_what_is_no_message_is_told() -> None:
    with pytest.raises(DecodeError):
        ProtobufCodec().decode(b"\xff\xff")
    async with Registry(recorded("refused")) as server:
        codec = ProtobufCodec(registry=SchemaRegistry(server.url))
        with pytest.raises(DecodeError, match="40403"):
            await decoded_from(codec, b"\0" + (404).to_bytes(4, "big") + b"\0")
