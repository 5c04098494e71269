"""Accepts marked messages and reports each one: a program for `test_syncwatch`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from pichannels.channels import BaseChannel
from pichannels.journal import Journal
from pichannels.message import Message

MESSAGES = 3000
AT_ONCE = 100


async def main(folder: Path) -> None:
    journal = Journal(folder / "journal.db")
    await journal.open()
    channel = BaseChannel("marked")
    channel.attach(journal=journal)
    await channel.start()
    report = os.open(folder / "report", os.O_WRONLY | os.O_CREAT)
    numbers = iter(range(MESSAGES))

    async def accept_each() -> None:
        for number in numbers:
            await channel.accept(Message(payload=f"MARK-{number}-"))
            os.write(report, f"ACCEPTED {number}\n".encode())

    await asyncio.gather(*[accept_each() for _ in range(AT_ONCE)])
    await channel.stop()
    await journal.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
