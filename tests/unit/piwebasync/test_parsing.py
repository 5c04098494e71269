"""Stream documents of every known form become samples, and nothing breaks them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pichannels.errors import DecodeError
from pichannels.manifest import ManifestEntry
from pichannels.piwebasync.parsing import (
    channel_samples,
    manifest,
    parse_channel,
    parse_stream,
    parse_stream_set,
    to_samples,
)
from pichannels.values import DigitalState, Sample, Tag, ValueFailure, parse_ticks

FIXTURES = Path(__file__).parents[2] / "fixtures" / "piwebapi"
NAMES = sorted(path.name for path in FIXTURES.glob("*.json"))
NINE = parse_ticks("2023-02-11T09:00:00Z")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["Items", "Value", "Timestamp", "WebId", "Path", "Name", "Good"]
                + ["IsSystem", "Errors", "UnitsAbbreviation", "Links", "Exception"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


def fixture(name: str) -> bytes:
    return next(FIXTURES.glob(f"{name}_*.json")).read_bytes()


def samples(raw: bytes) -> list[Sample]:
    return to_samples(parse_channel(raw)).samples


def message(*events: Any, **stream: Any) -> bytes:
    named = {"WebId": "W1", "Name": "T1", "Path": r"\\SRV\T1", "Items": events}
    return json.dumps({"Items": [named | stream]}).encode()


def event(value: Any = 1, second: str = "00Z", **more: Any) -> dict[str, Any]:
    return {"Timestamp": f"2023-02-11T09:00:{second}", "Value": value} | more


def test_a_channel_message_gives_samples_with_exact_ticks_and_units() -> None:
    first, second = samples(fixture("d01"))
    assert (first.value, first.units) == (71.25, "°C")
    assert second.ticks == NINE + 25_000_000


@pytest.mark.parametrize(
    "raw",
    [
        fixture("d02"),
        b"{}",
        b'""',
        b"",
        b"null",
        b'{"Links":{}}',
        b'{"Items":null}',
        b'{"Items":[]}',
    ],
)
def test_every_form_of_heartbeat_is_a_message_without_events(raw: bytes) -> None:
    assert parse_channel(raw).is_heartbeat
    assert samples(raw) == []


def test_a_digital_value_is_a_state_and_a_system_state_is_told_apart() -> None:
    timeout, opened = samples(fixture("d05"))
    assert timeout.value == DigitalState("I/O Timeout", 246, True)
    assert timeout.is_system and not timeout.good and not opened.is_system


def test_flags_that_are_written_as_strings_are_understood() -> None:
    found = samples(fixture("d06"))
    assert [(s.good, s.questionable) for s in found] == [(True, False)] * 2


def test_a_stream_with_a_single_value_object_is_one_event() -> None:
    (sample,) = samples(fixture("d07"))
    assert (sample.tag.name, sample.value, sample.units) == (
        "UNIT1.TI101.PV",
        12.3,
        "m",
    )


def test_a_bare_timed_value_takes_its_tag_from_the_caller() -> None:
    tag = Tag("T")
    found = to_samples(parse_channel(fixture("d10")), lambda stream: tag)
    assert found.samples[0].value == DigitalState("OPEN", 1)
    assert found.samples[0].tag is tag


def test_an_event_of_no_known_stream_is_a_failure() -> None:
    found = to_samples(parse_channel(fixture("d09")))
    assert found.samples == []
    assert "neither WebId" in str(found.failures[0].cause)


def test_a_list_of_streams_and_a_lone_stream_are_read() -> None:
    document = json.loads(message(event(5)))
    assert samples(json.dumps(document["Items"]).encode())[0].value == 5
    assert samples(json.dumps(document["Items"][0]).encode())[0].value == 5


@pytest.mark.parametrize(
    "value",
    [1, 10**30, 1.5, -0.0, "text", "NaN", "true", True, None, [1, 2.5], {"WebId": "x"}],
)
def test_values_keep_their_kind(value: Any) -> None:
    (sample,) = samples(message(event(value)))
    assert repr(sample.value) == repr(value)


def test_numbers_that_json_does_not_allow_cost_nothing_else() -> None:
    raw = message(event(float("inf")), event(2, "01Z"))
    assert [s.value for s in samples(raw)] == [float("inf"), 2]
    assert len(samples(message(event(1)).replace(b": 1}", b": 1e999}"))) == 1


def test_the_errors_of_a_value_become_a_failure_that_is_not_good() -> None:
    (sample,) = to_samples(parse_stream(fixture("d12"), web_id="W")).samples
    assert sample.value == ValueFailure("PI Point not found.")
    assert not sample.good


def test_an_object_of_errors_becomes_a_failure() -> None:
    (sample,) = samples(message(event({"Errors": ["No good data."]})))
    assert sample.value == ValueFailure("No good data.")


def test_errors_beside_a_value_leave_the_value() -> None:
    errors = [{"FieldName": "UnitsAbbreviation", "Message": ["No such unit."]}]
    (sample,) = samples(message(event(3.5, Errors=errors)))
    assert (sample.value, sample.good) == (3.5, True)


@pytest.mark.parametrize(
    "broken",
    [
        event(2, "99Z"),
        event(2, "01.²²²²²²²Z"),
        {"Value": 2},
        event(2, Timestamp=12),
        event(2, Good="maybe"),
        event({"Name": "X", "Value": "many"}),
        "no object",
    ],
)
def test_an_event_that_makes_no_sense_costs_itself_alone(broken: Any) -> None:
    found = to_samples(parse_channel(message(event(1), broken, event(3, "02Z"))))
    assert [s.value for s in found.samples] == [1, 3]
    assert [bad.index for bad in found.failures] == [1]


def test_a_stream_that_makes_no_sense_costs_itself_alone() -> None:
    raw = message(event(1)).replace(b'{"Items": [', b'{"Items": [7, ', 1)
    found = to_samples(parse_channel(raw))
    assert [s.value for s in found.samples] == [1]
    assert len(found.failures) == 1


def test_identical_events_of_one_message_are_numbered() -> None:
    found = samples(message(event(1), event(1), event(2)))
    assert [s.nth for s in found] == [0, 1, 0]
    assert len({s.event_id for s in found}) == 3


def test_the_tag_is_found_by_web_id_and_else_by_path() -> None:
    tag = Tag("mine", key="7")
    for known in ("W1", r"\\SRV\T1"):
        (sample,) = to_samples(parse_channel(message(event())), {known: tag}).samples
        assert sample.tag is tag


def test_the_manifest_tells_first_last_and_count_of_each_tag() -> None:
    parsed = parse_channel(fixture("d04"))
    web_id = parsed.streams[0].web_id
    eight = parse_ticks("2023-02-11T08:00:00Z")
    assert manifest(parsed) == [ManifestEntry(web_id, eight, NINE + 50_000_000, 3)]


def test_the_manifest_uses_the_tag_key_and_leaves_out_no_data() -> None:
    nothing = {"Timestamp": "1970-01-01T00:00:00Z", "Value": None}
    parsed = parse_channel(message(event(), nothing))
    tags = {"W1": Tag("T1", key="7")}
    assert manifest(parsed, tags) == [ManifestEntry("7", NINE, NINE, 1)]


def test_stream_set_answers_are_read_with_values_and_with_items() -> None:
    assert parse_stream_set(fixture("d13")).count == 2
    assert [len(s.events) for s in parse_stream_set(fixture("d17")).streams] == [2, 0]


def test_a_stream_that_pi_could_not_answer_says_why() -> None:
    (failed,) = parse_stream_set(fixture("d18")).streams
    assert failed.failure == r"PI Point not found '\\SIMSRV\gone'."
    assert [s.failure for s in parse_stream_set(fixture("d17")).streams] == ["", ""]


def test_a_stream_without_values_and_without_errors_is_no_empty_answer() -> None:
    raw = b'{"Items":[{"WebId":"W1","Items":null}]}'
    assert parse_stream_set(raw).streams[0].failure


def test_recorded_values_of_one_stream_get_the_name_of_the_caller() -> None:
    found = to_samples(parse_stream(fixture("d14"), "W1", r"\\SRV\T1")).samples
    assert (found[0].tag.name, found[0].units) == ("T1", "°C")
    assert found[3].value == DigitalState("Bad Input", 255, True)


@pytest.mark.parametrize("name", ["d36", "d37", "d38", "d39"])
def test_an_error_report_is_never_an_empty_answer(name: str) -> None:
    for parse in (parse_channel, parse_stream_set, parse_stream):
        with pytest.raises(DecodeError, match="PI reports"):
            parse(fixture(name))


@pytest.mark.parametrize(
    "events",
    [
        [event()],
        [event(None)],
        [event({"Name": "Shutdown", "Value": 254, "IsSystem": True}, Good=False)],
        [event(None, Errors=["gone"])],
        [event(2, "99Z")],
        [event(1), event(1), event(2, "00.5Z", UnitsAbbreviation="m")],
        [],
    ],
)
@pytest.mark.parametrize("tags", [{"W1": Tag("T", units="s")}, {"W1": Tag("")}, {}])
def test_samples_in_one_go_are_those_of_both_steps(
    events: list[Any], tags: dict[str, Tag]
) -> None:
    raw = message(*events)
    both = to_samples(parse_channel(raw), tags)
    one = channel_samples(raw, tags)
    assert one.samples == both.samples
    assert [str(bad) for bad in one.failures] == [str(bad) for bad in both.failures]


def test_a_system_state_costs_the_other_values_of_its_stream_nothing() -> None:
    bad = {"Name": "Bad Input", "Value": 255, "IsSystem": True}
    found = samples(message(event(1.5), event(bad, "01Z", Good=False), event(2, "02Z")))
    assert [s.value for s in found] == [1.5, DigitalState("Bad Input", 255, True), 2]
    assert [s.good for s in found] == [True, False, True]


@pytest.mark.parametrize("name", NAMES)
def test_no_document_of_pi_breaks_the_parser(name: str) -> None:
    survives((FIXTURES / name).read_bytes())


@given(json_values)
def test_no_json_breaks_the_parser(document: Any) -> None:
    survives(json.dumps(document).encode())


@given(st.binary(max_size=60))
def test_no_bytes_break_the_parser(raw: bytes) -> None:
    survives(raw)


@pytest.mark.parametrize("raw", [b"[" * 100_000, b'{"Items":' * 5000, b"\xff\xfe{"])
def test_deep_and_foreign_bytes_are_refused_as_undecodable(raw: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_channel(raw)


@given(st.lists(st.tuples(st.integers(0, 10**15), st.floats(allow_nan=False))))
def test_every_well_formed_event_comes_through_exactly(
    events: list[tuple[int, float]],
) -> None:
    from_ticks = Sample(Tag("x"), 0, 0).with_
    raw = message(
        *({"Timestamp": from_ticks(ticks=t).iso, "Value": v} for t, v in events)
    )
    assert [(s.ticks, s.value) for s in samples(raw)] == events


def survives(raw: bytes) -> None:
    for parse in (parse_channel, parse_stream_set, parse_stream):
        try:
            parsed = parse(raw)
        except DecodeError:
            continue
        found = to_samples(parsed)
        if parse is parse_channel:
            assert repr(channel_samples(raw)) == repr(found)
        assert len(found.samples) + len(found.failures) == parsed.count
        assert sum(entry.count for entry in manifest(parsed)) <= parsed.count
