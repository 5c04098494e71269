"""JSON bodies in the exact shapes and key order of the PI Web API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from pichannels.simulator.events import Event, Value
from pichannels.simulator.simtime import time_text
from pichannels.simulator.tags import Server, Tag

__all__ = [
    "HEARTBEAT",
    "Stream",
    "TimedValue",
    "channel_message",
    "constant",
    "encode",
    "failed_value",
    "point",
    "point_attributes",
    "select",
    "server_object",
    "stream",
    "timed",
]

HEARTBEAT: Final = b'{"Links":{},"Items":[]}'
"""What a channel sends after enough silent polls."""

encode: Final = msgspec.json.Encoder().encode


class TimedValue(msgspec.Struct, rename="pascal", gc=False):
    """One value with its time and flags."""

    timestamp: str
    value: Any
    units_abbreviation: str | None
    good: bool = True
    questionable: bool = False
    substituted: bool = False
    annotated: bool = False
    errors: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET


class Stream(msgspec.Struct, rename="pascal", gc=False):
    """The values of one stream in a stream set or channel message."""

    web_id: str
    name: str
    path: str
    links: dict[str, str]
    items: list[TimedValue]
    units_abbreviation: str


class Message(msgspec.Struct, rename="pascal", gc=False):
    """The outer object of a channel message or stream set."""

    links: dict[str, str]
    items: list[Stream]


def timed(event: Event, units: str) -> TimedValue:
    """The event as PI writes it."""
    rendered = TimedValue(
        time_text(event.ticks),
        _json_value(event.value),
        units,
        event.good,
        event.questionable,
        event.substituted,
        event.annotated,
    )
    if event.error:
        rendered.errors = _errors("Value", event.error)
    return rendered


def _json_value(value: Value) -> Value:
    if isinstance(value, float) and value - value != 0:
        if value != value:
            return "NaN"
        return "Infinity" if value > 0 else "-Infinity"
    return value


def _errors(field: str, sentence: str) -> list[dict[str, Any]]:
    return [{"FieldName": field, "Message": [sentence]}]


def failed_value(sentence: str) -> TimedValue:
    """What stands for the values of a stream that could not be read."""
    rendered = TimedValue("1970-01-01T00:00:00Z", None, "", good=False)
    rendered.errors = _errors("Value", sentence)
    return rendered


def constant(value: Value, units: str) -> TimedValue:
    """What stands for the value of a static attribute, which has no time."""
    return TimedValue("1970-01-01T00:00:00Z", _json_value(value), units)


class _Streamed(Protocol):
    """What has a stream: a point, or an attribute."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def units(self) -> str: ...
    def web_id_as(self, form: str) -> str: ...


def stream(found: _Streamed, items: list[TimedValue], form: str = "Full") -> Stream:
    """The values of a point or attribute in a stream set or channel message."""
    web_id = found.web_id_as(form)
    return Stream(web_id, found.name, found.path, {}, items, found.units)


def channel_message(streams: Iterable[Stream]) -> bytes:
    """The message that carries these streams."""
    return encode(Message({}, list(streams)))


def server_object(server: Server, now: int, base: str, form: str) -> dict[str, Any]:
    """A data server."""
    web_id = server.web_id(form)
    link = f"{base}/dataservers/{web_id}"
    return {
        "WebId": web_id,
        "Id": str(server.id),
        "Name": server.name,
        "Path": server.path,
        "IsConnected": True,
        "ServerVersion": server.version,
        "ServerTime": time_text(now),
        "Links": {
            "Self": link,
            "Points": f"{link}/points",
            "EnumerationSets": f"{link}/enumerationsets",
        },
    }


def point(tag: Tag, base: str, form: str) -> dict[str, Any]:
    """A point."""
    web_id = tag.web_id_as(form)
    link = f"{base}/points/{web_id}"
    data = f"{base}/streams/{web_id}"
    model = tag.template
    return {
        "WebId": web_id,
        "Id": tag.point_id,
        "Name": tag.name,
        "Path": tag.path,
        "Descriptor": tag.descriptor,
        "PointClass": "classic",
        "PointType": model.point_type,
        "DigitalSetName": model.states.name if model.states else "",
        "EngineeringUnits": tag.units,
        "Span": tag.facts.span,
        "Zero": tag.facts.zero,
        "Step": tag.step,
        "Future": tag.future,
        "DisplayDigits": -5,
        "Links": {
            "Self": link,
            "DataServer": f"{base}/dataservers/{tag.server.web_id(form)}",
            "Attributes": f"{link}/attributes",
            "InterpolatedData": f"{data}/interpolated",
            "RecordedData": f"{data}/recorded",
            "PlotData": f"{data}/plot",
            "SummaryData": f"{data}/summary",
            "Value": f"{data}/value",
            "EndValue": f"{data}/end",
        },
    }


def point_attributes(tag: Tag, created: int) -> dict[str, Any]:
    """The point attributes of a tag by their names in lower case."""
    model, facts = tag.template, tag.facts
    return {
        "archiving": 1,
        "changedate": time_text(created),
        "compdev": tag.compdev,
        "compdevpercent": tag.compdev / facts.span * 100 if facts.span else 0.0,
        "compmax": 28800,
        "compmin": 0,
        "compressing": int(tag.compressing),
        "creationdate": time_text(created),
        "descriptor": tag.descriptor,
        "digitalset": model.states.name if model.states else "",
        "displaydigits": -5,
        "engunits": tag.units,
        "excdev": tag.excdev,
        "excdevpercent": tag.excdev / facts.span * 100 if facts.span else 0.0,
        "excmax": 600,
        "excmin": 0,
        "future": int(tag.future),
        "instrumenttag": tag.name,
        "pointid": tag.point_id,
        "pointsource": "SIM",
        "pointtype": model.point_type,
        "ptclassname": "classic",
        "scan": facts.scan,
        "shutdown": 0,
        "span": facts.span,
        "step": int(tag.step),
        "tag": tag.name,
        "typicalvalue": facts.zero + facts.span / 2,
        "zero": facts.zero,
    }


def select(body: Any, fields: Sequence[str]) -> Any:
    """The body reduced to dotted fields in any case; lists are looked through."""
    tree: dict[str, Any] = {}
    for field in fields:
        at = tree
        for part in field.lower().split("."):
            at = at.setdefault(part, {})
    return _reduced(msgspec.to_builtins(body), tree)


def _reduced(body: Any, tree: Mapping[str, Any]) -> Any:
    if not tree:
        return body
    if isinstance(body, list):
        return [_reduced(item, tree) for item in body]
    if not isinstance(body, dict):
        return body
    chosen = ((key, tree.get(key.lower())) for key in body)
    return {
        key: _reduced(body[key], branch) for key, branch in chosen if branch is not None
    }
