"""Codecs give back what they were given, and say what they cannot read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pichannels.dataflow.codecs import (
    ICodec,
    JsonCodec,
    MessagePackCodec,
    decoded,
    encoded,
)
from pichannels.errors import CodecError, DecodeError
from pichannels.formats.records import record_of
from pichannels.values import DigitalState, Sample, Tag

CODECS = [JsonCodec(), MessagePackCodec()]


@pytest.mark.parametrize("codec", CODECS, ids=["json", "msgpack"])
def test_plain_data_comes_back(codec: ICodec) -> None:
    value = {"msg": "🐟", "numbers": [1, 2.5, None, True]}
    assert codec.decode(codec.encode(value)) == value


@pytest.mark.parametrize("codec", CODECS, ids=["json", "msgpack"])
def test_samples_are_the_records_that_nodes_publish(codec: ICodec) -> None:
    sample = Sample(Tag("UNIT1.TEMP"), 0, DigitalState("Open", 1))
    data = codec.encode([sample])
    assert data == codec.encode([record_of(sample, "live")])
    assert decoded(codec, encoded(codec, sample))["tag"] == "UNIT1.TEMP"


class Shown(ICodec):
    """A codec of somebody's own."""

    def encode(self, obj: object) -> bytes:
        return repr(obj).encode()

    def decode(self, s: bytes) -> object:
        return s


def test_a_codec_of_ones_own_gets_samples_as_dicts() -> None:
    sample = Sample(Tag("UNIT1.TEMP"), 0, 1.5)
    assert encoded(Shown(), sample) == repr(record_of(sample, "live")).encode()


def test_json_has_dates_as_text() -> None:
    data = JsonCodec().encode({"at": datetime(2026, 3, 1, tzinfo=UTC)})
    assert data == b'{"at":"2026-03-01T00:00:00Z"}'


def test_json_has_what_it_does_not_know_as_text() -> None:
    assert JsonCodec().encode([1 + 2j]) == b'["(1+2j)"]'


@pytest.mark.parametrize("codec", CODECS, ids=["json", "msgpack"])
def test_what_cannot_be_read_is_told(codec: ICodec) -> None:
    with pytest.raises(DecodeError):
        codec.decode(b"\xc1{")


def test_what_cannot_be_written_is_told() -> None:
    ring: list[object] = []
    ring.append(ring)
    with pytest.raises(CodecError, match="JSON"):
        JsonCodec().encode(ring)


def test_none_stays_none_to_delete_a_key() -> None:
    """Upstream made `null` of it, so that its topics could not forget."""
    codec = JsonCodec()
    assert (encoded(codec, None), encoded(codec, 1), decoded(codec, None)) == (
        None,
        b"1",
        None,
    )
