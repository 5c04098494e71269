# mypy: ignore-errors
import sys
from asyncio import run

from pichannels.dataflow import Topic  # was: slipstream

SERVER, NAME = sys.argv[1:]

topic = Topic(
    NAME,  # was: 'emoji'; tests have a topic of their own
    {
        "bootstrap_servers": SERVER,  # was: 'localhost:29091'
        "auto_offset_reset": "earliest",
        "group_instance_id": "demo",
        "group_id": NAME,  # was: 'demo'
    },
)


async def main():
    await topic(key="trophy", value="🏆")
    await topic(key="fish", value="🐟")

    async for msg in topic:
        print(msg.key, msg.value, flush=True)  # noqa: T201 - was without flush


run(main())
