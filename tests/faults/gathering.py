"""What the files of an instance that has ended say: the first half of the evidence."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from nodes import decode
from pichannels.errors import DecodeError, Dropped, SampleErrors
from pichannels.journal import Journal, Record
from pichannels.message import Message
from pichannels.states import State
from pichannels.values import Sample
from tests.faults.oracle import Kept

__all__ = ["Found", "gather"]

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
    noted = await asyncio.to_thread(_witnessed, witness)
    aside: dict[str, tuple[str, int]] = {}
    kept: dict[int, _Noted] = {}
    for record in records:
        if "part_of" not in record.meta:
            kept[record.seq] = _Noted(record.lane, record.message().payload)
        if record.state is State.ERROR:
            samples = _samples(record.message().payload)
            aside.update({s.event_id: (s.tag.name, s.ticks) for s in samples})
    # Messages that are settled go, the oldest first, where there is no room.
    oldest = min((record.seq for record in records), default=0)
    lost = [
        seq
        for seq, each in noted.items()
        if seq >= oldest and not (seq in kept and each.is_same(kept[seq]))
    ]
    known = sorted((noted | kept).items())
    accepted = [Kept(seq, each.lane, each.events()) for seq, each in known]
    return Found(accepted, lost, aside, problems)


class _Noted(NamedTuple):
    """A message, as it is kept or as the witness has it.

    Attributes:
        lane: where it was accepted.
        payload: what PI sent; of the archive samples, or only their tags and ids.
    """

    lane: str
    payload: bytes | list[Any]

    def is_same(self, kept: _Noted) -> bool:
        if isinstance(self.payload, bytes):
            return self.payload == kept.payload
        return self.events() == kept.events()

    def events(self) -> list[tuple[str, str]]:
        """Tag and event id of each sample."""
        if isinstance(self.payload, bytes):
            return [(s.tag.name, s.event_id) for s in _samples(self.payload)]
        return [
            (each.tag.name, each.event_id) if type(each) is Sample else tuple(each)
            for each in self.payload
        ]


async def _read(path: Path, channel: str) -> tuple[list[str], list[Record]]:
    journal = Journal(path)
    await journal.open()
    try:
        return await journal.verify(), await journal.search(channel, count=10**7)
    finally:
        await journal.close()


def _witnessed(path: Path) -> dict[int, _Noted]:
    """Each message that `accept` has called durable, by number."""
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    return dict(row for line in lines if (row := _row(line)))


def _row(line: bytes) -> tuple[int, _Noted] | None:
    """A line of the witness; None for one that a kill has torn."""
    try:
        number, lane, payload = msgspec.json.decode(
            line, type=tuple[int, str, str | list[Any]]
        )
    except msgspec.DecodeError:
        return None
    return number, _Noted(
        lane, payload.encode() if isinstance(payload, str) else payload
    )


def _samples(payload: bytes | list[Sample]) -> list[Sample]:
    if isinstance(payload, list):
        return payload
    message = Message("application/json", payload, {"server": _SERVER})
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
