"""What stream updates ask for and answer, without any server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from pichannels.piwebasync import Controller
from pichannels.piwebasync.exceptions import APIException
from pichannels.piwebasync.parsing import parse_channel, to_samples
from pichannels.piwebasync.updates import (
    Target,
    channel_message,
    initial_streams,
    read_registration,
    read_updates,
)
from pichannels.values import DigitalState

FIXTURES = Path(__file__).parents[2] / "fixtures" / "piwebapi"
PI = Controller("wss", "pi.example.org", 8443, root="/edge/piwebapi")
BASE = "https://pi.example.org:8443/edge/piwebapi"
MARKER = "9f0c2b6d1e7a4853b1c4d2e3f4a5b6c7"
SOURCE = {"Source": "W1", "SourceName": "TI101", "SourcePath": r"\\SRV\TI101"}
EVENT = {"Timestamp": "2023-02-11T09:00:01Z", "Value": 71.25, "Good": True}
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Items", "Source", "LatestMarker", "RequestedMarker"])
            | st.sampled_from(["Status", "Exception", "Events", "Value"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@pytest.mark.parametrize(
    "request_",
    [
        PI.streams.get_channel("W1"),
        PI.streamsets.get_channel_adhoc(["W1"]),
    ],
)
def test_the_streams_of_a_channel_are_signed_up_for(request_: Any) -> None:
    target = Target.of(request_)
    signing = target.registration(target.web_ids)
    assert (signing.method, signing.absolute_url) == (
        "POST",
        f"{BASE}/streamsets/updates?webId=W1",
    )
    asking = target.retrieval([f"{MARKER}_0", f"{MARKER}_2"])
    assert asking.absolute_url == (
        f"{BASE}/streamsets/updates?marker={MARKER}_0&marker={MARKER}_2"
    )


def test_the_options_of_the_channel_are_kept() -> None:
    target = Target.of(
        PI.streamsets.get_channel_adhoc(
            ["W1", "W2", "W1"],
            include_initial_values=True,
            heartbeat_rate=3,
            web_id_type="IDOnly",
        )
    )
    assert (target.initial, target.heartbeat) == (True, 3)
    assert target.values(target.web_ids).absolute_url == (
        f"{BASE}/streamsets/value?webId=W1&webId=W2&webIdType=IDOnly"
    )


def test_the_attributes_of_an_element_are_found_with_its_filters() -> None:
    target = Target.of(PI.streamsets.get_channel("E1", name_filter="T*"))
    assert target.web_ids == ()
    assert target.members().absolute_url == (
        f"{BASE}/streamsets/E1/value?namefilter=T*&selectedFields=Items.WebId"
    )


@pytest.mark.parametrize(
    "request_", [PI.dataservers.list(), PI.streams.get_value("W1")]
)
def test_what_is_no_channel_is_refused(request_: Any) -> None:
    with pytest.raises(APIException, match="no PI channel"):
        Target.of(request_)


def test_a_signup_has_a_marker_and_a_refusal_its_reason() -> None:
    static = {"SourcePath": r"\\AF\Plant|State", "Status": "Failed"}
    report = {"Errors": ["The attribute does not support updates."]}
    found = read_registration(
        {
            "Items": [
                SOURCE | {"LatestMarker": f"{MARKER}_0", "Status": "AlreadyRegistered"},
                static | {"Source": "W2", "Exception": report},
            ]
        }
    )
    (signup,) = found.signups
    assert (signup.web_id, signup.marker) == ("W1", f"{MARKER}_0")
    assert found.refused == {static["SourcePath"]: report["Errors"][0]}


def fixture(name: str) -> Any:
    (file,) = FIXTURES.glob(f"{name}_*.json")
    return json.loads(file.read_bytes())


def test_documented_answers_are_understood() -> None:
    registered = read_registration(fixture("d33"))
    assert (len(registered.signups), len(registered.refused)) == (1, 1)
    document = fixture("d45")
    markers = [item["RequestedMarker"] for item in document["Items"]]
    found = read_updates(document, markers)
    assert found.markers == {markers[0]: markers[0]}
    assert "register again" in found.lost[markers[1]]
    events = read_updates({"Items": [fixture("d32")]}, [f"{MARKER}_0"])
    assert [len(stream["Items"]) for stream in events.streams] == [2]


def answer(**item: Any) -> dict[str, Any]:
    return {"Items": [SOURCE | {"RequestedMarker": f"{MARKER}_0"} | item]}


def test_events_become_a_message_of_a_channel() -> None:
    document = answer(LatestMarker=f"{MARKER}_1", Status="Created", Events=[EVENT])
    found = read_updates(document, [f"{MARKER}_0"])
    (sample,) = to_samples(parse_channel(channel_message(found.streams))).samples
    assert (sample.tag.name, sample.value) == ("TI101", 71.25)
    assert (found.markers, found.lost) == ({f"{MARKER}_0": f"{MARKER}_1"}, {})


def test_a_deleted_event_is_no_number() -> None:
    deleted = EVENT | {"Action": "Delete"}
    document = answer(LatestMarker=f"{MARKER}_1", Events=[deleted])
    found = read_updates(document, [f"{MARKER}_0"])
    (sample,) = to_samples(parse_channel(channel_message(found.streams))).samples
    assert sample.value == DigitalState("No Data", 248, True)
    assert not sample.good


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (answer(Status="Failed", Exception={"Errors": ["Gone."]}), "Gone."),
        (answer(Status="Failed"), "the server gives no reason"),
        (answer(Status="Created", Events=[]), "it has no new marker"),
        ({"Items": []}, "the answer leaves it out"),
        (None, "the answer leaves it out"),
    ],
)
def test_a_marker_without_a_successor_is_lost(document: Any, reason: str) -> None:
    assert read_updates(document, [f"{MARKER}_0"]).lost == {f"{MARKER}_0": reason}


@settings(deadline=None)
@given(ANY_JSON)
def test_any_document_gives_an_answer(document: Any) -> None:
    found = read_updates(document, ["M"])
    assert len(found.markers) + len(found.lost) == 1
    channel_message(found.streams + initial_streams(document))
    read_registration(document)
