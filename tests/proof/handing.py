"""One of two instances that hand over samples: for `test_remote_kill`.

Arguments: the folder of the instance, `site` or `headquarters`, `push` or `pull` (who
connects: the site pushes, headquarters pulls), the port to listen on or to connect to.

The site accepts numbered batches until there is a file `enough`, and writes how many
there were to `accepted` once all of them are settled. Both sides keep the samples in
`values.db`; headquarters also appends what comes to `delivered`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from nodes import publish
from pichannels.channels import BaseChannel
from pichannels.channels.inbox import InboxChannel
from pichannels.channels.remote import RemoteChannel
from pichannels.endpoints.remote import RemoteEndpoint
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy
from pichannels.values import Sample, Tag

HEARTBEAT = 0.6
SOON = RetryPolicy(attempts=0, initial=0.02, maximum=0.2)
TAGS = 3
AT_ONCE = 10
PACE = 0.03


class Append(BaseNode):
    """One line for each sample, which a kill leaves there."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def process(self, msg: Message) -> Message:
        lines = [f"{each.tag.name} {each.value}\n" for each in msg.payload]
        os.write(self._file, "".join(lines).encode())
        return msg


def batch(number: int) -> Message:
    samples = [Sample(Tag(f"TI{n}"), 10**16 + number, number) for n in range(TAGS)]
    return Message("application/python", samples)


def site(mode: str, port: int) -> BaseChannel:
    url = f"http://127.0.0.1:{port}"
    channel = BaseChannel("site", retry=SOON)
    channel.add(publish.SQLite("values.db", retry=SOON))
    if mode == "push":
        channel.add(
            publish.Remote(url, "values", timeout=3, retry=SOON, heartbeat=HEARTBEAT)
        )
    else:
        endpoint = RemoteEndpoint(port=port, heartbeat=HEARTBEAT, reuse_port=True)
        channel.add(publish.Outbox(endpoint, "values"))
    return channel


def headquarters(mode: str, port: int) -> BaseChannel:
    channel: BaseChannel
    if mode == "push":
        endpoint = RemoteEndpoint(port=port, heartbeat=HEARTBEAT, reuse_port=True)
        channel = InboxChannel("hq", endpoint=endpoint, stream="values", retry=SOON)
    else:
        channel = RemoteChannel(
            "hq",
            url=f"http://127.0.0.1:{port}",
            stream="values",
            heartbeat=HEARTBEAT,
            timeout=2,
            reconnect=SOON,
            retry=SOON,
        )
    channel.add(Append(Path("delivered")))
    channel.add(publish.SQLite("values.db", retry=SOON))
    return channel


def tell(name: str, what: int) -> None:
    """Write a file that is there as a whole, or not yet."""
    Path(f"{name}.new").write_text(str(what))
    os.replace(f"{name}.new", name)


async def generate(channel: BaseChannel, journal: Journal) -> None:
    """Accept batches, each with the number that it has in the journal."""
    enough = Path("enough")
    while not await asyncio.to_thread(enough.exists):
        first = journal.last_seq + 1
        await asyncio.gather(
            *(channel.accept(batch(first + n)) for n in range(AT_ONCE))
        )
        await asyncio.sleep(PACE)
    await channel.drain()
    tell("accepted", journal.last_seq)


async def main(folder: Path, role: str, mode: str, port: int) -> None:
    os.chdir(folder)
    journal = Journal(Path("journal.db"))
    await journal.open()
    channel = (site if role == "site" else headquarters)(mode, port)
    channel.attach(journal=journal)
    await channel.start()
    tell("started", os.getpid())
    if role == "site":
        await generate(channel, journal)
    await asyncio.Event().wait()


if __name__ == "__main__":
    _, folder, role, mode, port = sys.argv
    asyncio.run(main(Path(folder), role, mode, int(port)))
