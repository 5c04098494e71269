"""Bad input of every kind costs that message or sample alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import decode
from pichannels.channels.pi import PIWebChannel
from pichannels.errors import MessageError
from pichannels.journal import Journal, Record
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.simulator import Plant, Simulator

QUIET = "UNIT1.SPARE.AI1"

BAD_MESSAGES = {
    "nothing": b"",
    "no json": b"plain text",
    "half a document": b'{"Links":{},"Items":[{"WebId":"P1","Items":[{"Time',
    "not utf-8": b'{"Items":"\xff\xfe"}',
    "a number": b"17",
    "a list of numbers": b"[1,2,3]",
    "items of the wrong type": b'{"Items":{"a":1}}',
    "streams of the wrong type": b'{"Items":[1,"two",null]}',
    "events of the wrong type": b'{"Items":[{"WebId":"P1","Items":[1,[2]]}]}',
    "nested a thousand deep": b"[" * 1000 + b"]" * 1000,
    "an error report": b'{"Errors":["The server is tired."]}',
    "a lone surrogate": b'{"Items":[{"WebId":"\\ud800","Items":[{"Timestamp":1}]}]}',
    "two documents": b"{}{}",
    "a nul": b"\x00",
    "a record separator": b'\x1e{"Items":[',
}
"""Frames of which nothing can be used; the first few are heartbeats to some."""

EVENT = (
    '{"Links":{},"Items":[{"WebId":"P1","Name":"ODD","Path":"","Links":{},'
    '"Items":[%s],"UnitsAbbreviation":""}]}'
)
BAD_EVENTS = {
    "no timestamp": '{"Value":1,"Good":true}',
    "a timestamp that is none": '{"Timestamp":"yesterday","Value":1,"Good":true}',
    "a month that is none": '{"Timestamp":"2026-13-01T00:00:00Z","Value":1}',
    "an odd state": '{"Timestamp":"2026-01-01T00:00:00Z","Value":{"Name":3,"Value":0}}',
}
GOOD_EVENT = '{"Timestamp":"2026-01-01T00:00:01Z","Value":2.5,"Good":true}'


class Sink(BaseNode):
    """Remembers values; one of them it cannot bear."""

    def __init__(self) -> None:
        super().__init__(name="sink")
        self.values: list[object] = []
        self.changed = asyncio.Event()

    def process(self, msg: Message) -> Message:
        values = [sample.value for sample in msg.payload]
        if 666.0 in values:
            raise MessageError("a value that nobody can bear")
        self.values += values
        self.changed.set()
        return msg

    async def has(self, value: object) -> None:
        while value not in self.values:
            self.changed.clear()
            await self.changed.wait()


async def outcome_of(frame: bytes, folder: Path) -> tuple[list[Record], Sink]:
    """What is stored of a frame, after a good value that came behind it."""
    journal = Journal(folder / "journal.sqlite")
    await journal.open()
    async with Simulator(Plant(seed=1, tags=20), poll=0.02) as simulator:
        channel = PIWebChannel(
            "plant",
            url=simulator.url,
            tags=[QUIET],
            initial_values=False,
            message_store_factory=SQLiteMessageStoreFactory(),
        )
        sink = Sink()
        channel.add(decode.PI(), sink)
        channel.attach(journal=journal)
        await channel.start()
        await simulator.connected()
        simulator.send(frame)
        simulator.push(QUIET, 42.0)
        await sink.has(42.0)
        await channel.stop()
    records = await journal.search("plant", count=100)
    await journal.close()
    return records, sink


@pytest.mark.parametrize("kind", BAD_MESSAGES)
async def test_a_bad_message_is_stored_with_its_error(
    kind: str, tmp_path: Path
) -> None:
    frame = BAD_MESSAGES[kind]
    records, _ = await outcome_of(frame, tmp_path)
    failed = [record for record in records if record.message().payload == frame]
    if kind == "nothing":
        assert failed == []  # a heartbeat, as some servers send it
    else:
        assert [(r.state, bool(r.meta["err_msg"])) for r in failed] == [("error", True)]


@pytest.mark.parametrize("kind", BAD_EVENTS)
async def test_a_bad_event_costs_that_sample_alone(kind: str, tmp_path: Path) -> None:
    frame = EVENT % f"{BAD_EVENTS[kind]},{GOOD_EVENT}"
    records, sink = await outcome_of(frame.encode(), tmp_path)
    told = [r.meta["sample_errors"] for r in records if "sample_errors" in r.meta]
    assert (2.5 in sink.values, len(told), len(told[0])) == (True, 1, 1)


async def test_a_poison_message_does_not_stop_the_channel(tmp_path: Path) -> None:
    poison = GOOD_EVENT.replace("2.5", "666.0")
    records, _ = await outcome_of((EVENT % poison).encode(), tmp_path)
    states = sorted(record.state for record in records)
    assert states == ["error", "processed"]
