"""A note lives and dies with the message that it was taken along by."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from pichannels.errors import UsageError
from pichannels.journal import Journal
from pichannels.message import Message

PROCESS = Path(__file__).with_name("noting_process.py")


async def test_a_note_is_kept_with_its_message(path: Path) -> None:
    journal = Journal(path)
    await journal.open()
    journal.note(journal.append("c", Message()), "files", "a.csv", [1, "x"])
    await journal.close()
    await journal.open()
    assert await journal.saved("files") == {"a.csv": [1, "x"]}
    await journal.close()


@pytest.mark.parametrize("is_one_commit", [True, False])
async def test_what_is_saved_or_forgotten_later_counts(
    journal: Journal, is_one_commit: bool
) -> None:
    for key in ("saved", "forgotten"):
        journal.note(journal.append("c", Message()), "files", key, 1)
    if not is_one_commit:
        await journal.flush()
    journal.save("files", "saved", 2)
    journal.forget("files", "forgotten")
    await journal.flush()
    assert await journal.saved("files") == {"saved": 2}


async def test_a_note_counts_after_what_was_forgotten(journal: Journal) -> None:
    journal.forget("files", "a")
    journal.note(journal.append("c", Message()), "files", "a", 1)
    await journal.flush()
    assert await journal.saved("files") == {"a": 1}
    assert journal.statistics().buffered_rows == 0


async def test_only_the_message_of_this_step_takes_a_note(journal: Journal) -> None:
    ticket = journal.append("c", Message())
    await journal.flush()
    with pytest.raises(UsageError, match="just now"):
        journal.note(ticket, "files", "a", 1)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are POSIX")
async def test_a_full_disk_takes_neither_message_nor_note(path: Path) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, PROCESS, path)
    assert await process.wait() == 0
    found = json.loads(await asyncio.to_thread(Path(f"{path}.json").read_text))
    assert found == {"before": True, "full": False, "after": True}
