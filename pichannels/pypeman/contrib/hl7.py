"""HL7, by pypeman's names."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pichannels.hl7v2.framing import Unframer, framed
from pichannels.pypeman.channels import MLLPChannel
from pichannels.pypeman.endpoints import MLLPEndpoint
from pichannels.pypeman.nodes import HL7ToPython, PythonToHL7

__all__ = [
    "HL7ToPython",
    "MLLPChannel",
    "MLLPEndpoint",
    "MLLPProtocol",
    "PythonToHL7",
]

logger: Final = logging.getLogger("pichannels.pypeman")

_LARGEST: Final = 16 * 2**20
_MOST_WAITING: Final = 100


class MLLPProtocol(asyncio.Protocol):
    """Receives blocks of MLLP for a server of one's own; endpoints have their own.

    Blocks are handled one after the other, so that answers come in their order; while
    100 of them wait nothing more is read.

    Args:
        handler: gives the answer to the content of a block.
        loop: not used.
    """

    def __init__(
        self, handler: Callable[[bytes], Awaitable[bytes]], loop: Any = None
    ) -> None:
        self.handler = handler
        self.transport: Any = None
        self._unframer = Unframer(_LARGEST)
        self._waiting: deque[bytes] = deque()
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        for block in self._unframer.feed(data):
            if block.fault:
                logger.warning("a block of MLLP is left out: %s", block.fault)
            elif block.content:
                self._waiting.append(block.content)
        if len(self._waiting) >= _MOST_WAITING:
            self.transport.pause_reading()
        if self._waiting and self._task is None:
            self._task = asyncio.create_task(self._answer(), name="MLLP protocol")

    async def _answer(self) -> None:
        try:
            while self._waiting:
                content = self._waiting.popleft()
                self.transport.resume_reading()
                self.writeMessage(await self.handler(content))
        except Exception:
            logger.exception("a block of MLLP could not be answered")
            self.transport.close()
        finally:
            self._task = None

    def writeMessage(self, message: bytes) -> None:
        """Send a message as a block."""
        self.transport.write(framed(message))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()
