"""The message: what it holds, how it is copied, and how it is written."""

from __future__ import annotations

import itertools
import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, strategies as st

from pichannels import clock
from pichannels.errors import CodecError
from pichannels.message import Message, isolate, new_uuid
from pichannels.values import DigitalState, Sample, Tag


@dataclass
class Box:
    items: list[Any] = field(default_factory=list)


class SlowClock:
    """A wall clock that stands still."""

    def now(self) -> int:
        return 17_092_080_001_234_567

    def monotonic(self) -> float:
        return 0.0


ATOMS = (
    st.none()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    | st.binary(max_size=5)
    | st.builds(Sample, st.builds(Tag, st.just("a")), st.integers(0, 9), st.integers())
)
CONTAINERS = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
        | st.sets(st.integers(), max_size=3)
        | st.builds(Box, st.lists(inner, max_size=2))
        | st.binary(max_size=3).map(bytearray)
    ),
    max_leaves=10,
)
PAYLOADS = CONTAINERS
METAS = st.dictionaries(st.sampled_from(["a", "b"]), CONTAINERS, max_size=2)


def changeable(value: Any) -> set[int]:
    """The identities of all parts of a value that can be changed."""
    found = set()
    if isinstance(value, list | dict | set | bytearray | Box):
        found.add(id(value))
    if isinstance(value, Box):
        value = [value.items]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            found |= changeable(item)
    return found


@given(CONTAINERS)
def test_isolating_shares_nothing_changeable(value: Any) -> None:
    copy = isolate(value)
    assert copy == value and type(copy) is type(value)
    assert not changeable(copy) & changeable(value)


def test_isolating_a_batch_shares_its_samples() -> None:
    samples = [Sample(Tag("a"), 1, DigitalState("ON", 1))]
    assert isolate(samples)[0] is samples[0]


# Attributes


def test_a_fresh_message_has_defaults_of_its_own() -> None:
    a, b = Message(), Message()
    assert (a.content_type, a.payload, a.meta, a.ctx) == (
        "application/text",
        None,
        {},
        {},
    )
    assert a.meta is not b.meta and a.ctx is not b.ctx


def test_the_uuid_is_made_when_asked_for_and_then_stays() -> None:
    msg = Message()
    assert msg._uuid is None and msg.uuid == msg.uuid


def test_uuids_are_of_version_7_with_the_time_in_front() -> None:
    before = time.time_ns() // 1_000_000
    uuid = new_uuid()
    assert before <= int(uuid[:12], 16) <= time.time_ns() // 1_000_000
    assert (len(uuid), uuid[12], uuid[16] in "89ab") == (32, "7", True)


def test_uuids_differ_within_one_tick_of_the_clock() -> None:
    with clock.use(SlowClock()):
        assert len({new_uuid() for _ in range(10_000)}) == 10_000


def test_short_uuids_of_many_messages_differ() -> None:
    shorts = {Message().short_uuid for _ in range(10_000)}
    assert len(shorts) == 10_000 and {len(short) for short in shorts} == {8}


def test_the_timestamp_is_aware_utc() -> None:
    with clock.use(SlowClock()):
        msg = Message()
    assert msg.timestamp == datetime(2024, 2, 29, 12, 0, 0, 123_456, UTC)
    assert msg.timestamp_str() == "2024-02-29T12:00:00.1234567Z"


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2024, 2, 29, 12),
        datetime(2024, 2, 29, 14, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_a_timestamp_that_is_set_becomes_utc(moment: datetime) -> None:
    msg = Message()
    msg.timestamp = moment
    assert msg.timestamp == datetime(2024, 2, 29, 12, tzinfo=UTC)


def test_uuid_ticks_and_context_can_be_set() -> None:
    msg = Message()
    msg.uuid, msg.ticks, msg.ctx = "u", 7, {"k": {"meta": {}, "payload": 1}}
    assert (msg.uuid, msg.ticks, msg.ctx["k"]["payload"]) == ("u", 7, 1)


def test_the_context_keeps_a_snapshot() -> None:
    msg, saved = Message(), Message(payload=[1], meta={"a": [2]})
    msg.add_context("before", saved)
    saved.payload.append(3)
    saved.meta["a"].append(4)
    assert msg.ctx == {"before": {"meta": {"a": [2]}, "payload": [1]}}


# Copies


def full(payload: Any = None, meta: dict[str, Any] | None = None) -> Message:
    msg = Message("text/plain", payload, meta)
    msg.store_id, msg.store_chan_name = "17", "boiler"
    msg.add_context("before", Message(payload=payload, meta=meta))
    msg.parsed = [payload]
    return msg


@given(PAYLOADS, METAS)
def test_a_copy_is_the_same_message_and_shares_nothing(
    payload: Any, meta: dict[str, Any]
) -> None:
    msg = full(payload, meta)
    copy = msg.copy()
    assert copy.to_dict() == msg.to_dict()
    parts = [changeable((m.payload, m.meta, m.ctx, m.parsed)) for m in (msg, copy)]
    assert not parts[0] & parts[1]


def test_a_copy_belongs_to_the_same_settlement() -> None:
    msg = full()
    msg.delivery = object()
    assert msg.copy().delivery is msg.delivery is msg.derive(1).delivery


def test_a_renewed_message_has_an_identity_of_its_own() -> None:
    msg = full([1], {"a": 1})
    msg.ticks = 5
    new = msg.renew()
    assert new.uuid != msg.uuid and new.ticks > msg.ticks
    assert (new.payload, new.meta, new.ctx, new.store_id) == (
        ([1], {"a": 1}, msg.ctx, "17")
    )


def test_a_derived_message_has_another_payload_and_uuid() -> None:
    msg = full([1], {"a": [1]})
    new = msg.derive("x")
    new.meta["a"].append(2)
    assert (new.payload, new.ticks, new.content_type) == ("x", msg.ticks, "text/plain")
    assert new.uuid != msg.uuid and msg.meta == {"a": [1]} and new.parsed is None


# Written forms


@given(PAYLOADS, METAS)
def test_a_message_survives_its_dict(payload: Any, meta: dict[str, Any]) -> None:
    msg = full(payload, meta)
    data = msg.to_dict()
    assert Message.from_dict(data).to_dict() == data


@given(PAYLOADS, METAS)
def test_a_message_survives_json(payload: Any, meta: dict[str, Any]) -> None:
    msg = full(payload, meta)
    assert Message.from_json(msg.to_json()).to_dict() == msg.to_dict()


@given(PAYLOADS, METAS)
def test_a_message_survives_message_pack(payload: Any, meta: dict[str, Any]) -> None:
    msg = Message("text/plain", payload, meta)
    msg.add_context("k", msg)
    back = Message.decode(msg.encode(), msg.uuid, msg.ticks)
    assert back.to_dict() == msg.to_dict()


def test_a_dict_shares_nothing_with_its_message() -> None:
    msg = full([1], {"a": [1]})
    data = msg.to_dict()
    data["payload"].append(2)
    data["meta"]["a"].append(2)
    assert (msg.payload, msg.meta) == ([1], {"a": [1]})


def test_a_dict_needs_a_payload_only() -> None:
    msg = Message.from_dict({"payload": 1})
    assert (msg.payload, msg.content_type, msg.meta, msg.ctx) == (
        (1, "application/text", {}, {})
    )


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"meta": {}},
        {"payload": 1, "meta": 7},
        {"payload": 1, "meta": [1]},
        {"payload": 1, "ctx": "x"},
        {"payload": 1, "timestamp": "yesterday"},
        {"payload": 1, "timestamp": 7},
        [],
        None,
    ],
)
def test_what_describes_no_message_is_refused(data: Any) -> None:
    with pytest.raises(CodecError, match="this is no stored message"):
        Message.from_dict(data)


@pytest.mark.parametrize("text", ["7", "[]", '"x"', "{}"])
def test_json_that_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(CodecError, match="this is no stored message"):
        Message.from_json(text)


@pytest.mark.parametrize("data", [b"\x07", b"\x93\x01\x02\x03", b"\xc0"])
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    with pytest.raises(CodecError, match="this is no stored message"):
        Message.decode(data, "u", 1)


def test_a_payload_without_codec_is_refused() -> None:
    msg = Message(payload=itertools.count())
    for write in (msg.to_json, msg.encode):
        with pytest.raises(CodecError, match="count has no codec"):
            write()


# For people


def test_the_text_for_people_has_the_parts_that_are_asked_for() -> None:
    msg = full("abc", {"a": 1})
    lines = msg.to_print(context=True).splitlines()
    assert lines[1:] == [
        "payload: 'abc'",
        "meta: {'a': 1}",
        "ctx before: {'meta': {'a': 1}, 'payload': 'abc'}",
    ]
    assert msg.to_print(False, False) == f"{msg} {msg.timestamp_str()} text/plain"


def test_a_message_shows_its_uuid() -> None:
    msg = Message()
    msg.uuid = "u1"
    assert (str(msg), repr(msg)) == ("<msg: u1>", "<Message u1 application/text>")


def test_logging_is_at_debug_level_by_default(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG, "pichannels.message"):
        Message(payload="abc").log()
    assert [(r.levelno, "'abc'" in r.message) for r in caplog.records] == [(10, True)]


def test_nothing_is_formatted_for_a_level_that_is_off() -> None:
    formatted: list[object] = []

    class Loud:
        def __repr__(self) -> str:
            formatted.append(self)
            return "loud"

    logger = logging.getLogger("pichannels.test.off")
    logger.setLevel(logging.INFO)
    Message(payload=Loud()).log(logger)
    assert formatted == []
