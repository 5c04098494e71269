"""The codec of CSV."""

from __future__ import annotations

from typing import Any

import pytest

from pichannels.errors import CodecError, DecodeError
from pichannels.formats.csv_codec import CsvCodec
from pichannels.values import DigitalState, Sample, Tag

SAMPLE = Sample(Tag("TI,1", units="K"), 10**16, DigitalState("Open", 1))


def test_a_sample_is_a_line_by_the_names_of_its_fields() -> None:
    codec = CsvCodec(["tag", "timestamp", "value", "lane"], delimiter=";")
    data = codec.sample_body(SAMPLE, "repair")
    assert data == b"TI,1;2001-09-09 01:46:40+00:00;Open;repair"
    assert codec.decode(data) == {
        "tag": "TI,1",
        "timestamp": "2001-09-09 01:46:40+00:00",
        "value": "Open",
        "lane": "repair",
    }


def test_several_are_several_lines() -> None:
    codec = CsvCodec(["a", "b"])
    assert codec.encode([{"a": 1, "b": 2}, [3, "x\ny"]]) == b'1,2\n3,"x\ny"'
    assert codec.encode(["one", 2]) == b"one,2"
    found: Any = CsvCodec().decode(CsvCodec().encode([SAMPLE, SAMPLE]))
    assert [row["tag"] for row in found] == ["TI,1", "TI,1"]


@pytest.mark.parametrize("value", [{"c": 1}, [1, 2, 3], 5], ids=str)
def test_what_has_no_place_is_told(value: Any) -> None:
    with pytest.raises(CodecError):
        CsvCodec(["a", "b"]).encode(value)


@pytest.mark.parametrize("data", [b"", b"1", b'"1,2', b"\xff,1"], ids=repr)
def test_what_is_no_such_line_is_told(data: bytes) -> None:
    with pytest.raises(DecodeError):
        CsvCodec(["a", "b"]).decode(data)
