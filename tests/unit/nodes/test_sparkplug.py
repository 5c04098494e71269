"""Sparkplug: births name what data mean, deaths spoil it, gaps are told."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from nodes import decode
from pichannels.adapters.sparkplug import payload_class
from pichannels.channels import BaseChannel
from pichannels.errors import DecodeError, Dropped, SampleErrors
from pichannels.message import Message
from pichannels.persistence import MemoryPersistence
from pichannels.values import Sample

Payload = payload_class()
WHEN = 1_700_000_000_000
TICKS = WHEN * 10_000


def metric(name: str = "", **fields: Any) -> dict[str, Any]:
    return ({"name": name} if name else {}) | fields


def message(kind: str, *metrics: dict[str, Any], seq: int | None = 0) -> Message:
    """A message of the node N of the group G, or of its device D."""
    payload = Payload(timestamp=WHEN)
    if seq is not None:
        payload.seq = seq
    for each in metrics:
        fields = dict(each)
        properties = fields.pop("properties", {})
        found = payload.metrics.add(**fields)
        for key, value in properties.items():
            found.properties.keys.append(key)
            found.properties.values.add(**value)
    device = "/D" if kind[0] == "D" else ""
    meta = {"topic": f"spBv1.0/G/{kind}/N{device}"}
    return Message("application/octet-stream", payload.SerializeToString(), meta)


BDSEQ = metric("bdSeq", datatype=8, long_value=3)


def born() -> Message:
    return message(
        "NBIRTH",
        BDSEQ,
        metric("temp", alias=1, datatype=9, float_value=1.5),
        metric("count", alias=2, datatype=3, int_value=7),
    )


async def decoded(node: decode.Sparkplug, *messages: Message) -> Message:
    """What becomes of the last of the messages."""
    for msg in messages:
        result = await node.handle(msg)
    assert isinstance(result, Message)
    return result


def values(msg: Message) -> list[tuple[str, Any, bool]]:
    samples: list[Sample] = msg.payload
    return [(each.tag.name, each.value, each.good) for each in samples]


async def test_a_birth_and_data_by_alias() -> None:
    data = message("NDATA", metric(alias=2, int_value=2**32 - 5), seq=1)
    node = decode.Sparkplug(server="plant")
    assert values(await decoded(node, born())) == [
        ("G/N/temp", 1.5, True),
        ("G/N/count", 7, True),
    ]
    result = await decoded(node, data)
    assert values(result) == [("G/N/count", -5, True)]
    assert result.payload[0].ticks == TICKS
    assert result.payload[0].event_id.startswith(f"plant/G/N/count/{TICKS}/")
    assert result.meta["sparkplug"]["seq"] == 1 and "rebirth_needed" not in result.meta


async def test_the_field_numbers_are_those_of_the_specification() -> None:
    def field(number: int, data: bytes) -> bytes:
        return bytes((number << 3 | 2, len(data))) + data

    stamp, seq = b"\x08\xe8\x07", b"\x18\x05"
    units = field(2, b"\x08\x0c" + field(8, b"K"))
    properties = field(9, field(1, b"engUnit") + units)
    body = field(1, b"a") + b"\x20\x0a" + properties + b"\x69" + struct.pack("<d", 2.5)
    msg = Message(payload=stamp + field(2, body) + seq)
    msg.meta["topic"] = "spBv1.0/G/NBIRTH/N"
    result = await decoded(decode.Sparkplug(), msg)
    (sample,) = result.payload
    assert (sample.tag.name, sample.ticks, sample.value) == ("G/N/a", 10**7, 2.5)
    assert (sample.tag.units, result.meta["sparkplug"]["seq"]) == ("K", 5)


ARRAY = struct.pack("<3h", 1, -2, 3)
TABLE = {
    "columns": ["a", "b"],
    "types": [3, 12],
    "rows": [{"elements": [{"int_value": 2**32 - 1}, {"string_value": "x"}]}],
}
TEMPLATE = {
    "template_ref": "pump",
    "metrics": [metric("speed", datatype=9, float_value=0.5)],
}


@pytest.mark.parametrize(
    ("datatype", "field", "raw", "value"),
    [
        (1, "int_value", 0xFF, -1),
        (2, "int_value", 0xFFFFFFFE, -2),
        (4, "long_value", 2**64 - 3, -3),
        (7, "int_value", 2**32 - 1, 2**32 - 1),
        (8, "long_value", 2**64 - 1, 2**64 - 1),
        (10, "double_value", 0.1, 0.1),
        (11, "boolean_value", True, True),
        (12, "string_value", "on", "on"),
        (13, "long_value", WHEN, "2023-11-14T22:13:20Z"),
        (17, "bytes_value", b"\0\1", b"\0\1"),
        (23, "bytes_value", ARRAY, [1, -2, 3]),
        (32, "bytes_value", b"\3\0\0\0\xa0", [True, False, True]),
        (33, "bytes_value", b"a\0\0b\0", ["a", "", "b"]),
        (34, "bytes_value", struct.pack("<q", 0), ["1970-01-01T00:00:00Z"]),
        (16, "dataset_value", TABLE, {"columns": ["a", "b"], "rows": [[-1, "x"]]}),
        (
            19,
            "template_value",
            TEMPLATE,
            {"template": "pump", "metrics": {"speed": 0.5}},
        ),
    ],
)
async def test_a_value_is_what_its_type_says(
    datatype: int, field: str, raw: Any, value: Any
) -> None:
    msg = message("NBIRTH", metric("m", datatype=datatype, **{field: raw}))
    assert values(await decoded(decode.Sparkplug(), msg)) == [("G/N/m", value, True)]


async def test_a_null_and_bad_quality_are_no_good_values() -> None:
    bad = {"Quality": {"type": 3, "int_value": 0}}
    msg = message(
        "NBIRTH",
        metric("null", datatype=9, is_null=True),
        metric("bad", datatype=9, float_value=1, properties=bad, timestamp=WHEN + 1),
    )
    result = await decoded(decode.Sparkplug(), msg)
    assert values(result) == [("G/N/null", None, False), ("G/N/bad", 1.0, False)]
    assert [each.ticks for each in result.payload] == [TICKS, TICKS + 10_000]


async def test_a_death_marks_the_last_values_as_bad() -> None:
    node = decode.Sparkplug()
    device = message("DBIRTH", metric("x", datatype=3, int_value=1), seq=1)
    data = message("NDATA", metric(alias=1, float_value=2.5), seq=2)
    death = message("NDEATH", BDSEQ, seq=None)
    result = await decoded(node, born(), device, data, death)
    assert values(result) == [
        ("G/N/temp", 2.5, False),
        ("G/N/count", 7, False),
        ("G/N/D/x", 1, False),
    ]
    assert {each.ticks for each in result.payload} == {death.ticks}


async def test_the_death_of_a_device_concerns_only_its_metrics() -> None:
    device = message("DBIRTH", metric("x", datatype=3, int_value=1), seq=1)
    death = message("DDEATH", seq=2)
    result = await decoded(decode.Sparkplug(), born(), device, death)
    assert [(*each, result.payload[0].ticks) for each in values(result)] == [
        ("G/N/D/x", 1, False, TICKS)
    ]


async def test_the_death_of_an_earlier_session_is_dropped() -> None:
    old = metric("bdSeq", datatype=8, long_value=2)
    with pytest.raises(Dropped, match="over already"):
        await decoded(decode.Sparkplug(), born(), message("NDEATH", old, seq=None))


async def test_a_gap_in_the_numbers_is_told_until_the_next_birth() -> None:
    node = decode.Sparkplug()
    value = metric(alias=1, float_value=1)
    late = await decoded(node, born(), message("NDATA", value, seq=2))
    assert (late.meta["rebirth_needed"], node.gaps) == (True, 1)
    after = await decoded(node, message("NDATA", value, seq=3))
    again = await decoded(node, born(), message("NDATA", value, seq=1))
    assert "rebirth_needed" not in after.meta | again.meta


async def test_the_numbers_go_round_at_256() -> None:
    node = decode.Sparkplug()
    value = metric(alias=1, float_value=1)
    numbers = [*range(1, 256), 0, 1]
    data = [message("NDATA", value, seq=number) for number in numbers]
    await decoded(node, born(), *data)
    assert node.gaps == 0


async def test_an_unknown_alias_costs_only_itself() -> None:
    node = decode.Sparkplug()
    await decoded(node, born())
    values_of = (metric(alias=1, float_value=3), metric(alias=9, float_value=4))
    msg = message("NDATA", *values_of, seq=1)
    with pytest.raises(SampleErrors, match="alias 9") as told:
        await decoded(node, msg)
    assert isinstance(told.value.message, Message)
    assert values(told.value.message) == [("G/N/temp", 3.0, True)]
    assert msg.meta["rebirth_needed"] is True


async def test_a_value_of_another_type_costs_only_itself() -> None:
    wrong = metric("wrong", datatype=23, float_value=1)
    msg = message("NBIRTH", wrong, metric("right", datatype=3, int_value=1))
    with pytest.raises(SampleErrors, match="type 23"):
        await decoded(decode.Sparkplug(), msg)
    assert values(msg) == [("G/N/right", 1, True)]


async def test_births_are_kept_over_a_restart() -> None:
    kept = MemoryPersistence()
    for step in (born(), message("NDATA", metric(alias=2, int_value=9), seq=1)):
        node = decode.Sparkplug()
        BaseChannel("meters").add(node)
        node.persistence = kept
        result = await decoded(node, step)
    assert values(result) == [("G/N/count", 9, True)]


@pytest.mark.parametrize(
    ("topic", "error"),
    [
        ("spBv1.0/STATE/scada", Dropped),
        ("spBv1.0/G/NCMD/N", Dropped),
        ("spBv1.0/G/DCMD/N/D", Dropped),
        ("spBv1.0/G/NDATA/N/D", DecodeError),
        ("spBv1.0/G/DDATA/N", DecodeError),
        ("spBv1.0/G/OTHER/N", DecodeError),
        ("plant/temp", DecodeError),
        (None, DecodeError),
    ],
)
async def test_topics_that_carry_no_values(
    topic: str | None, error: type[Exception]
) -> None:
    msg = Message(payload=b"", meta={"topic": topic})
    with pytest.raises(error):
        await decoded(decode.Sparkplug(), msg)


@pytest.mark.parametrize("payload", [b"\xff\xff", b"\x12\x05\x0a", "text", None])
async def test_what_is_no_payload_fails_alone(payload: Any) -> None:
    msg = Message(payload=payload, meta={"topic": "spBv1.0/G/NDATA/N"})
    with pytest.raises(DecodeError, match="Sparkplug payload"):
        await decoded(decode.Sparkplug(), msg)


async def test_a_message_that_is_sent_again_makes_no_gap() -> None:
    node = decode.Sparkplug()
    await decoded(node, born(), message("NDATA", metric(alias=1, float_value=1), seq=1))
    again = message("NDATA", metric(alias=1, float_value=1), seq=1)
    again.meta["duplicate"] = True
    await decoded(node, again)
    assert node.statistics() == {"edge_nodes": 1, "gaps": 0, "unknown": 0}
