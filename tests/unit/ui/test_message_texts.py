"""Payloads are shown decoded, raw and by bytes, edited in their kind, and compared."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pichannels import codecs
from pichannels.errors import UsageError
from pichannels.ui.pages import message_texts
from pichannels.values import DigitalState, Sample, Tag


def stored(payload: Any) -> Any:
    """A payload as a message that is shown has it."""
    return msgspec.json.decode(codecs.encode_json(payload))


def test_a_document_has_each_field_on_a_line() -> None:
    assert message_texts.decoded('{"a":[1]}') == '{\n  "a": [\n    1\n  ]\n}'


@pytest.mark.parametrize("payload", ["no {json", b"no {json"])
def test_what_is_no_document_is_shown_as_it_is(payload: Any) -> None:
    assert message_texts.decoded(stored(payload)) == "no {json"


def test_bytes_are_dumped_with_place_and_text() -> None:
    dump = message_texts.hex_dump(message_texts.bytes_of(stored(b"\xff" * 15 + b"AB")))
    first, second = dump.splitlines()
    assert first.endswith(f"{'.' * 15}A")
    assert second.split() == ["00000010", "42", "B"]


def test_samples_are_found_in_a_stored_payload() -> None:
    samples = [Sample(Tag("TI-1"), 10, 2.5)]
    assert message_texts.samples_of(stored(samples)) == samples
    assert message_texts.samples_of(stored([1, 2])) == []


def test_samples_are_read_a_line_each() -> None:
    tripped = DigitalState("TRIPPED", 2)
    samples = [
        Sample(Tag("TI-1", units="°C"), 10_000_000, 2.5),
        Sample(Tag("P-1"), 0, tripped, good=False, substituted=True),
    ]
    assert message_texts.readable(stored(samples)).splitlines() == [
        "1970-01-01T00:00:01Z  TI-1  2.5 °C",
        "1970-01-01T00:00:00Z  P-1  TRIPPED  bad  substituted",
    ]
    assert message_texts.brief(stored(samples)) == "TI-1 2.5 °C, and 1 more"


def test_differences_of_samples_are_lines() -> None:
    one = {"payload": stored([Sample(Tag("A"), 0, 1), Sample(Tag("B"), 0, 2)])}
    other = {"payload": stored([Sample(Tag("A"), 0, 1)])}
    lines = message_texts.diff_lines(one, other)
    assert [each for each in lines if each[0] in "+-"] == [
        "-1970-01-01T00:00:00Z  B  2"
    ]


@pytest.mark.parametrize("payload", ["text", b"bytes", {"a": [1]}])
def test_a_payload_that_was_not_changed_is_the_same_after_editing(payload: Any) -> None:
    given = stored(payload)
    text = message_texts.editable(given)
    again = message_texts.edited(given, text)
    assert codecs.decode_json(msgspec.json.encode(again)) == payload


def test_bytes_that_are_no_text_cannot_be_edited() -> None:
    with pytest.raises(UsageError, match="no text"):
        message_texts.editable(stored(b"\xff\x00"))


def test_what_was_edited_has_to_be_json_where_it_was() -> None:
    with pytest.raises(UsageError, match="no JSON"):
        message_texts.edited({"a": 1}, "{")


def test_only_what_differs_is_told() -> None:
    one = {"content_type": "a", "meta": {}, "payload": '{"speed": 7, "unit": "Hz"}'}
    other = {**one, "payload": '{"speed": 8, "unit": "Hz"}'}
    lines = message_texts.diff_lines(one, other)
    assert [line for line in lines if line[0] in "+-"] == [
        '-  "speed": 7,',
        '+  "speed": 8,',
    ]
    assert message_texts.diff_lines(one, one) == []


def test_what_a_payload_holds_is_never_html() -> None:
    shown = message_texts.diff_markup(["+<script>"])
    assert "<script>" not in shown
