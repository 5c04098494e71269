"""A process that appends without end and reports each number that is durable.

Run as `appending_process.py PATH`; every third message is settled.
"""

from __future__ import annotations

import asyncio
import os
import sys

from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.states import State


async def append_for_ever(journal: Journal) -> None:
    """Append, wait until it is durable, report, and again."""
    while True:
        await journal.room()
        ticket = journal.append("a", Message(payload=os.urandom(300)))
        await ticket.durable
        if ticket.seq % 3 == 0:
            journal.settle(ticket.seq, State.PROCESSED)
        os.write(1, f"{ticket.seq}\n".encode())


async def main(path: str) -> None:
    """Fifty at once, until somebody kills the process."""
    journal = Journal(path)
    await journal.open()
    await asyncio.gather(*(append_for_ever(journal) for _ in range(50)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
