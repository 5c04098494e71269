"""What a program without this project writes to get samples of PI's messages.

Each way gives the same samples, made by the same conversion: instants as exact ticks
by `parse_ticks`, digital states and failures told from plain values, all flags and
units. Nothing of what it does is slower than it has to be.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

import orjson
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_pascal

from pichannels.piwebasync.parsing import channel_samples
from pichannels.values import DigitalState, Sample, Tag, ValueFailure, parse_ticks

__all__ = ["DECODERS", "Decoder", "Tags", "samples_of_events"]

Tags: TypeAlias = dict[str, Tag]
Decoder: TypeAlias = Callable[[bytes, Tags], list[Sample]]


def samples_of_events(
    events: Iterable[dict[str, Any]], tag: Tag, units: str
) -> list[Sample]:
    """Samples of PI's `TimedValue` objects of one stream."""
    return [
        Sample(
            tag,
            parse_ticks(event["Timestamp"]),
            value if type(value := event["Value"]) is not dict else _state(value),
            event["Good"],
            event["Questionable"],
            event["Substituted"],
            event["Annotated"],
            event["UnitsAbbreviation"] or units,
        )
        for event in events
    ]


def _state(value: dict[str, Any]) -> DigitalState | ValueFailure:
    if "Name" in value:
        return DigitalState(value["Name"], value["Value"], value["IsSystem"])
    return ValueFailure("; ".join(value["Errors"]))


def _of_objects(document: dict[str, Any], tags: Tags) -> list[Sample]:
    samples: list[Sample] = []
    for stream in document["Items"]:
        units = stream["UnitsAbbreviation"]
        samples += samples_of_events(stream["Items"], tags[stream["WebId"]], units)
    return samples


def with_json(raw: bytes, tags: Tags) -> list[Sample]:
    return _of_objects(json.loads(raw), tags)


def with_orjson(raw: bytes, tags: Tags) -> list[Sample]:
    return _of_objects(orjson.loads(raw), tags)


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_pascal)


class _Event(_Model):
    timestamp: str
    value: Any
    units_abbreviation: str
    good: bool
    questionable: bool
    substituted: bool
    annotated: bool


class _Stream(_Model):
    web_id: str
    items: list[_Event]
    units_abbreviation: str


class _Document(_Model):
    items: list[_Stream]


def with_pydantic(raw: bytes, tags: Tags) -> list[Sample]:
    samples: list[Sample] = []
    for stream in _Document.model_validate_json(raw).items:
        tag, units = tags[stream.web_id], stream.units_abbreviation
        samples += [
            Sample(
                tag,
                parse_ticks(event.timestamp),
                value if type(value := event.value) is not dict else _state(value),
                event.good,
                event.questionable,
                event.substituted,
                event.annotated,
                event.units_abbreviation or units,
            )
            for event in stream.items
        ]
    return samples


def with_pichannels(raw: bytes, tags: Tags) -> list[Sample]:
    samples, failures = channel_samples(raw, tags)
    assert not failures
    return samples


DECODERS: Final[dict[str, Decoder]] = {
    "json": with_json,
    "orjson": with_orjson,
    "pydantic": with_pydantic,
    "pichannels": with_pichannels,
}
"""Messages of PI channels to samples, each in its own way."""
