"""Takes messages of a broker and appends them to a file: for `test_mqtt_kill`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from pichannels.channels.mqtt import MQTTChannel
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.retry import RetryPolicy


class Append(BaseNode):
    """One line for each message, which a kill leaves there."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def process(self, msg: Message) -> Message:
        os.write(self._file, msg.payload + b"\n")
        return msg


async def main(folder: Path, url: str) -> None:
    journal = Journal(folder / "journal.db")
    await journal.open()
    soon = RetryPolicy(attempts=0, initial=0.05, maximum=0.2)
    channel = MQTTChannel(
        "killed", url=url, topics="kill/#", qos=2, client_id="k", reconnect=soon
    )
    channel.add(Append(folder / "delivered"))
    channel.attach(journal=journal)
    await channel.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    _, folder, url = sys.argv
    asyncio.run(main(Path(folder), url))
