"""A proxy on loopback that holds answers back, or hangs up, when it is told to."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

__all__ = ["Proxy"]


class Proxy:
    """Passes on what comes, both ways.

    Args:
        port: of the server on loopback.

    Attributes:
        hold_from: answers that contain these bytes, and all that follow on the same
            connection, do not arrive.
        held: set when that has happened.
        connections: how many there were.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.hold_from: bytes | None = None
        self.held = asyncio.Event()
        self.connections = 0

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.hang_up()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hang_up(self) -> None:
        """Break all connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        with suppress(OSError):
            other = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(other[1])
            asked = self._pass_on(reader, other[1], may_hold=False)
            self._tasks.add(asyncio.create_task(asked))
            await self._pass_on(other[0], writer, may_hold=True)

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        may_hold: bool,
    ) -> None:
        is_held = False
        with suppress(OSError):
            while data := await reader.read(65536):
                if may_hold and self.hold_from and self.hold_from in data:
                    is_held = True
                    self.held.set()
                if is_held:
                    continue
                writer.write(data)
                await writer.drain()
        writer.close()
