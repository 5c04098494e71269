"""The same handlers on slipstream; runs alone, in the environment that `peer` makes.

Reads a job as JSON from stdin and writes what it took as JSON to stdout.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

# Only the environment of the peer has slipstream.
from slipstream import handle, stream  # type: ignore[import-not-found]

COLLECT_AT = 50_000


async def doubled(values: Any) -> AsyncIterator[Any]:
    async for value in values:
        yield value


async def run(job: dict[str, Any]) -> tuple[float, float]:
    """Seconds, wall and CPU, for all texts through one handler."""
    texts, table, count = job["texts"], job["table"], job["count"]
    published: list[Any] = []

    async def source() -> AsyncIterator[str]:
        size = len(texts)
        for number in range(count):
            yield texts[number % size]

    pipes = [doubled] * 3 if job["case"] == "pipes" else []

    @handle(source(), pipe=pipes, sink=[published.append])  # type: ignore[untyped-decorator,unused-ignore]
    def transform(text: str) -> Iterator[Any]:
        event = json.loads(text)
        if event["Value"] >= 0:
            event.update(table[event["Name"]])
            yield event

    wall, cpu = time.perf_counter(), time.process_time()
    await stream()
    took = time.perf_counter() - wall, time.process_time() - cpu
    wanted = count - count // len(texts)
    if len(published) != wanted:
        raise SystemExit(f"{len(published)} of {wanted} were published")
    return took


def main() -> None:
    job = json.load(sys.stdin)
    gc.set_threshold(COLLECT_AT)
    wall, cpu = asyncio.run(run(job))
    json.dump({"count": job["count"], "wall": wall, "cpu": cpu}, sys.stdout)


if __name__ == "__main__":
    main()
