"""Messages are found by the tags in their manifests."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from pichannels.journal import Journal, ManifestEntry, encode_manifest
from pichannels.message import Message
from pichannels.values import TICKS_PER_SECOND

MINUTE = 60 * TICKS_PER_SECOND
BEGIN = 29_500_000 * MINUTE


def append(journal: Journal, minute: int, *tags: str, channel: str = "a") -> int:
    msg = Message(payload=tags)
    msg.ticks = BEGIN + minute * MINUTE
    manifest = encode_manifest(ManifestEntry(tag, 1, 2, 3) for tag in tags)
    return journal.append(channel, msg, manifest=manifest).seq


async def found(journal: Journal, tag: str) -> list[int]:
    return [record.seq for record in await journal.search(tag=tag, count=1000)]


def index_rows(path: Path) -> int:
    conn = sqlite3.connect(path)
    try:
        return int(conn.execute("SELECT count(*) FROM tag_minute").fetchone()[0])
    finally:
        conn.close()


async def test_a_tag_is_found_and_others_are_not(journal: Journal) -> None:
    first, _, third = (append(journal, 0, tag) for tag in ("x", "y", "x"))
    assert await found(journal, "x") == [first, third]
    assert await found(journal, "z") == []


async def test_a_message_of_many_tags_is_found_by_each(journal: Journal) -> None:
    seq = append(journal, 0, "x", "y")
    assert (await found(journal, "x"), await found(journal, "y")) == ([seq], [seq])


async def test_messages_without_manifest_are_not_found(journal: Journal) -> None:
    append(journal, 0, "x")
    journal.append("a", Message())
    append(journal, 0, "x")
    assert await found(journal, "x") == [1, 3]


async def test_each_message_is_found_once_over_many_minutes(journal: Journal) -> None:
    seqs = [append(journal, minute, "x") for minute in (3, 1, 2, 3, 1)]
    assert sorted(await found(journal, "x")) == seqs


async def test_results_are_in_the_order_of_time(journal: Journal) -> None:
    for minute in (3, 1, 2):
        append(journal, minute, "x")
    assert await found(journal, "x") == [2, 3, 1]


async def test_tag_time_and_channel_work_together(journal: Journal) -> None:
    for minute in range(5):
        append(journal, minute, "x", channel="ab"[minute % 2])
    records = await journal.search(
        "a", tag="x", start_dt="2026-02-02T02:41:00Z", end_dt="2026-02-02T02:44:00Z"
    )
    assert [record.seq for record in records] == [3]


async def test_the_index_has_a_row_for_tag_and_minute_only(journal: Journal) -> None:
    for number in range(300):
        append(journal, number % 2, "x", "y")
    await journal.close()
    assert await asyncio.to_thread(index_rows, journal.path) == 4


async def test_the_index_survives_a_restart(journal: Journal) -> None:
    seqs = [append(journal, 0, "x")]
    await journal.close()
    await journal.open()
    seqs.append(append(journal, 0, "x"))
    assert await found(journal, "x") == seqs


async def test_the_index_is_made_again_after_a_crash(
    journal: Journal, tmp_path: Path
) -> None:
    seqs = [append(journal, number % 3, "x") for number in range(2500)]
    await journal.flush()
    copy = tmp_path / "copy.db"
    await journal.backup(copy)
    assert await asyncio.to_thread(index_rows, copy) == 0
    again = Journal(copy)
    await again.open()
    records = await again.search(tag="x", count=5000)
    assert sorted(record.seq for record in records) == seqs
    await again.close()


async def test_a_broken_manifest_costs_only_its_own_entry(journal: Journal) -> None:
    journal.append("a", Message(), manifest=b"\xc1")
    seq = append(journal, 0, "x")
    assert await found(journal, "x") == [seq]
