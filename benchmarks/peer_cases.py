"""The same chains on pypeman; runs alone, in the environment that `peer` makes.

Reads a job as JSON from stdin and writes what it took as JSON to stdout.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import random
import sys
import time
from datetime import datetime, timedelta
from typing import Any

# Only the environment of the peer has pypeman, and it has no types.
from pypeman import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
    channels,
    exceptions,
    message,
    msgstore,
    nodes,
)

COLLECT_AT = 50_000


class Decode(nodes.BaseNode):  # type: ignore[misc]
    def process(self, msg: Any) -> Any:
        msg.payload = json.loads(msg.payload)
        return msg


class Filter(nodes.BaseNode):  # type: ignore[misc]
    def process(self, msg: Any) -> Any:
        if msg.payload["Value"] < 0:
            raise exceptions.Dropped()
        return msg


class Enrich(nodes.BaseNode):  # type: ignore[misc]
    def __init__(self, table: dict[str, Any]) -> None:
        super().__init__()
        self.table = table

    def process(self, msg: Any) -> Any:
        msg.payload.update(self.table[msg.payload["Name"]])
        return msg


class Publish(nodes.BaseNode):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.published: list[Any] = []

    def process(self, msg: Any) -> Any:
        self.published.append(msg.payload)
        return msg


def is_warm(msg: Any) -> bool:
    return bool(msg.payload["Value"] > 30)


def build(job: dict[str, Any]) -> tuple[Any, Publish]:
    """The channel of the job, and its last node."""
    case = job["case"]
    factory = None
    if case == "durable":
        factory = msgstore.FileMessageStoreFactory(path=job["directory"])
    channel = channels.BaseChannel(name="peer", message_store_factory=factory)
    publish = Publish()
    channel.add(Decode(), Filter())
    if case == "fork":
        channel.fork(name="beside").add(Publish())
    channel.add(Enrich(job["table"]))
    if case == "case":
        warm, cold = channel.case(is_warm, True, names=["warm", "cold"])
        warm.add(Publish())
        cold.add(Publish())
    channel.add(publish)
    return channel, publish


async def run_chain(job: dict[str, Any], messages: list[Any]) -> tuple[float, float]:
    """Seconds, wall and CPU, for all messages one by one through the channel."""
    channel, publish = build(job)
    for one in channels.all_channels:
        await one.start()
    # Without it the tasks of forks and cases pile up until memory is full.
    is_branched = job["case"] in ("fork", "case")
    await asyncio.sleep(0)
    wall, cpu = time.perf_counter(), time.process_time()
    for msg in messages:
        await channel.handle(msg)
        if is_branched:
            await asyncio.sleep(0)
    took = time.perf_counter() - wall, time.process_time() - cpu
    wanted = len(messages) - len(messages) // len(job["texts"])
    if len(publish.published) < wanted:
        raise SystemExit(f"{len(publish.published)} of {wanted} were published")
    return took


async def run_store(job: dict[str, Any]) -> tuple[int, float, float]:
    """How many messages a case of stores went over, and the seconds for that."""
    if job["store"] == "file":
        factory = msgstore.FileMessageStoreFactory(path=job["directory"])
    else:
        path = f"{job['directory']}/store.db"
        factory = msgstore.DatabaseMessageStoreFactory(path=path)
    store = factory.get_store("peer")
    await store.start()
    size, texts = job["size"], job["texts"]
    begin, ids = datetime(2026, 3, 1), []
    for number in range(size):
        text = texts[number % len(texts)]
        rare = f"{text} {job['rare']}" if number == size * 19 // 20 else text
        msg = message.Message(payload=rare)
        msg.timestamp = begin + timedelta(seconds=number / 10)
        ids.append(await store.store(msg))
        await store.change_message_state(ids[-1], "processed")
    channel = channels.BaseChannel(name="replaying")
    channel.add(Publish())
    await channel.start()
    await asyncio.sleep(0)
    work = {"store_page": pages, "store_text": text_search, "store_replay": replay}
    wall, cpu = time.perf_counter(), time.process_time()
    count = await work[job["case"]](store, job, ids, channel)
    took = time.perf_counter() - wall, time.process_time() - cpu
    await store.stop()
    return count, *took


async def pages(store: Any, job: dict[str, Any], ids: list[str], _: Any) -> int:
    chance, found = random.Random(7), 0
    for _ in range(job["count"]):
        number = chance.randrange(job["size"] - job["page"])
        moment = datetime(2026, 3, 1) + timedelta(seconds=number / 10)
        found += len(await store.search(count=job["page"], start_dt=moment))
    return found


async def text_search(store: Any, job: dict[str, Any], ids: list[str], _: Any) -> int:
    for _ in range(job["count"]):
        if len(await store.search(count=10, text=job["rare"])) != 1:
            raise SystemExit("the rare text was not found once")
    return int(job["count"] * job["size"])


async def replay(store: Any, job: dict[str, Any], ids: list[str], channel: Any) -> int:
    for id in random.Random(7).sample(ids, job["count"]):
        await channel.handle((await store.get(id))["message"].renew())
    return int(job["count"])


def make(job: dict[str, Any]) -> list[Any]:
    texts = job["texts"]
    return [
        message.Message(payload=texts[number % len(texts)])
        for number in range(job["count"])
    ]


def main() -> None:
    job = json.load(sys.stdin)
    logging.disable(logging.CRITICAL)
    gc.set_threshold(COLLECT_AT)
    if job["case"].startswith("store_"):
        count, seconds, used = asyncio.run(run_store(job))
        json.dump({"count": count, "wall": seconds, "cpu": used}, sys.stdout)
        return
    wall, cpu = time.perf_counter(), time.process_time()
    messages = make(job)
    took = time.perf_counter() - wall, time.process_time() - cpu
    if job["case"] != "messages":
        gc.collect()
        took = asyncio.run(run_chain(job, messages))
    json.dump({"count": job["count"], "wall": took[0], "cpu": took[1]}, sys.stdout)


if __name__ == "__main__":
    main()
