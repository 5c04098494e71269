"""Counts in a cache, and serves its updates: for `test_endpoint_kill`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

from fastapi import FastAPI

from pichannels.dataflow import Cache, handle
from pichannels.dataflow.endpoints import serve, sse


def main(folder: str, port: int) -> None:
    cache, app = Cache(folder), FastAPI()
    app.get("/updates")(sse(cache, keep=100_000))

    async def numbers() -> AsyncIterator[int]:
        number = cache["count"] or 0
        while True:
            number += 1
            yield number
            await asyncio.sleep(0.001)

    @handle(numbers, sink=[cache])
    def count(number: int) -> tuple[str, int]:
        return "count", number

    asyncio.run(serve(app, port=port))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
