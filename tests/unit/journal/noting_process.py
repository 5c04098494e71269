"""A process whose files may not grow for a while: which notes it keeps, as JSON.

Run as `noting_process.py PATH`.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from contextlib import suppress
from pathlib import Path

from pichannels.errors import JournalError
from pichannels.journal import Journal
from pichannels.message import Message

LIMIT = 512 * 1024


def allow(size: int) -> None:
    """Let no file grow beyond `size` bytes."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


async def append(journal: Journal, key: str, size: int) -> None:
    """Append a message with a note."""
    ticket = journal.append("c", Message(payload=os.urandom(size)))
    journal.note(ticket, "files", key, True)
    await ticket.durable


async def main(path: str) -> dict[str, bool]:
    """Note something before the disk is full, while it is, and after."""
    journal = Journal(path)
    await journal.open()
    await append(journal, "before", 10)
    allow(LIMIT)
    with suppress(JournalError):
        await append(journal, "full", 2 * LIMIT)
    allow(resource.RLIM_INFINITY)
    await journal.room()
    await append(journal, "after", 10)
    await journal.close()
    await journal.open()
    kept = await journal.saved("files")
    await journal.close()
    return {key: key in kept for key in ("before", "full", "after")}


if __name__ == "__main__":
    result = asyncio.run(main(sys.argv[1]))
    Path(f"{sys.argv[1]}.json").write_text(json.dumps(result))
