"""HL7 messages to an `MLLPChannel`, against a bare MLLP server of asyncio.

The messages come from a process of its own over a few connections; what is measured
is the process of the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from benchmarks.listening import CONNECTIONS, Server, journaled, kept_busy, started
from benchmarks.measure import Aim, Benchmark, Case, Measured
from benchmarks.options import Options
from msgstore.null import NullMessageStoreFactory
from pichannels.channels.mllp import MLLPChannel
from pichannels.endpoints.mllp import MLLPEndpoint

__all__ = ["prepare"]

_FLOOR: Final = "a server of asyncio streams"
_MESSAGE: Final = (
    "MSH|^~\\&|LAB|NORTH|PI|PLANT|20261121101500||ORU^R01^ORU_R01|1001|P|2.5\r"
    "PID|1||4711^^^NORTH||Doe^Jane||19700101|F\r"
    "OBR|1|||CHEM^Chemistry|||20261121101000\r"
    "OBX|1|NM|GLU^Glucose||5.4|mmol/L|3.9-6.1||||F|||20261121101000\r"
    "OBX|2|NM|NA^Sodium||139|mmol/L|135-145||||F|||20261121101000\r"
)


async def _answer_all(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Read blocks as text, and acknowledge each: what every receiver has to do."""
    try:
        while True:
            block = await reader.readuntil(b"\x1c\r")
            text = block[1:-2].decode()
            msh = text.partition("\r")[0].split("|")
            now = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
            answer = (
                f"MSH|^~\\&|{msh[4]}|{msh[5]}|{msh[2]}|{msh[3]}|{now}||ACK|{msh[9]}"
                f"|P|{msh[11]}\rMSA|AA|{msh[9]}\r"
            )
            writer.write(b"\x0b" + answer.encode() + b"\x1c\r")
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()


@asynccontextmanager
async def _bare() -> AsyncIterator[int]:
    server = await asyncio.start_server(_answer_all, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


def _channel(**options: Any) -> tuple[MLLPChannel, MLLPEndpoint]:
    endpoint = MLLPEndpoint(port=0)
    return MLLPChannel("bench", endpoint=endpoint, **options), endpoint


def _run(server: Server) -> Callable[[int], Awaitable[Measured]]:
    return kept_busy(server, "benchmarks.mllp_load", message=_MESSAGE)


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """The bare server, and channels."""
    file = options.directory / "mllp.sqlite"
    null = partial(_channel, message_store_factory=NullMessageStoreFactory())
    count = options.count(16_000) // CONNECTIONS * CONNECTIONS
    yield Benchmark(
        "mllp",
        f"HL7 messages of {len(_MESSAGE)} bytes, acknowledged",
        "messages",
        ("cpu", "wall"),
        [
            Case(_FLOOR, _run(_bare), count),
            Case("MLLPChannel, null store", _run(started(null)), count, Aim(_FLOOR)),
            Case(
                "MLLPChannel, answered when durable",
                _run(journaled(partial(_channel, accepted=True), file)),
                count,
                Aim(_FLOOR),
            ),
        ],
        [f"{CONNECTIONS} connections from a process of their own."],
    )
