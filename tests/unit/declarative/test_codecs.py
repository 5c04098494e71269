"""Codecs in YAML are what Python would have made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nodes import decode, publish
from pichannels.errors import SettingsError
from pichannels.fingerprint import options_of
from pichannels.formats.avro import AvroCodec
from pichannels.formats.codec import JsonCodec
from pichannels.formats.csv_codec import CsvCodec
from pichannels.formats.protobuf import ProtobufCodec
from pichannels.formats.registry import SchemaRegistry
from pichannels.secrets import Secret

if TYPE_CHECKING:
    from tests.unit.declarative.conftest import Folder

REGISTRY = "registry: {url: 'http://r:8081', user: me, password: '${env:P}'}"


def codec_of(folder: Folder, codec: str) -> Any:
    node = f"publish.Kafka: {{servers: 'k:9092', topic: t, codec: {codec}}}"
    (step,) = folder.chain(f"- {node}").steps
    assert isinstance(step, publish.Kafka)
    return options_of(step)["codec"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("json", JsonCodec),
        ("avro", AvroCodec),
        ("protobuf", ProtobufCodec),
        ("{csv: {fieldnames: [tag, value]}}", CsvCodec),
    ],
)
def test_a_codec_is_named(folder: Folder, text: str, kind: type) -> None:
    assert type(codec_of(folder, text)) is kind


def test_a_codec_has_a_schema_and_a_registry(folder: Folder) -> None:
    folder.write("level.avsc", '{"type": "record", "name": "L", "fields": []}')
    codec = codec_of(folder, f"{{avro: {{schema: level.avsc, {REGISTRY}}}}}")
    registry = options_of(codec)["registry"]
    assert (type(registry), codec.schema_name()) == (SchemaRegistry, "L")
    assert options_of(registry)["password"] == Secret.env("P")


def test_a_node_takes_a_registry(folder: Folder) -> None:
    (node,) = folder.chain(f"- decode.Avro: {{samples: true, {REGISTRY}}}").steps
    assert isinstance(node, decode.Avro) and node.samples


def test_a_codec_that_is_none_is_told(folder: Folder) -> None:
    with pytest.raises(SettingsError, match="avro"):
        codec_of(folder, "arvo")
