"""However a server writes what it has to say, the samples are the same.

What PI's documents and captures of servers disagree about is drawn at random: the
order of keys, flags as texts or left out, keys that nobody knows, one stream or a list,
one value or a list, blanks.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pichannels.piwebasync.parsing import (
    channel_samples,
    parse_channel,
    parse_stream,
    parse_stream_set,
    to_samples,
)
from pichannels.values import (
    DigitalState,
    Sample,
    Tag,
    ValueFailure,
    format_ticks,
    parse_ticks,
)

FIXTURES = Path(__file__).parents[2] / "fixtures" / "piwebapi"
# Channel messages, then answers of streams, then those of stream sets.
OF_CHANNELS = [f"d{number:02}" for number in range(1, 8)]
OF_STREAMS = ["d09", "d10", "d11", "d12", "d14", "d15", "d16", "d19", "d20"]
OF_SETS = ["d13", "d17", "d18"]
TAG = Tag("T1", r"\\SRV\T1", "W1")
FLAGS = ("Good", "Questionable", "Substituted", "Annotated")

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers()
STATES = st.builds(DigitalState, st.text(), st.integers(0, 2**31 - 1), st.booleans())
SAMPLES = st.builds(
    Sample,
    st.just(TAG),
    st.integers(0, parse_ticks("2100-01-01T00:00:00Z")),
    NUMBERS | STATES | st.text() | st.booleans(),
    *[st.booleans()] * len(FLAGS),
    st.sampled_from(["", "°C"]),
)


def event_of(sample: Sample, rng: random.Random) -> Any:
    value = sample.value
    if isinstance(value, DigitalState):
        value = {"Name": value.name, "Value": value.code, "IsSystem": value.is_system}
    fields = {"Timestamp": format_ticks(sample.ticks), "Value": shuffled(value, rng)}
    for name in FLAGS:
        flag = getattr(sample, name.lower())
        if flag is (name == "Good") and rng.random() < 0.3:
            continue
        fields[name] = rng.choice([flag, str(flag).lower(), str(flag)])
    fields["UnitsAbbreviation"] = sample.units
    return shuffled(fields, rng)


def shuffled(found: Any, rng: random.Random) -> Any:
    """The same object with its keys in another order and new ones among them."""
    if not isinstance(found, dict):
        return found
    more = {"Links": {}, "Unknown": [1, {"Value": 2}]} if rng.random() < 0.3 else {}
    pairs = list((found | more).items())
    rng.shuffle(pairs)
    return dict(pairs)


def document_of(samples: list[Sample], rng: random.Random) -> Any:
    events = [event_of(sample, rng) for sample in samples]
    stream: dict[str, Any] = {"WebId": "W1", "Name": "T1", "Path": r"\\SRV\T1"}
    if len(events) == 1 and rng.random() < 0.5:
        stream["Value"] = events[0]
    else:
        stream["Items"] = events
    stream = shuffled(stream, rng)
    streams = {"Links": {}, "Items": [stream]}
    return rng.choice([streams, {"Items": [stream]}, [stream]])


@given(st.lists(SAMPLES, max_size=5, unique_by=lambda s: s.ticks), st.integers())
def test_the_samples_do_not_depend_on_how_they_are_written(
    expected: list[Sample], seed: int
) -> None:
    rng = random.Random(seed)
    written = json.dumps(document_of(expected, rng), indent=rng.choice([None, 1]))
    found = to_samples(parse_channel(written.encode()), {"W1": TAG})
    assert found == (expected, [])
    assert channel_samples(written.encode(), {"W1": TAG}) == found


def events_in(document: Any) -> Iterator[dict[str, Any]]:
    """The timed values of a document, found without the parser."""
    if isinstance(document, list):
        for each in document:
            yield from events_in(each)
    elif isinstance(document, dict) and "Timestamp" in document:
        yield document
    elif isinstance(document, dict):
        for key in ("Items", "Value"):
            yield from events_in(document.get(key))


def said(sample: Sample) -> tuple[Any, ...]:
    value = sample.value
    if isinstance(value, DigitalState):
        value = value.code
    return sample.iso, value, sample.questionable, sample.substituted


def meant(event: dict[str, Any]) -> tuple[Any, ...]:
    value = event["Value"]
    if isinstance(value, dict):
        value = value["Value"]
    flags = (event.get(name) in (True, "true") for name in FLAGS[1:3])
    return event["Timestamp"], value, *flags


@pytest.mark.parametrize("name", OF_CHANNELS + OF_STREAMS + OF_SETS)
def test_every_variant_of_pi_gives_all_of_its_events(name: str) -> None:
    raw = next(FIXTURES.glob(f"{name}_*.json")).read_bytes()
    if name in OF_STREAMS:
        parsed = parse_stream(raw, "W1")
    else:
        parsed = (parse_channel if name in OF_CHANNELS else parse_stream_set)(raw)
    samples, failures = to_samples(parsed)
    usable = [s for s in samples if not isinstance(s.value, ValueFailure)]
    found = [e for e in events_in(json.loads(raw)) if "Errors" not in e]
    assert failures == []
    assert [said(sample) for sample in usable] == [meant(event) for event in found]
