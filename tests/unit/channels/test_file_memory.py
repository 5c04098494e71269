"""What a channel knows of files: which versions are the same, and which are gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pichannels.channels.file_memory import FileMemory, Found, Listing, Version
from pichannels.errors import JournalError
from pichannels.journal import Journal

DAY = Version(5, "20260101")
MINUTE = Version(5, "20260101123400")


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        # Old servers tell the minute of files for half a year, and then the day.
        (MINUTE, DAY, True),
        (DAY, MINUTE, True),
        (Version(5, ""), MINUTE, True),
        (MINUTE, Version(5, "20260102"), False),
        (MINUTE, Version(6, "20260101123400"), False),
        (MINUTE, Version(5, "20260101123400", "inode"), False),
        (Version(5, "100"), Version(5, "200"), False),
    ],
)
def test_a_time_may_be_told_less_exactly(
    one: Version, other: Version, is_same: bool
) -> None:
    assert one.is_like(other) is other.is_like(one) is is_same


def test_what_lies_in_a_folder_that_cannot_be_seen_is_not_gone() -> None:
    memory = FileMemory("plant")
    for path in ("a", "x/b", "xy/c"):
        memory.note(Found(path, DAY), "", None)
    memory.prune(Listing({}, blind=["x"]))
    assert list(memory.entries) == ["x/b"]


async def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    await journal.open()
    journal.save("files:plant", "a", "what")
    with pytest.raises(JournalError, match=r"cannot be read: 'what'"):
        await FileMemory("plant").load(journal)
    await journal.close()
