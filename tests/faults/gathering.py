"""What the files of an instance that has ended say: the first half of the evidence."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import msgspec

from nodes import decode
from pichannels.errors import DecodeError, Dropped, SampleErrors
from pichannels.journal import Journal, Record
from pichannels.message import Message
from pichannels.states import State
from pichannels.values import Sample
from tests.faults.oracle import Kept

__all__ = ["Found", "gather"]

Payload: TypeAlias = bytes | list[Sample]
_SERVER: Final = "PLANT"


class Found(NamedTuple):
    """What was accepted, and what became of it.

    Attributes:
        accepted: all messages, by number.
        lost: numbers of messages that were called durable and are not in the journal
            as they were, though nothing older is there no more.
        aside: event id -> tag and ticks of what is a dead letter.
        problems: what verification says.
    """

    accepted: list[Kept]
    lost: list[int]
    aside: dict[str, tuple[str, int]]
    problems: list[str]


async def gather(journal: Path, channel: str, witness: Path) -> Found:
    """Open and verify the journal of an instance that has ended; read both files."""
    problems, records = await _read(journal, channel)
    witnessed = await asyncio.to_thread(_witnessed, witness)
    aside: dict[str, tuple[str, int]] = {}
    payloads: dict[int, Payload] = {}
    for record in records:
        if "part_of" not in record.meta:
            payloads[record.seq] = record.message().payload
        if record.state is State.ERROR:
            samples = _samples(record.message())
            aside.update({s.event_id: (s.tag.name, s.ticks) for s in samples})
    # Messages that are settled go, the oldest first, where there is no room.
    oldest = min((record.seq for record in records), default=0)
    lost = [
        seq
        for seq, payload in witnessed.items()
        if seq >= oldest and payload is not None and payload != payloads.get(seq)
    ]
    lost += [
        n for n, p in witnessed.items() if not p and n >= oldest and n not in payloads
    ]
    known: dict[int, Payload] = {n: p or [] for n, p in witnessed.items()}
    known |= payloads
    return Found(
        [_kept(*each) for each in sorted(known.items(), key=_number)],
        lost,
        aside,
        problems,
    )


async def _read(path: Path, channel: str) -> tuple[list[str], list[Record]]:
    journal = Journal(path)
    await journal.open()
    try:
        return await journal.verify(), await journal.search(channel, count=10**7)
    finally:
        await journal.close()


def _witnessed(path: Path) -> dict[int, bytes | None]:
    """Number -> payload of each message that `accept` has called durable.

    None where it was samples from the archive, and not bytes.
    """
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    return dict(row for line in lines if (row := _row(line)))


def _row(line: bytes) -> tuple[int, bytes | None] | None:
    """A line of the witness; None for one that a kill has torn."""
    try:
        number, payload = msgspec.json.decode(line, type=tuple[int, str | None])
    except msgspec.DecodeError:
        return None
    return number, None if payload is None else payload.encode()


def _number(known: tuple[int, Payload]) -> int:
    return known[0]


def _kept(seq: int, payload: Payload) -> Kept:
    samples = _samples(Message("application/json", payload, {"server": _SERVER}))
    return Kept(seq, [(s.tag.name, s.event_id) for s in samples])


def _samples(message: Message) -> list[Sample]:
    if isinstance(message.payload, list):
        return message.payload
    try:
        message = decode.PI().process(message)
    except SampleErrors as exc:
        if exc.message is None:
            return []
        message = exc.message
    except (DecodeError, Dropped):
        return []
    samples: list[Sample] = message.payload
    return samples
