"""Sends HL7 messages to a server of this machine as fast as it answers: one job."""

from __future__ import annotations

import asyncio

from benchmarks.measure import Measured, Stopwatch
from benchmarks.worker import work

__all__: list[str] = []


async def _send(port: int, block: bytes, count: int) -> int:
    """So many messages one after the other on one connection; how many went well."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    done = 0
    for _ in range(count):
        writer.write(block)
        answer = await reader.readuntil(b"\x1c\r")
        done += b"\rMSA|AA|" in answer
    writer.close()
    await writer.wait_closed()
    return done


async def run(port: int, message: str, count: int, connections: int) -> Measured:
    """All messages over several connections."""
    share = count // connections
    block = b"\x0b" + message.encode() + b"\x1c\r"
    with Stopwatch() as watch:
        done = await asyncio.gather(
            *(_send(port, block, share) for _ in range(connections))
        )
    return watch.measured(sum(done))


if __name__ == "__main__":
    work(run)
