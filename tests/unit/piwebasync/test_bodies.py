"""Bodies of writes have PI's form, and what has none is refused before it is sent."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import given, strategies as st

from pichannels.piwebasync import Controller, HTTPClient, bodies
from pichannels.piwebasync.exceptions import APIException, SerializationError
from pichannels.values import (
    OPEN_END,
    DigitalState,
    Sample,
    Tag,
    ValueFailure,
    parse_ticks,
)

if TYPE_CHECKING:
    from tests.unit.piwebasync.conftest import Server

MOMENT = datetime(2023, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
OPEN = DigitalState("Open", 1)


class Mode(enum.Enum):
    AUTO = "Auto"


def as_json(body: object) -> Any:
    return msgspec.json.decode(msgspec.json.encode(body))


@given(st.integers(0, OPEN_END))
def test_ticks_come_back_out_of_a_pi_time(ticks: int) -> None:
    assert parse_ticks(bodies.pi_time(ticks)) == ticks


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        ("*-1d", "*-1d"),
        (MOMENT, "2023-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.0000001Z"),
    ],
)
def test_times_are_written_as_pi_reads_them(moment: bodies.Instant, text: str) -> None:
    assert bodies.pi_time(moment) == text


@pytest.mark.parametrize(
    "moment", ["", -1, OPEN_END + 1, True, 1.5, None, datetime(2023, 1, 1)]
)
def test_what_is_no_time_is_refused(moment: Any) -> None:
    with pytest.raises(SerializationError, match="timestamp cannot be"):
        bodies.pi_time(moment)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (21.5, 21.5),
        (0, 0),
        (False, False),
        ("text", "text"),
        (OPEN, "Open"),
        (DigitalState("I/O Timeout", 246, is_system=True), "I/O Timeout"),
        (MOMENT, "2023-01-01T00:00:00Z"),
        (Mode.AUTO, "Auto"),
        (Fraction(1, 4), 0.25),
        ((1, OPEN), [1, "Open"]),
    ],
)
def test_values_are_written_as_pi_takes_them(value: Any, written: Any) -> None:
    assert as_json(bodies.timed_value(value)) == {"Value": written}


@pytest.mark.parametrize(
    "value",
    [
        None,
        float("nan"),
        float("inf"),
        b"bytes",
        {"Name": "Open"},
        Decimal(1),
        DigitalState("", 1),
        ValueFailure("no value"),
        datetime(2023, 1, 1),
        [1, None],
    ],
)
def test_a_value_that_pi_has_no_form_for_is_refused(value: Any) -> None:
    with pytest.raises(SerializationError, match="cannot be"):
        bodies.timed_value(value)


def test_a_value_has_what_is_given_with_it() -> None:
    body = bodies.timed_value(1, "*", units="bar", good=False, questionable=True)
    assert body == {
        "Timestamp": "*",
        "Value": 1,
        "UnitsAbbreviation": "bar",
        "Good": False,
        "Questionable": True,
    }


def test_values_of_one_stream_are_under_its_web_id() -> None:
    value = bodies.timed_value(1)
    assert bodies.stream_value("W", value) == {"WebId": "W", "Value": {"Value": 1}}
    assert bodies.stream_values("W", [value]) == {"WebId": "W", "Items": [{"Value": 1}]}


def test_samples_are_grouped_by_stream_in_their_order() -> None:
    a, b = Tag("A", web_id="WA"), Tag("B", web_id="WB")
    samples = [Sample(a, 0, 1.0), Sample(b, 0, OPEN, good=False), Sample(a, 1, 2.0)]
    epoch, later = "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.0000001Z"
    of_a = [{"Timestamp": epoch, "Value": 1.0}, {"Timestamp": later, "Value": 2.0}]
    assert bodies.samples_by_stream(samples) == [
        {"WebId": "WA", "Items": of_a},
        {
            "WebId": "WB",
            "Items": [{"Timestamp": epoch, "Value": "Open", "Good": False}],
        },
    ]


def test_a_tag_without_web_id_cannot_be_written() -> None:
    with pytest.raises(SerializationError, match="WebId"):
        bodies.samples_by_stream([Sample(Tag("A"), 0, 1.0)])


def test_objects_have_only_what_is_given() -> None:
    point = bodies.Point(
        name="T1", point_class="classic", point_type="Float32", step=False, zero=0
    )
    assert as_json(point) == {
        "Name": "T1",
        "PointClass": "classic",
        "PointType": "Float32",
        "Step": False,
        "Zero": 0.0,
    }
    assert as_json(bodies.Element(description=None)) == {"Description": None}


def test_attributes_are_under_the_keys_of_pi() -> None:
    body = bodies.Attribute(
        name="Level", data_reference_plug_in="PI Point", default_units_name="meter"
    )
    assert as_json(body) == {
        "Name": "Level",
        "DataReferencePlugIn": "PI Point",
        "DefaultUnitsName": "meter",
    }


def test_event_frames_have_times_of_any_kind() -> None:
    frame = bodies.EventFrame(
        name="Batch 7",
        start_time=MOMENT,
        end_time=None,
        ref_element_web_ids=["E1"],
        severity="Minor",
    )
    assert as_json(frame) == {
        "Name": "Batch 7",
        "StartTime": "2023-01-01T00:00:00Z",
        "EndTime": None,
        "RefElementWebIds": ["E1"],
        "Severity": "Minor",
    }


def test_searches_have_their_conditions() -> None:
    query = bodies.ValueQuery(attribute_name="Level", attribute_value=3)
    body = bodies.Search(element_template="TW", value_queries=[query])
    assert as_json(body) == {
        "ElementTemplate": "TW",
        "ValueQueries": [
            {"AttributeName": "Level", "AttributeValue": 3, "SearchOperator": "Equal"}
        ],
    }


UNKNOWN: Any = "unknown"


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: bodies.Point(name=""), "Name"),
        (lambda: bodies.Point(name="A*"), "Name"),
        (lambda: bodies.Point(point_type="Float"), "PointType"),
        (lambda: bodies.Point(point_type="Digital"), "DigitalSetName"),
        (lambda: bodies.Point(step=UNKNOWN), "Step"),
        (lambda: bodies.Element(category_names=UNKNOWN), "CategoryNames"),
        (lambda: bodies.Element(name=r"A\B"), "Name"),
        (lambda: bodies.Attribute(display_digits=UNKNOWN), "DisplayDigits"),
        (lambda: bodies.EventFrame(severity="High"), "Severity"),
        (lambda: bodies.EventFrame(start_time=datetime(2023, 1, 1)), "timestamp"),
        (lambda: bodies.EventFrame(start_time=2, end_time=1), "EndTime"),
        (lambda: bodies.EventFrame(can_be_acknowledged=UNKNOWN), "CanBeAck"),
    ],
)
def test_a_field_that_does_not_fit_is_named(
    make: Callable[[], object], key: str
) -> None:
    with pytest.raises(SerializationError, match=key):
        make()


def test_a_search_without_conditions_is_refused() -> None:
    with pytest.raises(APIException, match="at least one ValueQuery"):
        bodies.Search(element_template="TW", value_queries=[])


async def test_a_body_of_a_request_is_what_the_server_gets(server: Server) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"Body": await request.json()})

    server.handler = echo
    request = server.controller.elements.create_element("W", bodies.Element(name="P"))
    async with HTTPClient() as client:
        assert (await client.post(request)).body == {"Name": "P"}
        assert (await client.post(request, json={"Name": "Q"})).body == {"Name": "Q"}


def test_any_mapping_is_a_body() -> None:
    body = MappingProxyType({"Name": "P"})
    request = Controller("https", "pi").streamsets.update_value_adhoc([body])
    assert as_json(request.json) == [{"Name": "P"}]
