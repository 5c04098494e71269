# mypy: ignore-errors
import sys
from asyncio import run

from pichannels.dataflow import Topic  # was: slipstream
from pichannels.dataflow.codecs import JsonCodec  # was: slipstream.codecs

SERVER, NAME = sys.argv[1:]

topic = Topic(
    NAME,  # was: 'emoji'; tests have a topic of their own
    {
        "bootstrap_servers": SERVER,  # was: 'localhost:29091'
        "auto_offset_reset": "earliest",
        "group_instance_id": "demo",
        "group_id": NAME,  # was: 'demo'
    },
    codec=JsonCodec(),
)


async def main():
    await topic(key="fish", value={"msg": "🐟"})

    async for msg in topic:
        print(msg.value, flush=True)  # noqa: T201 - was without flush


run(main())
