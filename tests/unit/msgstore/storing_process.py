"""Stores messages without end, and tells what is done; a test kills it."""

from __future__ import annotations

import asyncio
import sys

from msgstore.file import FileMessageStoreFactory
from pichannels.message import Message


async def main(folder: str) -> None:
    store = FileMessageStoreFactory(folder).get_store("boiler")
    await store.start()
    while True:
        id = await store.store(Message(payload="x" * 100_000))
        assert id is not None
        tell(id, "pending")
        await store.change_message_state(id, "processed", {"note": "y" * 1000})
        tell(id, "processed")


def tell(id: str, state: str) -> None:
    sys.stdout.write(f"{id} {state}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
