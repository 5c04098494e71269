"""The codec of Avro, beside another implementation of it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import avro.datafile
import avro.io
import avro.schema
import pytest

from pichannels.errors import CodecError, DecodeError, SettingsError, UsageError
from pichannels.formats.avro import SAMPLE_AVRO, AvroCodec
from pichannels.formats.codec import decoded_from, encoded_for
from pichannels.formats.records import sample_of
from pichannels.formats.registry import SchemaRegistry
from pichannels.values import DigitalState, Sample, Tag, ValueFailure
from tests.servers.registry import Registry, recorded

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
LEVEL = {
    "type": "record",
    "name": "Level",
    "fields": [
        {"name": "tag", "type": "string"},
        {"name": "value", "type": "double"},
        {
            "name": "timestamp",
            "type": {"type": "long", "logicalType": "timestamp-micros"},
        },
    ],
}


def samples() -> list[Sample]:
    return [Sample(TAG, 10**16 + n, value) for n, value in enumerate(VALUES)]


def same(sample: Sample, other: Sample) -> bool:
    facts = (sample.ticks, sample.value, sample.event_id, sample.good)
    return facts == (other.ticks, other.value, other.event_id, other.good)


@pytest.mark.parametrize("framing", ["plain", "single"])
def test_a_sample_comes_back_as_it_was(framing: str) -> None:
    codec = AvroCodec(framing=framing)
    for sample in samples():
        record: Any = codec.decode(codec.encode(sample))
        assert same(sample_of(record), sample)


def test_a_file_of_samples_is_read_by_others() -> None:
    data = AvroCodec(framing="file").batch_body(samples(), "repair")
    with avro.datafile.DataFileReader(io.BytesIO(data), avro.io.DatumReader()) as found:
        records: list[Any] = list(found)
    assert [each["ticks"] for each in records] == [s.ticks for s in samples()]
    assert {each["lane"] for each in records} == {"repair"}
    back: Any = AvroCodec(framing="file").decode(data)
    assert [sample_of(each).value for each in back] == VALUES


def test_a_plain_record_is_read_by_others() -> None:
    data = AvroCodec().encode(samples()[0])
    reader = avro.io.DatumReader(avro.schema.parse(SAMPLE_AVRO))
    found: Any = reader.read(avro.io.BinaryDecoder(io.BytesIO(data)))
    assert (found["tag"], found["value"]) == ("TI1", 1.5)


def test_a_single_object_begins_with_the_fingerprint_of_its_schema() -> None:
    # The specification of Avro: the marker, CRC-64-AVRO in little-endian order.
    codec = AvroCodec('"int"', framing="single")
    assert codec.encode(64) == bytes.fromhex("c301 8f5c393f1ad57572 8001")
    other = AvroCodec('"long"', framing="single", known=['"int"'])
    assert other.decode(codec.encode(64)) == 64
    with pytest.raises(DecodeError, match="no single object"):
        codec.decode(other.encode(64))


def test_samples_give_the_fields_that_a_schema_has() -> None:
    codec = AvroCodec(LEVEL)
    found: Any = codec.decode(codec.encode(samples()[0]))
    sample = samples()[0]
    assert found == {"tag": "TI1", "value": 1.5, "timestamp": sample.timestamp}
    with pytest.raises(CodecError):
        codec.encode(samples()[3])


def test_a_schema_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "level.avsc"
    path.write_text(json.dumps(LEVEL))
    assert AvroCodec(path).schema_name() == "Level"
    with pytest.raises(SettingsError, match="cannot be read"):
        AvroCodec(tmp_path / "none.avsc")


async def test_a_registry_numbers_schemas_and_tells_them() -> None:
    async with Registry(recorded("avro")) as server:
        registry = SchemaRegistry(server.url)
        data = await encoded_for(
            "pi-values", AvroCodec(registry=registry), samples()[0]
        )
        found = await decoded_from(AvroCodec(registry=registry), data)
    assert data[:5] == bytes([0]) + (1).to_bytes(4, "big")
    assert same(sample_of(found), samples()[0])
    assert [path for _, path, _ in server.asked] == [
        "/subjects/pi-values-value/versions",
        "/schemas/ids/1",
    ]


async def test_what_is_read_is_seen_by_a_schema_of_ones_own() -> None:
    mine = {"type": "record", "name": "Sample", "namespace": "pichannels"}
    fields = [{"name": "tag", "type": "string"}]
    fields.append({"name": "new", "type": "string", "default": "n"})
    async with Registry(recorded("avro")) as server:
        registry = SchemaRegistry(server.url)
        data = await encoded_for(
            "pi-values", AvroCodec(registry=registry), samples()[0]
        )
        reader = AvroCodec({**mine, "fields": fields}, registry=registry)
        assert await decoded_from(reader, data) == {"tag": "TI1", "new": "n"}


async def test_schemas_that_one_needs_are_asked_for() -> None:
    async with Registry(recorded("references")) as server:
        codec = AvroCodec(registry=SchemaRegistry(server.url))
        data = b"\0\0\0\0\x02\x04U1" + bytes(8)
        found = await decoded_from(codec, data)
    assert found == {"unit": {"name": "U1"}, "level": 0.0}


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("topic", "t-key"),
        ("record", "pichannels.Sample"),
        ("topic-record", "t-pichannels.Sample"),
        (lambda topic, name: f"x.{topic}", "x.t"),
    ],
    ids=["topic", "record", "topic-record", "function"],
)
def test_subjects_are_made_as_asked_for(
    subject: str | Callable[[str, str], str], expected: str
) -> None:
    codec = AvroCodec(subject=subject, part="key")
    assert codec.subject_of("t") == expected


@pytest.mark.parametrize(
    "options",
    [
        {"schema": "{"},
        {"schema": {"type": "recor"}},
        {"framing": "registry"},
        {"framing": "zip"},
        {"subject": "topics"},
        {"part": "header"},
    ],
    ids=str,
)
def test_options_are_looked_at(options: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        AvroCodec(**options)


@pytest.mark.parametrize("data", [b"", b"\x02", b"\x00\x00\x00", b"Obj\x01junk"])
@pytest.mark.parametrize("framing", ["plain", "single", "file"])
def test_what_is_no_avro_is_told(framing: str, data: bytes) -> None:
    with pytest.raises(DecodeError):
        AvroCodec(framing=framing).decode(data)


async def test_a_registry_needs_a_topic_and_a_frame() -> None:
    codec = AvroCodec(registry=SchemaRegistry("http://127.0.0.1:1"))
    with pytest.raises(UsageError, match="encoded_for"):
        codec.encode(samples()[0])
    with pytest.raises(DecodeError, match="no schema id"):
        await decoded_from(codec, b"{}")


def test_samples_go_one_by_one_without_a_file() -> None:
    with pytest.raises(CodecError, match="one by one"):
        AvroCodec().encode(samples())
    with pytest.raises(CodecError, match="nothing for"):
        AvroCodec().encode(Sample(TAG, 1, 2**70))
