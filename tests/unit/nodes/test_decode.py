"""decode.PI over all forms of PI documents, decode.JSON over all kinds of text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nodes.decode import JSON, PI, SAMPLES
from pichannels.errors import (
    DecodeError,
    Dropped,
    SampleErrors,
    SettingsError,
    UsageError,
)
from pichannels.message import Message
from pichannels.piwebasync.parsing import parse_channel, to_samples
from pichannels.values import DigitalState, Sample, Tag, ValueFailure

FIXTURES = Path(__file__).parents[2] / "fixtures" / "piwebapi"


def fixture(number: str) -> bytes:
    return next(FIXTURES.glob(f"{number}_*.json")).read_bytes()


def frame(name: str, *events: Any) -> bytes:
    items = [
        event if isinstance(event, dict) else {"Timestamp": T0, "Value": event}
        for event in events
    ]
    return json.dumps({"Items": [{"Name": name, "Items": items}]}).encode()


T0 = "2024-05-01T12:00:00.1234567Z"


def decoded(payload: Any, node: PI | None = None, **meta: Any) -> list[Sample]:
    msg = (node or PI()).process(Message("application/json", payload, meta))
    samples: list[Sample] = msg.payload
    return samples


@pytest.mark.parametrize(
    ("number", "tags", "values"),
    [
        ("d01", ["UNIT1.TI101.PV"], [71.25, 71.5]),
        (
            "d03",
            [r"Unit1\Pump7|Temperature", r"Unit1\Pump7|State"],
            [64.02, DigitalState("Running", 1)],
        ),
        ("d04", ["UNIT1.FI204.PV"], [12.0, 11.5, 12.1]),
        (
            "d05",
            ["UNIT1.XV9.STATE"],
            [DigitalState("I/O Timeout", 246, True), DigitalState("OPEN", 1)],
        ),
        ("d06", ["Temperature"], [64.1, 64.6]),
        ("d07", ["UNIT1.TI101.PV"], [12.3]),
    ],
)
def test_each_form_of_a_channel_message_gives_samples(
    number: str, tags: list[str], values: list[Any]
) -> None:
    samples = decoded(fixture(number))
    assert list(dict.fromkeys(s.tag.name for s in samples)) == tags
    assert [s.value for s in samples] == values


def test_text_is_as_good_as_bytes() -> None:
    assert decoded(fixture("d01").decode()) == decoded(fixture("d01"))


def test_the_content_type_says_samples() -> None:
    msg = PI().process(Message("application/json", fixture("d01")))
    assert msg.content_type == SAMPLES


@pytest.mark.parametrize("payload", [fixture("d02"), b"", b"{}", b'{"Items": null}'])
def test_a_heartbeat_is_dropped(payload: bytes) -> None:
    with pytest.raises(Dropped):
        decoded(payload)


@pytest.mark.parametrize(
    "payload", [b"{broken", b'{"Items": [', b"\xff\xfe", 7, None, {"a": 1}]
)
def test_what_is_no_pi_document_costs_this_message(payload: Any) -> None:
    with pytest.raises(DecodeError):
        decoded(payload)


def test_frames_of_a_sequence_become_one_batch_in_order() -> None:
    sequence = b"\x1e" + frame("A", 1) + b"\n\x1e" + frame("B", 2) + b"\n"
    assert [(s.tag.name, s.value) for s in decoded(sequence)] == [("A", 1), ("B", 2)]


def test_a_heartbeat_in_a_sequence_is_left_out() -> None:
    sequence = b"\x1e" + fixture("d02") + b"\x1e" + frame("B", 2)
    assert [s.tag.name for s in decoded(sequence)] == ["B"]


def test_a_broken_frame_does_not_cost_the_others() -> None:
    sequence = b"\x1e" + frame("A", 1) + b"\x1e{half" + b"\x1e" + frame("C", 3)
    with pytest.raises(SampleErrors) as caught:
        decoded(sequence)
    assert list(caught.value.causes) == ["frame 2"]
    assert [s.tag.name for s in caught.value.message.payload] == ["A", "C"]


def test_an_event_that_is_not_understood_is_set_aside_alone() -> None:
    payload = frame("A", 1, {"Timestamp": "yesterday", "Value": 2}, 3)
    with pytest.raises(SampleErrors) as caught:
        decoded(payload)
    assert [s.value for s in caught.value.message.payload] == [1, 3]
    assert list(caught.value.causes) == ["[1] A yesterday"]


def test_a_broken_name_is_told_in_characters_that_can_be_stored() -> None:
    payload = b'{"Items":[{"WebId":"\\ud800","Items":[{"Timestamp":1}]}]}'
    with pytest.raises(SampleErrors) as caught:
        decoded(payload)
    assert str(caught.value).encode()


def test_without_any_good_event_the_message_fails() -> None:
    with pytest.raises(SampleErrors) as caught:
        decoded(frame("A", {"Timestamp": "yesterday", "Value": 2}))
    assert caught.value.message is None


def test_what_the_source_parsed_is_taken_over() -> None:
    msg = Message("application/json", b"not looked at")
    msg.parsed = parse_channel(frame("A", 1))
    assert [s.tag.name for s in PI().process(msg).payload] == ["A"]


def test_samples_that_the_source_made_are_taken_over() -> None:
    msg = Message("application/json", b"not looked at")
    msg.parsed = to_samples(parse_channel(frame("A", 1)))
    assert PI().process(msg).payload is not None
    assert msg.parsed is None


def test_several_parsed_frames_are_taken_over() -> None:
    msg = Message("application/json-seq", b"not looked at")
    msg.parsed = [parse_channel(frame("A", 1)), parse_channel(frame("B", 2))]
    assert [s.tag.name for s in PI().process(msg).payload] == ["A", "B"]


def test_a_foreign_parsed_object_is_told() -> None:
    msg = Message("application/json", frame("A", 1))
    msg.parsed = 7
    with pytest.raises(UsageError, match=r"msg\.parsed holds int"):
        PI().process(msg)


def test_samples_go_on_as_they_are() -> None:
    samples = [Sample(Tag("A"), 10, 1.0)]
    assert decoded(samples) is samples


def test_the_server_is_part_of_the_event_id() -> None:
    one, other = (decoded(frame("A", 1), PI(server))[0] for server in ("X", "Y"))
    assert (one.tag.server, one.event_id != other.event_id) == ("X", True)


def test_the_server_is_what_the_source_says() -> None:
    assert decoded(fixture("d01"), server="PLANT")[0].tag.server == "PLANT"


def test_a_point_is_known_by_its_number() -> None:
    assert decoded(fixture("d01"))[0].tag.key == "7"


def test_a_source_with_several_members_has_paths_for_keys() -> None:
    node = PI()
    numbered, named = (
        decoded(fixture("d01"), node, **m) for m in ({}, {"keys": "path"})
    )
    assert numbered[0].tag.key == "7"
    assert named[0].tag.key == named[0].tag.path != ""


def test_an_attribute_is_known_by_its_element_and_itself() -> None:
    keys = {sample.tag.key for sample in decoded(fixture("d03"))}
    assert len(keys) == 2
    assert len({key.partition("/")[0] for key in keys}) == 1


def test_a_function_is_asked_until_it_knows_the_stream() -> None:
    tags: dict[str, Tag] = {}
    node = PI(tags=lambda stream: tags.get(stream.name))
    before = decoded(fixture("d01"), node)[0].tag
    tags["UNIT1.TI101.PV"] = known = Tag("known")
    assert (before.name, decoded(fixture("d01"), node)[0].tag) == (
        "UNIT1.TI101.PV",
        known,
    )


def test_streams_of_known_and_unknown_tags_may_be_mixed() -> None:
    node = PI()
    mixed = json.loads(fixture("d01"))
    mixed["Items"] += json.loads(frame("B", 2))["Items"]
    names = {s.tag.name for s in decoded(json.dumps(mixed), node)}
    assert names == {"UNIT1.TI101.PV", "B"}


def test_samples_of_one_stream_share_their_tag() -> None:
    node = PI()
    assert decoded(frame("A", 1), node)[0].tag is decoded(frame("A", 2), node)[0].tag


def test_tags_come_from_the_mapping() -> None:
    web_id = json.loads(fixture("d01"))["Items"][0]["WebId"]
    known = Tag("TI101", key="7")
    assert decoded(fixture("d01"), PI(tags={web_id: known}))[0].tag is known


def test_tags_come_from_the_function_where_it_knows_them() -> None:
    known = Tag("known")
    node = PI(tags=lambda stream: known if stream.name == "A" else None)
    names = [decoded(frame(name, 1), node)[0].tag.name for name in "AB"]
    assert names == ["known", "B"]


def test_an_answer_without_a_name_gets_it_from_the_meta() -> None:
    samples = decoded(fixture("d14"), path=r"\\SIMSRV\FI204")
    assert {s.tag.name for s in samples} == {"FI204"}


def test_one_value_is_decoded_too() -> None:
    assert decoded(fixture("d09"), tag="TI101")[0].tag.name == "TI101"


@pytest.mark.parametrize("number", ["d13", "d17"])
def test_answers_of_stream_sets_are_decoded(number: str) -> None:
    assert decoded(fixture(number))


def test_a_stream_that_failed_does_not_cost_the_others() -> None:
    document = json.loads(fixture("d18"))
    document["Items"] += json.loads(frame("B", 2))["Items"]
    with pytest.raises(SampleErrors, match="PI Point not found") as caught:
        decoded(json.dumps(document))
    assert [s.tag.name for s in caught.value.message.payload] == ["B"]


def test_events_without_a_time_are_no_events() -> None:
    nothing = {"Timestamp": "1970-01-01T00:00:00Z", "Value": 0}
    assert [s.value for s in decoded(frame("A", nothing, 2))] == [2]


def test_a_value_that_pi_could_not_compute_is_a_failure() -> None:
    sample = decoded(fixture("d12"), tag="TI101")[0]
    assert type(sample.value) is ValueFailure


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"a": 1}', {"a": 1}),
        ('["\u00e4"]', ["ä"]),
        (bytearray(b"7"), 7),
        (b"null", None),
    ],
)
def test_json_becomes_python(payload: Any, expected: Any) -> None:
    msg = JSON().process(Message("application/json", payload))
    assert (msg.payload, msg.content_type) == (expected, "application/python")


@pytest.mark.parametrize(
    "payload", [b"{", "", b"\xff", 7, None, b"[" * 100_000, b'"\xe4"']
)
def test_what_is_not_json_costs_this_message(payload: Any) -> None:
    with pytest.raises(DecodeError, match="not JSON"):
        JSON().process(Message("application/json", payload))


def test_other_encodings_are_read() -> None:
    msg = JSON("latin-1").process(Message(payload='["ä"]'.encode("latin-1")))
    assert msg.payload == ["ä"]


def test_an_unknown_encoding_is_told_at_once() -> None:
    with pytest.raises(SettingsError, match="no such encoding"):
        JSON("utf-9")


@dataclass
class Reading:
    tag: str
    value: float


def test_json_into_a_type() -> None:
    msg = JSON(into=Reading).process(Message(payload=b'{"tag": "A", "value": 1}'))
    assert msg.payload == Reading("A", 1)


def test_json_of_another_type_is_refused() -> None:
    with pytest.raises(DecodeError, match="value"):
        JSON(into=Reading).process(Message(payload=b'{"tag": "A"}'))
