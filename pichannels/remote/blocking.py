"""Remote streams for code without an event loop: scripts, notebooks, libraries.

A thread has the loop; calls wait for what happens there.
"""

from __future__ import annotations

import asyncio
import io
import os
import threading
import weakref
from collections import deque
from collections.abc import Coroutine, Iterator
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from pichannels.certificates import tls_context
from pichannels.remote.byte_stream import ByteStream
from pichannels.remote.connecting import connect
from pichannels.remote.entities import Item
from pichannels.remote.entity_stream import EntityStream
from pichannels.remote.errors import StreamClosed
from pichannels.remote.hub import Hub
from pichannels.remote.link import Link
from pichannels.remote.modes import Bookmark, Listing, Mode, Whence

__all__ = ["BlockingBytes", "BlockingEntities", "BlockingLink"]

T = TypeVar("T")

_AT_ONCE: Final = 500
_TURNS: Final = 10


class _Worker:
    """A thread with an event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._run, name="pichannels remote", daemon=True
        )
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            self._loop.run_until_complete(self._end())
        finally:
            self._loop.close()

    async def _end(self) -> None:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        # Links wait until their sockets are closed; what was cancelled needs turns
        # of the loop for that.
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of something that the loop does; Ctrl-C cancels it."""
        if self._loop.is_closed():
            work.close()
            raise StreamClosed("", "the link was closed")
        found = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return found.result()
        except BaseException:
            found.cancel()
            raise

    def stop(self) -> None:
        """End the thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            # What is forgotten may be collected in any thread, also in this one.
            if threading.current_thread() is not self._thread:
                self._thread.join()


class BlockingLink:
    """A link to a hub for blocking code: `with BlockingLink(url, token=...) as link`.

    It may be used by several threads.

    Args:
        url: of the hub, such as `https://host:8443`.
        token: shows who we are.
        ca: a file with the certificates that are trusted, in PEM.
        verify: False for no check of the certificate.
        options: more of `connect`.

    Raises:
        AccessDenied: the token is missing or wrong.
        NotConnected: there is no hub.
        SettingsError: the certificates cannot be used.
        UsageError: it is no such URL.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        ca: str | os.PathLike[str] | None = None,
        verify: bool = True,
        **options: Any,
    ) -> None:
        self._worker = _Worker()
        self._finalizer = weakref.finalize(self, self._worker.stop)
        try:
            self._link = self._worker.run(_opened(url, token, ca, verify, options))
        except BaseException:
            self._finalizer()
            raise

    def close(self) -> None:
        """Close what is open, and the link; may be called again."""
        if self._finalizer.alive:
            self._worker.run(self._link.aclose())
            self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def list(self, pattern: str = "*") -> list[Listing]:
        """What is published under names that fit a pattern; as `Link.list`."""
        return self._worker.run(self._link.list(pattern))

    def call(self, service: str, method: str, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method of an object that is exposed; as `Link.call`."""
        return self._worker.run(self._link.call(service, method, *args, **kwargs))

    def remove(self, name: str) -> None:
        """Remove a file of a folder that takes files; as `Link.remove`."""
        self._worker.run(self._link.remove(name))

    def rename(self, name: str, to: str, *, replace: bool = False) -> None:
        """Give such a file another name; as `Link.rename`."""
        self._worker.run(self._link.rename(name, to, replace=replace))

    def entities(self, name: str, **options: Any) -> BlockingEntities:
        """Open a stream of entities; arguments and errors as for `Link.entities`."""

        async def open() -> EntityStream:
            return await self._link.entities(name, **options)

        return BlockingEntities(self._worker, self._worker.run(open()))

    def bytes(self, name: str, mode: str = "rb", **options: Any) -> BlockingBytes:
        """Open a stream of bytes; arguments and errors as for `Link.bytes`."""

        async def open() -> ByteStream:
            return await self._link.bytes(name, mode, **options)

        return BlockingBytes(self._worker, self._worker.run(open()))


async def _opened(
    url: str | Hub,
    token: str | None,
    ca: str | os.PathLike[str] | None,
    verify: bool,
    options: dict[str, Any],
) -> Link:
    if str(url).startswith(("https:", "wss:")):
        options = {"ssl": await tls_context(verify=verify, ca=ca), **options}
    link = connect(url, token=token, **options)
    await link.open_link()
    return link


class BlockingEntities:
    """A stream of entities that is open; iterate over it, or call `receive`."""

    def __init__(self, worker: _Worker, stream: EntityStream) -> None:
        self._worker = worker
        self.stream = stream
        # Iteration asks the other thread for many at once.
        self._waiting: deque[Item] = deque()
        self._last: Bookmark | None = None

    @property
    def position(self) -> int:
        """Of the next element."""
        return self._waiting[0].position if self._waiting else self.stream.position

    @property
    def bookmark(self) -> Bookmark:
        """This position, to go on there at another time: `start=bookmark`."""
        if self._waiting and self._last is not None:
            return self._last
        return self.stream.bookmark

    def receive(self, most: int = _AT_ONCE) -> tuple[Any, ...]:
        """The values that are here; waits for the first. None of them is the end."""
        return tuple(item.value for item in self.receive_items(most))

    def receive_items(self, most: int = _AT_ONCE) -> tuple[Item, ...]:
        """As `receive`, each with its position and bookmark."""
        if self._waiting:
            count = min(most, len(self._waiting))
            found = tuple(self._waiting.popleft() for _ in range(count))
            self._last = found[-1].bookmark
            return found
        return tuple(self._worker.run(self.stream.receive_items(most)))

    def __iter__(self) -> Iterator[Any]:
        while self._waiting or self._fill():
            item = self._waiting.popleft()
            self._last = item.bookmark
            yield item.value

    def _fill(self) -> bool:
        self._waiting.extend(self.receive_items())
        return bool(self._waiting)

    def seek(self, position: int = 0, whence: Whence = Whence.ABSOLUTE) -> int:
        """Go to a position: the absolute one there; as `RemoteStream.seek`."""
        if whence is Whence.CURRENT:
            position, whence = self.position + position, Whence.ABSOLUTE
        self._waiting.clear()
        return self._worker.run(self.stream.seek(position, whence))

    def write(self, values: list[Any]) -> None:
        """Send values, all of them; as `EntityStream.write`."""
        self._worker.run(self.stream.write(values))

    def flush(self, durable: bool = False) -> int:
        """Wait until all that was written is stored: up to which position."""
        return self._worker.run(self.stream.flush(durable))

    def close(self) -> None:
        """Let go of it; what was written is stored before."""
        self._worker.run(self.stream.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class BlockingBytes(io.RawIOBase):
    """A stream of bytes as a raw file: `io.BufferedReader(...)` makes a usual one."""

    def __init__(self, worker: _Worker, stream: ByteStream) -> None:
        super().__init__()
        self._worker = worker
        self.stream = stream

    def readable(self) -> bool:
        return bool(self.stream.wanted & Mode.READ)

    def writable(self) -> bool:
        return bool(self.stream.wanted & Mode.WRITE)

    def seekable(self) -> bool:
        return bool(self.stream.mode & Mode.SEEK)

    def tell(self) -> int:
        return self.stream.position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._worker.run(self.stream.seek(offset, Whence(whence)))

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._worker.run(self.stream.receive(len(view))) if view else b""
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._worker.run(self.stream.read())

    def write(self, data: Any, /) -> int:
        return self._worker.run(self.stream.write(data))

    def truncate(self, size: int | None = None, /) -> int:
        if size is not None:
            self.seek(size)
        self._worker.run(self.stream.truncate())
        return self.stream.position

    def sync(self) -> None:
        """Wait until what was written is safe from a loss of power there."""
        self._worker.run(self.stream.flush(durable=True))

    @property
    def size(self) -> int:
        """How many bytes there are just now."""
        return self._worker.run(self.stream.ends()).end or 0

    def close(self) -> None:
        if not self.closed:
            try:
                self._worker.run(self.stream.aclose())
            finally:
                super().close()
