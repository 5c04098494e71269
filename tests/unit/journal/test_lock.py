"""Only one instance uses a journal."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from pichannels.errors import JournalError, JournalLocked
from pichannels.journal import Journal

PROCESS = Path(__file__).with_name("appending_process.py")


async def test_a_second_instance_is_refused_and_told_who_has_it(
    journal: Journal,
) -> None:
    with pytest.raises(JournalLocked, match=f"process {os.getpid()} on "):
        await Journal(journal.path).open()


async def test_an_instance_in_another_process_is_seen(path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROCESS), str(path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    with pytest.raises(JournalLocked, match=f"process {process.pid} on "):
        await Journal(path).open()
    process.kill()
    await process.communicate()


async def test_the_lock_ends_with_its_process(path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROCESS), str(path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    process.kill()
    await process.communicate()
    journal = Journal(path)
    await journal.open()
    assert journal.count_unsettled("a") > 0
    await journal.close()


async def test_one_that_waits_gets_it_when_the_other_ends(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "pichannels.journal")
    second = Journal(journal.path, wait=True)
    opening = asyncio.create_task(second.open())
    await asyncio.wait([opening], timeout=0.05)
    assert not opening.done()
    assert "standing by" in caplog.text
    await journal.close()
    await opening
    await second.close()


async def test_one_that_waits_can_give_up(journal: Journal) -> None:
    opening = asyncio.create_task(Journal(journal.path, wait=True).open())
    await asyncio.wait([opening], timeout=0.05)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening


async def test_the_owner_is_no_longer_named_after_closing(journal: Journal) -> None:
    await journal.close()
    assert not await asyncio.to_thread(Path(f"{journal.path}-owner").exists)


async def test_a_journal_that_cannot_be_opened_is_not_locked(path: Path) -> None:
    await asyncio.to_thread(path.write_bytes, b"no database" * 1000)
    with pytest.raises(JournalError):
        await Journal(path).open()
    await asyncio.to_thread(path.unlink)
    journal = Journal(path)
    await journal.open()
    await journal.close()


@pytest.mark.skipif(sys.platform == "win32", reason="modes are of POSIX")
async def test_a_folder_that_is_made_is_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "data" / "journal.sqlite"
    journal = Journal(path)
    await journal.open()
    await journal.close()
    assert path.parent.stat().st_mode & 0o077 == 0


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    await asyncio.to_thread(file.touch)
    with pytest.raises(JournalError, match="cannot be locked"):
        await Journal(file / "journal.db").open()
