"""A channel as source, a cache and a file as sinks.

`python killed.py FOLDER COUNT` accepts messages and stops working in the midst of them;
`python killed.py FOLDER` ends when it has nothing more to do.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from pichannels.channels import BaseChannel
from pichannels.dataflow import Application, Cache
from pichannels.engine import Engine
from pichannels.message import Message
from pichannels.project import Project

FOLDER = Path(sys.argv[1])
ACCEPTED = int(sys.argv[2]) if len(sys.argv) > 2 else 0

channel = BaseChannel("in")
application = Application()
cache = Cache(str(FOLDER / "cache"))
output = (FOLDER / "output").open("a", buffering=1)


def to_file(update: tuple[str, int]) -> None:
    output.write(f"{update[1]}\n")


@application.handle(channel, sink=[cache, to_file])
async def handler(msg: Message) -> tuple[str, int]:
    if ACCEPTED and msg.payload == ACCEPTED // 4:
        sys.stdout.write("under way\n")
        sys.stdout.flush()
        await asyncio.Event().wait()
    return "last", msg.payload


async def main() -> None:
    engine = Engine(Project([channel]), data_dir=FOLDER / "data", control=False)
    async with engine:
        running = asyncio.create_task(application.stream())
        accepting = (channel.accept(Message(payload=n)) for n in range(ACCEPTED))
        await asyncio.gather(*accepting)
        if ACCEPTED:
            sys.stdout.write("accepted\n")
            sys.stdout.flush()
        await channel.drain()
        application.stop()
        await running


asyncio.run(main())
