"""convert.Units: other units, the same events."""

from __future__ import annotations

from typing import Any

import pytest

from nodes import convert
from nodes.decode import SAMPLES
from pichannels.channels.base import BaseChannel
from pichannels.delivery import Outcome
from pichannels.errors import SettingsError, UsageError
from pichannels.message import Message
from pichannels.values import DigitalState, Sample, Tag, ValueFailure

TIMEOUT = DigitalState("I/O Timeout", 246, is_system=True)


def sample(value: Any, units: str = "°C", name: str = "TI1") -> Sample:
    return Sample(Tag(name, rf"\\SRV\{name}", units=units), 10**16, value, units=units)


def batch(*samples: Sample, **facts: dict[str, Any]) -> Message:
    return Message(SAMPLES, list(samples), {"tags": facts} if facts else {})


def converted(msg: Message, *args: Any, **options: Any) -> list[tuple[Any, str]]:
    """Values and units after a node with these options."""
    result = convert.Units(*args, **options).process(msg)
    return [(one.value, one.units) for one in result.payload]


async def outcome(node: convert.Units, msg: Message) -> Outcome:
    channel = BaseChannel("units")
    channel.add(node)
    await channel.start()
    try:
        return await channel.run(msg)
    finally:
        await channel.stop()


@pytest.mark.parametrize(
    ("value", "units", "expected"),
    [
        (25.0, "°C", (298.15, "K")),
        (25, "DEG C", (298.15, "K")),
        (77.0, "degree Fahrenheit", (77.0, "degree Fahrenheit")),
        (2.5, "bar", (250.0, "kPa")),
        (300.0, "K", (300.0, "K")),
    ],
)
def test_sources_are_recognised_however_they_are_written(
    value: float, units: str, expected: tuple[float, str]
) -> None:
    found = converted(batch(sample(value, units)), {"degC": "K", "bar": "kPa"})
    assert found == [(pytest.approx(expected[0]), expected[1])]


@pytest.mark.parametrize(
    ("value", "units", "expected"),
    [
        (36.0, "m3/h", (0.01, "m3/s")),
        (1.0, "bar", (1e5, "Pa")),
        (50.0, "%", (50.0, "%")),
        (7.0, "", (7.0, "")),
        (3.0, "m", (3.0, "m")),
    ],
)
def test_the_units_of_the_si(
    value: float, units: str, expected: tuple[float, str]
) -> None:
    found = converted(batch(sample(value, units)), "SI")
    assert found == [(pytest.approx(expected[0]), expected[1])]


def test_the_event_stays_the_same() -> None:
    before = sample(25.0)
    (after,) = convert.Units("K").process(batch(before)).payload
    assert after.event_id == before.event_id
    assert (after.tag, after.ticks) == (before.tag, before.ticks)


@pytest.mark.parametrize(
    "value", [TIMEOUT, DigitalState("OPEN", 1), "text", True, None, ValueFailure("x")]
)
def test_what_is_no_number_stays_as_it_is(value: Any) -> None:
    before = sample(value)
    assert convert.Units("K").process(batch(before)).payload == [before]


def test_the_tag_counts_before_its_column_and_before_the_units() -> None:
    msg = batch(
        sample(0.0, name="A.T"),
        sample(0.0, name="B.T"),
        sample(0.0, name="C.T"),
        sample(0.0, name="KEPT"),
        **{"A.T": {"wanted": "K"}, "B.T": {"wanted": "degR"}, "C.T": {}},
    )
    found = converted(msg, "K", tags={"A.*": "°F", "KEPT": ""}, column="wanted")
    assert found == [
        (pytest.approx(32.0), "°F"),
        (pytest.approx(491.67), "degR"),
        (pytest.approx(273.15), "K"),
        (0.0, "°C"),
    ]


def test_a_pattern_with_a_backslash_means_the_path() -> None:
    found = converted(batch(sample(0.0)), tags={r"\\SRV\*": "K"})
    assert found == [(273.15, "K")]


def test_units_come_from_the_tag_or_its_facts_where_the_sample_has_none() -> None:
    by_tag = Sample(Tag("A", units="bar"), 1, 1.0)
    by_facts = Sample(Tag("B"), 2, 2.0)
    found = converted(batch(by_tag, by_facts, B={"units": "bar"}), "kPa")
    assert found == [(pytest.approx(100.0), "kPa"), (pytest.approx(200.0), "kPa")]


@pytest.mark.parametrize(
    ("unknown", "left"),
    [("keep", [(273.15, "K"), (5.0, "furlongs?"), (6.0, "bar")]),
     ("drop", [(273.15, "K")]), ("fail", [(273.15, "K")])],
)  # fmt: skip
async def test_what_cannot_be_converted_goes_where_it_should(
    unknown: str, left: list[tuple[float, str]]
) -> None:
    msg = batch(sample(0.0), sample(5.0, "furlongs?"), sample(6.0, "bar"))
    node = convert.Units("K", unknown=unknown)
    found = await outcome(node, msg)
    assert [(s.value, s.units) for s in found.message.payload] == left
    assert node.statistics() == {"converted": 1, "unconverted": 2}


async def test_the_reason_is_told_where_a_sample_fails() -> None:
    found = await outcome(convert.Units("K", unknown="fail"), batch(sample(6.0, "bar")))
    assert "'bar' cannot be converted to 'K'" in str(found.error)


@pytest.mark.parametrize(
    ("args", "options", "key"),
    [
        (["no unit"], {}, "to"),
        ([{"degC": "nonsense"}], {}, "to['degC']"),
        ([{"nonsense": "K"}], {}, "to['nonsense']"),
        ([{"degC": ""}], {}, "to['degC']"),
        ([], {"tags": {"A*": "nonsense"}}, "tags['A*']"),
        ([], {}, "to"),
        (["K"], {"unknown": "reject"}, "unknown"),
    ],
)
def test_wrong_settings_are_told_when_they_are_read(
    args: list[Any], options: dict[str, Any], key: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        convert.Units(*args, **options)
    assert caught.value.key == key


async def test_in_a_loop_wrong_settings_are_told_at_the_start() -> None:
    node = convert.Units("no unit")
    with pytest.raises(SettingsError, match="no unit that is known"):
        await node.start()


async def test_a_node_made_in_a_loop_works_once_it_is_started() -> None:
    node = convert.Units("K")
    with pytest.raises(UsageError, match="not been started"):
        node.process(batch(sample(0.0)))
    found = await outcome(node, batch(sample(0.0)))
    assert found.message.payload[0].value == 273.15


@pytest.mark.parametrize("payload", ["text", {"a": 1}, [1.0]])
def test_what_is_no_batch_is_told(payload: Any) -> None:
    with pytest.raises(UsageError, match="list of samples"):
        convert.Units("K").process(Message(payload=payload))


def test_many_values_take_one_look_up() -> None:
    tag = Tag("TI1", units="°C")
    samples = [Sample(tag, n, float(n), units="°C") for n in range(1000)]
    found = converted(Message(payload=samples), "K")
    assert found == [(n + 273.15, "K") for n in range(1000)]
