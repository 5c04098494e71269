"""A process whose files may not grow: what the journal does then, as JSON.

Run as `full_disk_process.py PATH`.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

from pichannels.errors import JournalError
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.states import State

LIMIT = 512 * 1024


def allow(size: int) -> None:
    """Let no file grow beyond `size` bytes."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


async def fill(journal: Journal) -> list[int]:
    """Append until it fails; the numbers that were reported durable."""
    accepted: list[int] = []
    try:
        while True:
            ticket = journal.append("a", Message(payload=os.urandom(20_000)))
            await ticket.durable
            accepted.append(ticket.seq)
    except JournalError:
        return accepted


async def main(path: str) -> dict[str, Any]:
    """Fill the disk, look what works, make room, look again."""
    found: dict[str, Any] = {}
    journal = Journal(path)
    await journal.open()
    allow(LIMIT)
    accepted = await fill(journal)
    found["accepted"] = len(accepted)
    found["is_full"] = journal.is_full
    found["failures"] = journal.statistics().failures
    found["readable"] = len(await journal.unsettled("a"))
    saved = journal.save("node", "key", b"x" * 100_000, settle=[accepted[0]])
    journal.settle(accepted[1], State.PROCESSED)
    await asyncio.sleep(0.2)
    found["saved_early"] = saved.done()
    allow(resource.RLIM_INFINITY)
    await journal.room()
    await saved
    await journal.append("a", Message(payload="after")).durable
    found["unsettled"] = journal.count_unsettled("a")
    found["restored"] = len(await journal.restore("node", "key"))
    found["problems"] = await journal.verify()
    await journal.close()
    return found


if __name__ == "__main__":
    result = asyncio.run(main(sys.argv[1]))
    Path(f"{sys.argv[1]}.json").write_text(json.dumps(result))
