"""Instants are exact ticks, and events keep their identity."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, time, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import example, given, strategies as st

from pichannels import values
from pichannels.errors import DecodeError
from pichannels.values import (
    NO_DATA,
    OPEN_END,
    TICKS_PER_SECOND,
    DigitalState,
    Sample,
    Tag,
    ValueFailure,
    datetime_from_ticks,
    format_ticks,
    number_identical,
    parse_all_ticks,
    parse_ticks,
    tags_of,
    ticks_from_datetime,
)

FIRST = -621_355_968_000_000_000
TICKS = st.integers(FIRST, OPEN_END)
DATES = st.datetimes(timezones=st.just(UTC))
OFFSETS = st.integers(-14 * 60, 14 * 60)
TAG = Tag("UNIT1.TEMP", r"\\SRV\UNIT1.TEMP", "P1abc", "plant", "1234", "°C")


def oracle(moment: datetime, digits: str = "") -> Fraction:
    """The ticks by arithmetic on calendar fields, without datetime's own."""
    seconds = calendar.timegm(moment.timetuple())
    return Fraction(seconds * TICKS_PER_SECOND) + Fraction(
        int(digits or "0") * TICKS_PER_SECOND, 10 ** len(digits)
    )


def written(moment: datetime) -> str:
    # strftime does not pad years on every platform.
    return f"{moment.year:04d}-{moment:%m-%dT%H:%M:%S}"


@given(DATES, st.text("0123456789", min_size=1, max_size=9))
def test_a_parsed_instant_is_exact_to_the_seventh_digit(
    moment: datetime, digits: str
) -> None:
    exact = oracle(moment, digits[:7])
    assert parse_ticks(f"{written(moment)}.{digits}Z") == exact


@given(DATES, st.text("0123456789", min_size=7, max_size=7))
def test_the_second_reading_gives_the_same_as_the_first(
    moment: datetime, digits: str
) -> None:
    text = f"{written(moment)}.{digits}Z"
    values._SECONDS.clear()
    assert parse_ticks(text) == parse_ticks(text)


@given(DATES, st.lists(st.tuples(st.times(), st.text("0123456789", max_size=8))))
def test_all_instants_of_a_day_that_was_met_are_exact(
    day: datetime, found: list[tuple[time, str]]
) -> None:
    values._SECONDS.clear()
    moments = [(datetime.combine(day, at, UTC), digits) for at, digits in found]
    texts = [f"{written(m)}{'.' if n else ''}{n}Z" for m, n in moments]
    assert [*map(parse_ticks, texts)] == [oracle(m, n[:7]) for m, n in moments]


@given(st.lists(st.tuples(DATES, st.text("0123456789", max_size=9)), max_size=5))
def test_many_instants_are_read_like_one(found: list[tuple[datetime, str]]) -> None:
    texts = [f"{written(d)}{'.' if n else ''}{n}Z" for d, n in found] * 2
    assert parse_all_ticks(texts) == [parse_ticks(text) for text in texts]


def test_one_bad_instant_among_many_is_refused() -> None:
    with pytest.raises(DecodeError, match="not a timestamp"):
        parse_all_ticks(["2024-02-29T12:00:00Z", "2024-02-29T12:00:00.12_3Z"])


@given(DATES.filter(lambda d: 2 < d.year < 9998), OFFSETS)
def test_an_offset_is_taken_off(moment: datetime, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    local = moment.astimezone(zone)
    assert parse_ticks(local.isoformat()) == ticks_from_datetime(moment)


@given(TICKS)
@example(FIRST)
@example(NO_DATA)
@example(OPEN_END)
def test_ticks_survive_their_text(ticks: int) -> None:
    assert parse_ticks(format_ticks(ticks)) == ticks


@given(TICKS, TICKS)
def test_the_order_of_ticks_is_the_order_of_instants(a: int, b: int) -> None:
    earlier, later = sorted((a, b))
    assert datetime_from_ticks(earlier) <= datetime_from_ticks(later)


@given(DATES)
def test_a_datetime_survives_ticks(moment: datetime) -> None:
    assert datetime_from_ticks(ticks_from_datetime(moment)) == moment


@given(DATES)
def test_ticks_of_a_datetime_are_exact(moment: datetime) -> None:
    assert ticks_from_datetime(moment) == oracle(moment, f"{moment.microsecond:06d}")


@pytest.mark.parametrize(
    ("text", "ticks"),
    [
        ("1970-01-01T00:00:00Z", NO_DATA),
        ("9999-12-31T23:59:59.9999999Z", OPEN_END),
        ("2024-02-29T12:00:00.1234567Z", 17_092_080_001_234_567),
        ("2024-02-29T12:00:00,1234567Z", 17_092_080_001_234_567),
        ("2024-02-29T12:00:00.12345678Z", 17_092_080_001_234_567),
        ("2024-02-29T14:00:00.1234567+02:00", 17_092_080_001_234_567),
        ("2024-02-29 12:00:00.5", 17_092_080_005_000_000),
        ("2024-02-29T12:00:00", 17_092_080_000_000_000),
        ("2024-02-29", 17_091_648_000_000_000),
        ("20240229T120000.125Z", 17_092_080_001_250_000),
        ("2024-02-29T12:00:00.5-00:00:30", 17_092_080_305_000_000),
    ],
)
def test_known_instants(text: str, ticks: int) -> None:
    assert [parse_ticks(text), parse_ticks(text)] == [ticks, ticks]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2024-02-30T00:00:00Z",
        "2024-02-29T12:00:60Z",
        "2024-02-29T12:00:00.12345x7Z",
        "2024-02-29T12:00:00.123456\u00b2Z",
        "2024-02-29T12:00:00.123456\u0667Z",
        "2024-02-29T12:00:00.+12345 Z",
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    parse_ticks("2024-02-29T12:00:00Z")
    with pytest.raises(DecodeError, match="^not a timestamp: "):
        parse_ticks(text)


@given(st.text(max_size=30))
def test_any_text_is_an_instant_or_a_decode_error(text: str) -> None:
    try:
        assert isinstance(parse_ticks(text), int)
    except DecodeError as error:
        assert error.what == "a timestamp"


def test_the_cache_of_seconds_stays_bounded() -> None:
    for second in range(values._KEPT + 10):
        parse_ticks(format_ticks(second * TICKS_PER_SECOND))
    assert len(values._SECONDS) <= values._KEPT


def test_a_datetime_without_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone; use datetime.now"):
        ticks_from_datetime(datetime(2024, 1, 1))


def test_text_has_no_trailing_zeros() -> None:
    assert format_ticks(15_000_000) == "1970-01-01T00:00:01.5Z"


# Samples

STATES = st.builds(DigitalState, st.text(max_size=5), st.integers(), st.booleans())
PLAIN = st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.booleans()
TAGS = st.builds(
    Tag,
    name=st.sampled_from(["a", "b"]),
    server=st.sampled_from(["", "s"]),
    key=st.sampled_from(["", "1"]),
)
SAMPLES = st.builds(
    Sample,
    tag=TAGS,
    ticks=st.integers(0, 3),
    value=PLAIN | STATES,
    good=st.booleans(),
    questionable=st.booleans(),
    substituted=st.booleans(),
    annotated=st.booleans(),
    nth=st.integers(0, 2),
)


def identity(sample: Sample) -> tuple[object, ...]:
    """What the id of an event is made of, as plain values."""
    tag, value = sample.tag, sample.value
    if isinstance(value, DigitalState):
        value = (value.code, value.is_system)
    return (
        (tag.server, tag.key or tag.path or tag.name, sample.ticks),
        (type(sample.value), repr(value)),
        (sample.good, sample.questionable, sample.substituted, sample.annotated),
        sample.nth,
    )


@given(SAMPLES, SAMPLES)
def test_two_events_have_one_id_exactly_when_they_are_the_same(
    a: Sample, b: Sample
) -> None:
    assert (a.event_id == b.event_id) == (identity(a) == identity(b))


@given(SAMPLES, PLAIN)
def test_the_id_stays_that_of_the_event_as_pi_sent_it(
    sample: Sample, value: object
) -> None:
    changed = sample.with_value(value).with_(good=False, units="bar")
    assert changed.event_id == sample.event_id


def test_the_id_is_the_same_in_every_process() -> None:
    sample = Sample(TAG, 17_092_080_001_234_567, 1.5)
    assert sample.event_id == "plant/1234/17092080001234567/0f2199e1.1.0"


def test_a_renamed_tag_keeps_its_ids() -> None:
    old = Sample(Tag("old", "p1", "w1", "plant", "1234"), 1, 2.0)
    new = Sample(Tag("new", "p2", "w2", "plant", "1234"), 1, 2.0)
    assert old.event_id == new.event_id


def test_a_translated_state_keeps_its_id() -> None:
    states = [DigitalState(name, 246, True) for name in ("I/O Timeout", "Zeitablauf")]
    assert len({Sample(TAG, 1, state).event_id for state in states}) == 1


def test_with_value_keeps_the_units_unless_they_are_given() -> None:
    sample = Sample(TAG, 1, 2.0, units="°C")
    assert sample.with_value(3.0).units == "°C"
    assert sample.with_value(3.0, "K").units == "K"


def test_a_sample_tells_its_instant_in_every_form() -> None:
    sample = Sample(TAG, 15_000_001, 2.0)
    assert sample.ns == 1_500_000_100 and sample.iso == "1970-01-01T00:00:01.5000001Z"
    assert sample.timestamp == datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC)


@pytest.mark.parametrize(
    ("value", "is_system"),
    [
        (DigitalState("Bad Input", 255, True), True),
        (DigitalState("OPEN", 1), False),
        (1.5, False),
        (ValueFailure("no data"), False),
    ],
)
def test_only_a_system_state_is_one(value: object, is_system: bool) -> None:
    assert Sample(TAG, 1, value).is_system is is_system


def test_a_sample_never_changes() -> None:
    with pytest.raises(AttributeError):
        Sample(TAG, 1, 2.0).value = 3.0  # type: ignore[misc]


@given(st.lists(SAMPLES.map(lambda s: s.with_(nth=0, id="")), max_size=12))
def test_identical_events_of_one_message_get_ids_of_their_own(
    samples: list[Sample],
) -> None:
    numbered = number_identical(samples)
    assert len({s.event_id for s in numbered}) == len(samples)
    assert [s.with_(nth=0, id="") for s in numbered] == samples


def test_tags_of_one_key_are_numbered_together() -> None:
    samples = [Sample(Tag(name, key="7"), 1, 2.0) for name in ("old", "new")]
    assert [s.nth for s in number_identical(samples)] == [0, 1]


def test_numbering_leaves_a_message_alone_whose_events_differ() -> None:
    samples = [Sample(TAG, 1, 2.0), Sample(TAG, 2, 2.0)]
    assert number_identical(samples) is samples


def test_identical_events_are_numbered_in_order() -> None:
    samples = [Sample(TAG, 1, 2.0), Sample(TAG, 1, 3.0), Sample(TAG, 1, 2.0)]
    assert [s.nth for s in number_identical(samples)] == [0, 0, 1]


def test_tags_of_gives_each_tag_once_in_order() -> None:
    a, b = Tag("a"), Tag("b")
    samples = [Sample(b, 1, 0), Sample(a, 1, 0), Sample(b, 2, 0)]
    assert tags_of(samples) == [b, a]
