"""Whatever a server answers, readers give a result or an error of ours."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings, strategies as st

from pichannels.errors import PichannelsError
from pichannels.piwebasync.assets import Attribute, Element
from pichannels.piwebasync.bulk import parse_multiple, parse_page
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.paging import following
from pichannels.piwebasync.parsing import (
    ChannelMessage,
    manifest,
    parse_array,
    parse_channel,
    parse_stream,
    parse_stream_set,
    to_samples,
)
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.resolve import Point, parse_points, parse_points_multiple
from pichannels.piwebasync.responses import HTTPResponse
from pichannels.piwebasync.splitting import RecordedPager
from pichannels.piwebasync.updates import (
    initial_streams,
    read_registration,
    read_updates,
)
from tests.strength import either

FIXTURES = Path(__file__).parents[2] / "fixtures" / "piwebapi"
PI = Controller("https", "pi", root="piwebapi")
KEYS = (
    "Items Links Next Value Timestamp Name Path WebId Id Good Errors Exception Message"
    " WebException StatusCode Identifier Object Type IsSystem UnitsAbbreviation"
    " LatestMarker RequestedMarker Status Events Source startIndex"
).split()
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["2023-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "\\\\S\\T", "https://h?x=1"]
    )
)
ANY_JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
)
DEEP: Final = [b"[" * 100_000, b'{"Items":[' * 900 + b"1" + b"]}" * 900]


def message(found: ChannelMessage | None) -> None:
    if found is not None:
        to_samples(found)
        manifest(found)
        assert found.is_heartbeat in (True, False)


def response(raw: bytes) -> None:
    kinds = {"Content-Type": "application/json"}
    found = HTTPResponse(200, "https://h/streams/F1DPabc/recorded", kinds, raw)
    found.dict()
    found.rows()
    found.select("Items.Value", "Items.Items.Value.Name", "Links.Next")
    assert found.is_unavailable in (True, False)
    assert isinstance(found.status_code, int)
    assert isinstance(found.error_messages, list)
    with suppress(PichannelsError):
        found.raise_for_status()
    with suppress(PichannelsError):
        found.samples()
    following(PI.dataservers.list(), found)


def updates(raw: bytes) -> None:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        return
    for read in (read_registration, initial_streams):
        with suppress(PichannelsError):
            read(document)
    read_updates(document, ["m_1"])


def pages(raw: bytes) -> None:
    def build(web_ids: Any, start: str, count: int) -> APIRequest:
        return PI.streamsets.get_recorded_adhoc(web_ids, start, max_count=count)

    pager = RecordedPager(build, ["A", "B"], "*-1d", max_count=1)
    pager.feed(parse_stream_set(raw))
    assert pager.request is None or pager.request.absolute_url


READERS: Final[dict[str, Callable[[bytes], object]]] = {
    "channel": lambda raw: message(parse_channel(raw)),
    "array": lambda raw: message(parse_array(raw)),
    "stream set": lambda raw: message(parse_stream_set(raw)),
    "stream": lambda raw: message(parse_stream(raw, "W")),
    "points": parse_points,
    "points multiple": lambda raw: parse_points_multiple(raw, [r"\\S\T"]),
    "attributes": lambda raw: parse_multiple(raw, ["W"], Attribute),
    "elements": lambda raw: parse_multiple(raw, ["W"], Element),
    "page": lambda raw: parse_page(raw, Point, 0),
    "response": response,
    "updates": updates,
    "pages": pages,
}
ALL = pytest.mark.parametrize("name", READERS)


def survives(name: str, raw: bytes) -> None:
    with suppress(PichannelsError):
        READERS[name](raw)


@ALL
@settings(max_examples=either(60, 20))
@given(document=ANY_JSON)
def test_any_json_is_read_or_refused(name: str, document: Any) -> None:
    survives(name, json.dumps(document).encode())


@ALL
@settings(max_examples=either(40, 15))
@given(raw=st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(name: str, raw: bytes) -> None:
    survives(name, raw)


@ALL
def test_documents_of_pi_are_read_or_refused_cut_anywhere(name: str) -> None:
    rng = random.Random(7)
    for file in sorted(FIXTURES.glob("*.json")):
        raw = file.read_bytes()
        for end in (len(raw), *rng.choices(range(len(raw) + 1), k=4)):
            survives(name, raw[:end])


@ALL
def test_documents_of_pi_with_parts_exchanged_are_read_or_refused(name: str) -> None:
    rng = random.Random(11)
    for file in sorted(FIXTURES.glob("*.json")):
        for _ in range(5):
            document = json.loads(file.read_bytes())
            survives(name, json.dumps(spoilt(document, rng)).encode())


def spoilt(document: Any, rng: random.Random) -> Any:
    """The document with one of its parts replaced by something else."""
    wrong: Any = rng.choice([None, [], {}, "x", -1, True, 1e300, [{}], {"Value": [{}]}])
    inner: list[Any] = [document]
    while isinstance(inner[-1], dict | list) and inner[-1] and rng.random() < 0.8:
        here = inner[-1]
        key = rng.choice(list(here) if isinstance(here, dict) else range(len(here)))
        if rng.random() < 0.3:
            here[key] = wrong
            return document
        inner.append(here[key])
    return document if len(inner) > 1 else wrong


@ALL
@pytest.mark.parametrize("raw", DEEP, ids=["open", "closed"])
def test_nesting_without_end_is_read_or_refused(name: str, raw: bytes) -> None:
    survives(name, raw)
