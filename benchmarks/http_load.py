"""Sends requests to a server of this machine as fast as it answers: one job."""

from __future__ import annotations

import asyncio

from benchmarks.measure import Measured, Stopwatch
from benchmarks.worker import work

__all__: list[str] = []


async def _send(url_path: str, port: int, body: bytes, count: int) -> int:
    """So many requests one after the other on one connection; how many went well."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST {url_path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    done = 0
    for _ in range(count):
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        # The server tells the length in the same way for all that are measured.
        _, _, rest = answer.lower().partition(b"content-length: ")
        if rest:
            await reader.readexactly(int(rest.partition(b"\r\n")[0]))
        done += answer.startswith(b"HTTP/1.1 20")
    writer.close()
    await writer.wait_closed()
    return done


async def run(
    path: str, port: int, body: str, count: int, connections: int
) -> Measured:
    """All requests over several connections."""
    share = count // connections
    with Stopwatch() as watch:
        done = await asyncio.gather(
            *(_send(path, port, body.encode(), share) for _ in range(connections))
        )
    return watch.measured(sum(done))


if __name__ == "__main__":
    work(run)
