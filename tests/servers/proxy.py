"""A proxy on loopback: delays, swallows, breaks connections when it is told to."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

import msgspec

__all__ = ["Direction", "Proxy", "Websocket"]

Direction: TypeAlias = Literal["asked", "answered"]
"""What goes to the server, and what comes from it."""
_UPGRADED: Final = b"HTTP/1.1 101 "


class Websocket(msgspec.Struct):
    """One that went through a proxy, at moments of the monotonic clock.

    Attributes:
        opened: when the server agreed.
        heard: when something of the server was passed on last.
        ended: when the client's side ended; None while it has not.
    """

    opened: float
    heard: float
    ended: float | None = None


class Proxy:
    """Passes on what comes, both ways.

    Args:
        port: of the server on loopback.

    Attributes:
        hold_from: answers that contain these bytes, and all that follow on the same
            connection, do not arrive.
        held: set when that has happened.
        connections: how many there were.
        websockets: those of them that became one.
        refusing: new connections are reset at once.
        delay: seconds that each piece takes, by direction.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._passing = {"asked": asyncio.Event(), "answered": asyncio.Event()}
        self.hold_from: bytes | None = None
        self.held = asyncio.Event()
        self.connections = 0
        self.websockets: list[Websocket] = []
        self.refusing = False
        self.delay = {"asked": 0.0, "answered": 0.0}
        self.heal()

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
        self.heal()
        self.hang_up()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hang_up(
        self, how: Literal["reset", "fin"] = "reset", at_most: int | None = None
    ) -> None:
        """Break all connections, or some: by RST, or by FIN after what was passed."""
        # Each has two sides; any of them ends the other one.
        for writer in list(self._writers)[:at_most]:
            if how == "fin":
                writer.close()
            else:
                writer.transport.abort()

    def swallow(self, *directions: Direction) -> None:
        """Be a black hole: pass nothing on, and close nothing, until `heal`."""
        for direction in directions or ("asked", "answered"):
            self._passing[direction].clear()

    def heal(self) -> None:
        """Pass on again what comes, at once, with what has waited."""
        self.refusing = False
        self.delay = {"asked": 0.0, "answered": 0.0}
        for passing in self._passing.values():
            passing.set()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._keep(task)
        if self.refusing:
            writer.transport.abort()
            return
        self._writers.add(writer)
        other: asyncio.StreamWriter | None = None
        try:
            with suppress(OSError):
                answers, other = await asyncio.open_connection(
                    "127.0.0.1", self._target
                )
                self._writers.add(other)
                heard = _Heard(self.websockets)
                self._keep(
                    asyncio.create_task(self._pass_on(reader, other, "asked", heard))
                )
                await self._pass_on(answers, writer, "answered", heard)
        finally:
            # Also where nobody listens: who has connected is to know.
            for each in (writer, other):
                if each is not None:
                    each.close()
            self._writers -= {writer, other}

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: Direction,
        heard: _Heard,
    ) -> None:
        is_held = False
        with suppress(OSError):
            while data := await reader.read(65536):
                hold = self.hold_from if direction == "answered" else None
                if hold and hold in data:
                    is_held = True
                    self.held.set()
                if is_held:
                    continue
                if seconds := self.delay[direction]:
                    await asyncio.sleep(seconds)
                await self._passing[direction].wait()
                if direction == "answered":
                    heard.piece(data)
                writer.write(data)
                await writer.drain()
        if direction == "asked":
            heard.end()
        writer.close()


class _Heard:
    """What a connection is, and when something of the server was passed on."""

    def __init__(self, websockets: list[Websocket]) -> None:
        self._all = websockets
        self._this: Websocket | None = None

    def piece(self, data: bytes) -> None:
        now = time.monotonic()
        if self._this is not None:
            self._this.heard = now
        elif data.startswith(_UPGRADED):
            self._this = Websocket(now, now)
            self._all.append(self._this)

    def end(self) -> None:
        if self._this is not None:
            self._this.ended = time.monotonic()
