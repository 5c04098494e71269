"""The endpoint for HL7 over MLLP: one server, and the channels that share it."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import weakref
from collections.abc import Sequence
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from pichannels.checks import at_least, encoding_name, whole
from pichannels.clock import monotonic
from pichannels.endpoints.base import Endpoint, Listen, Place
from pichannels.errors import DecodeError, SettingsError
from pichannels.hl7v2.framing import Block, Unframer, framed
from pichannels.hl7v2.messages import Header, acknowledgement, parse_header

__all__ = ["ALL", "ListenMLLP", "MLLPEndpoint", "Received", "Responder"]

logger: Final = logging.getLogger("pichannels.endpoints")

ALL: Final = ""
"""The type of messages that stands for all that no other channel takes."""

_LIMIT: Final = 16 * 2**20
_READ: Final = 2**16
_LAST_ANSWERS: Final = 0.4
"""Seconds that answers have to be written when the endpoint closes."""


class ListenMLLP(Listen, frozen=True, kw_only=True):
    """Where an MLLP endpoint listens, for settings that cannot make the object.

    Attributes:
        host: name or address; 0.0.0.0 for all of this machine.
        port: its number; 0 takes a free one.
        certificate: file in PEM; with it the endpoint speaks TLS.
        key: file of the private key, where the certificate's does not have it.
        reuse_port: share the port with other processes.
        encoding: of answers to what is no message.
        message_limit: the largest message in bytes.
        read_timeout: seconds that a message may take from its first byte on.
        idle_timeout: seconds after which a connection without message is closed.
        max_connections: how many may be open at once.
    """

    encoding: str = "utf-8"
    message_limit: int = _LIMIT
    read_timeout: float = 30.0
    idle_timeout: float | None = None
    max_connections: int = 100


class Received(NamedTuple):
    """What came in one block.

    Attributes:
        content: the bytes of the message.
        header: None where it has none.
        fault: what is wrong with it, in words; empty for a message.
        remote: the address that it came from.
    """

    content: bytes
    header: Header | None
    fault: str
    remote: str


class Responder(Protocol):
    """What the endpoint needs of a channel."""

    name: str
    types: Sequence[str]

    def places(self) -> Sequence[Place]: ...

    async def respond(self, received: Received) -> bytes | None:
        """The message that answers, or None for no answer."""


class MLLPEndpoint(Endpoint):
    """Receives HL7 messages over MLLP for the channels that have it as `endpoint`.

    Several channels share one, each with `types` of its own.

    Args:
        address: older name of `host`.
        port: number of the port, 2100 by default; 0 takes a free one.
        encoding: of answers to what is no message; channels have encodings of their
            own.
        loop: None, or the running event loop.
        host: name or address, also with a port: `127.0.0.1:2100`, `:2100`. Only this
            machine by default; `0.0.0.0` for all of its addresses.
        sock: in place of both: a socket that is bound, or text as for `host`.
        reuse_port: share the port with other processes.
        certificate: file in PEM; with it the endpoint speaks TLS.
        key: file of the private key, where the certificate's does not have it.
        ssl_context: in place of both, a context of your own, such as one that asks
            clients for certificates.
        message_limit: the largest message in bytes, 16 MiB by default; larger ones
            are refused.
        read_timeout: seconds that a message may take from its first byte on.
        idle_timeout: seconds after which a connection without message is closed; by
            default senders may keep theirs open for ever.
        max_connections: how many may be open at once; more are closed when they come.

    Raises:
        SettingsError: the address, or the encoding, is not usable.
        UsageError: a number is not usable.
    """

    kind: ClassVar[str] = "MLLP endpoint"
    default_port: ClassVar[int] = 2100

    def __init__(
        self,
        address: str | None = None,
        port: int | None = None,
        encoding: str = "utf-8",
        loop: Any = None,
        host: str | None = None,
        sock: Any = None,
        reuse_port: bool | None = None,
        *,
        certificate: Any = None,
        key: Any = None,
        ssl_context: ssl.SSLContext | None = None,
        message_limit: int = _LIMIT,
        read_timeout: float = 30.0,
        idle_timeout: float | None = None,
        max_connections: int = 100,
    ) -> None:
        if address is not None and host is not None:
            raise SettingsError("the host is given twice", key="host", found=host)
        if ssl_context is not None and certificate is not None:
            raise SettingsError("give either ssl_context or certificate", key="key")
        where = host if address is None else address
        super().__init__(where, port, sock, reuse_port, loop, certificate, key)
        self.encoding = encoding_name(encoding)
        whole("message_limit", message_limit, 1)
        whole("max_connections", max_connections, 1)
        at_least("read_timeout", read_timeout, 0, above=True)
        if idle_timeout is not None:
            at_least("idle_timeout", idle_timeout, 0, above=True)
        self.message_limit = message_limit
        self.read_timeout = read_timeout
        self.idle_timeout = idle_timeout
        self.max_connections = max_connections
        self.refused_connections = 0
        self._ssl_context = ssl_context
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        # Weak, so that a channel that is gone from the project goes from here.
        self._owners: dict[str, weakref.ref[Responder]] = {}

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def _open(self) -> tuple[str, int]:
        tls = self._ssl_context or await self._tls()
        own = self._own_socket()
        where: dict[str, Any] = {"sock": own}
        if own is None:
            where = {"host": self.host, "port": self.port}
            where["reuse_port"] = self.reuse_port or None
        if tls is not None:
            where["ssl_handshake_timeout"] = self.read_timeout
        self._server = await asyncio.start_server(
            self._serve, limit=_READ, ssl=tls, **where
        )
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def _leave_port(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _close(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        tasks = [connection.end() for connection in self._connections]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_LAST_ANSWERS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    # Connections

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._server is None:
            # It came while the endpoint closed.
            writer.close()
            return
        if len(self._connections) >= self.max_connections:
            self.refused_connections += 1
            logger.warning("%s: %d connections are open", self, len(self._connections))
            writer.close()
            return
        connection = _Connection(self, reader, writer)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    async def respond(self, block: Block, remote: str) -> bytes | None:
        """What is answered to a block."""
        content, fault = block
        header = None
        try:
            header = parse_header(content)
        except DecodeError as exc:
            fault = fault or exc.reason
        received = Received(content, header, fault, remote)
        owner = self._owner_of(received)
        if owner is not None:
            return await owner.respond(received)
        told = fault or f"no channel takes {_shown(header)}"
        logger.warning("%s: refused what %s sent: %s", self, remote, told)
        return acknowledgement(header, "AR", told, self.encoding)

    # Channels

    def _changed(self) -> None:
        """Give messages to those that run, and to those that are stopped, who say so.

        What is no message goes to who takes all, or to the first one.
        """
        running: list[Any] = self._users
        stopped: Any = self._known.difference(running)
        owners: dict[str, weakref.ref[Responder]] = {}
        for user in [*running, *sorted(stopped, key=_name)]:
            for kind in user.types:
                owners.setdefault(kind, weakref.ref(user))
        self._owners = owners

    def _owner_of(self, received: Received) -> Responder | None:
        owners = self._owners
        if received.header is None:
            found = owners.get(ALL) or next(iter(owners.values()), None)
        else:
            kind = received.header.message_type.upper()
            found = owners.get(kind) or owners.get(kind.partition("^")[0])
            found = found or owners.get(ALL)
        return None if found is None else found()


def _name(user: Responder) -> str:
    return user.name


def _shown(header: Header | None) -> str:
    kind = header.message_type if header else ""
    return f"messages of the type {kind}" if kind else "messages without a type"


class _Connection:
    """One sender: its messages are answered one after the other, in order."""

    def __init__(
        self,
        endpoint: MLLPEndpoint,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._endpoint = endpoint
        self._reader = reader
        self._writer = writer
        self._unframer = Unframer(endpoint.message_limit)
        host, port = (writer.get_extra_info("peername") or ("", 0))[:2]
        self._remote = host
        task = asyncio.current_task()
        assert task is not None
        task.set_name(f"{endpoint}: connection of {host}:{port}")
        self._task = task
        self._deadline: float | None = None
        self._is_answering = False
        self._is_ending = False

    def end(self) -> asyncio.Task[Any]:
        """Take nothing more; what is answered just now may be written."""
        self._is_ending = True
        if not self._is_answering:
            self._task.cancel()
        return self._task

    async def run(self) -> None:
        """Until the sender goes, is too slow, or the endpoint closes."""
        try:
            # Who is gone without a word is noticed.
            sock = self._writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            await self._take_all()
        except OSError:
            # The sender has gone; who did not get an answer sends again.
            self._writer.transport.abort()
        except asyncio.CancelledError:
            self._writer.transport.abort()
            if not self._is_ending:
                raise
        finally:
            self._writer.close()

    async def _take_all(self) -> None:
        fault = ""
        while not fault:
            try:
                data = await self._read()
                fault = "" if data else "the connection ended"
            except TimeoutError:
                data, fault = b"", "the rest of it did not come in time"
            if data:
                await self._answer(self._unframer.feed(data))
            if self._is_ending:
                return
        await self._answer(self._unframer.finish(fault))

    async def _read(self) -> bytes:
        """Some bytes; none at the end.

        Raises:
            TimeoutError: nothing came for too long.
        """
        limit = self._endpoint.idle_timeout
        if self._unframer.is_between:
            self._deadline = None
        else:
            now = monotonic()
            if self._deadline is None:
                self._deadline = now + self._endpoint.read_timeout
            limit = self._deadline - now
        if limit is None:
            return await self._reader.read(_READ)
        async with asyncio.timeout(limit):
            return await self._reader.read(_READ)

    async def _answer(self, blocks: list[Block]) -> None:
        for block in blocks:
            # The time for the next one begins when it is its turn.
            self._deadline = None
            if self._is_ending:
                return
            self._is_answering = True
            try:
                answer = await self._endpoint.respond(block, self._remote)
                if answer is not None:
                    await self._write(framed(answer))
            finally:
                self._is_answering = False

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size():
            async with asyncio.timeout(self._endpoint.read_timeout):
                await self._writer.drain()
