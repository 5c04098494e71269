"""The client's side: a link to a hub, and what is opened and called on it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from types import TracebackType
from typing import Any, Final, Generic, NamedTuple, TypeVar

from pichannels import codecs
from pichannels.errors import NotConnected, UsageError
from pichannels.remote.byte_stream import ByteStream
from pichannels.remote.entity_stream import EntityStream
from pichannels.remote.errors import CallFailed
from pichannels.remote.filing import FILING
from pichannels.remote.frames import OVERHEAD, Call, Cancel, List, Open
from pichannels.remote.linking import (
    Answer,
    KeptLink,
    ListingAnswer,
    Resumption,
    future,
)
from pichannels.remote.modes import Kind, Listing, Mode, StreamRef, Whence
from pichannels.remote.stream import RemoteStream, Start

__all__ = ["Link", "Opening", "RemoteService"]

ITEMS: Final = 1000
BYTES: Final = 4 * 2**20
_MODES: Final = {
    "r": Mode.READ,
    "w": Mode.WRITE,
    "r+": Mode.READ | Mode.WRITE,
}

S = TypeVar("S", bound=RemoteStream)


class Opening(Generic[S]):
    """A stream that is about to be open: `async with`, or `await` it and close it."""

    def __init__(self, open: Callable[[], Awaitable[S]]) -> None:
        self._open = open
        self._stream: S | None = None

    def __await__(self) -> Generator[Any, None, S]:
        return self._open().__await__()

    async def __aenter__(self) -> S:
        self._stream = await self._open()
        return self._stream

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._stream is not None
        await self._stream.__aexit__(kind, exc, trace)


class RemoteService:
    """An object elsewhere; its attributes are its remote methods.

    `await service.add("x")` calls `add`. See `Link.call` for what it raises.
    """

    def __init__(self, link: Link, name: str) -> None:
        self._link = link
        self._name = name

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        if method.startswith("_"):
            raise AttributeError(method)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return await self._link.call(self._name, method, *args, **kwargs)

        return call


class Link(KeptLink):
    """A link to a hub, on which any number of streams is open; see `connect`.

    A link that is lost is made again by itself. Streams with `resume` go on then;
    others have failed with `StreamLost`, and what is asked for meanwhile waits for the
    new link.
    """

    # What it offers

    def entities(
        self,
        name: str | StreamRef,
        *,
        mode: str = "r",
        start: Start = Whence.START,
        follow: bool = False,
        readahead: int = ITEMS,
        readahead_bytes: int = BYTES,
        resume: bool = False,
        resume_within: float | None = 60.0,
    ) -> Opening[EntityStream]:
        """Open a stream of entities.

        Args:
            name: as it is published, or the reference that a remote method returned.
            mode: `r`, `w` or `r+`.
            start: where to begin: START, END, a position, an aware time or a bookmark.
            follow: wait at the end for more; otherwise it ends there.
            readahead: how many items may come before they are asked for; 0 asks for
                each batch when it is wanted.
            readahead_bytes: how many bytes of them.
            resume: go on by itself where it was, when the link was lost and is there
                again. For sources that go back to a position.
            resume_within: seconds after which it gives up; None for never.

        Raises:
            ContextError: it cannot begin there.
            NotConnected: there is no link, and none in time.
            RefusedError: it is not there, not allowed, not published for that, ...
            UsageError: an argument makes no sense.
        """

        async def open() -> EntityStream:
            options = _Options(
                _mode_of(mode), (readahead, readahead_bytes), resume, resume_within
            )
            stream = await self._open(name, Kind.ENTITIES, EntityStream, options)
            return await self._begun(stream, start, follow)

        return Opening(open)

    def bytes(
        self,
        name: str | StreamRef,
        mode: str = "rb",
        *,
        start: Start = Whence.START,
        follow: bool = False,
        readahead: int = BYTES,
        resume: bool = False,
        resume_within: float | None = 60.0,
    ) -> Opening[ByteStream]:
        """Open a stream of bytes.

        Args:
            name: as it is published, or the reference that a remote method returned.
            mode: `rb`, `wb` (which does not empty it) or `r+b`.
            start: where to begin: START, END, a position or a bookmark.
            follow: wait at the end for more; otherwise it ends there.
            readahead: how many bytes may come before they are asked for.
            resume: as for `entities`.
            resume_within: as for `entities`.

        Raises:
            ContextError: it cannot begin there.
            NotConnected: there is no link, and none in time.
            RefusedError: it is not there, not allowed, not published for that, ...
            UsageError: an argument makes no sense.
        """

        async def open() -> ByteStream:
            wanted = _mode_of(mode.replace("b", ""))
            options = _Options(wanted, (0, readahead), resume, resume_within)
            stream = await self._open(name, Kind.BYTES, ByteStream, options)
            return await self._begun(stream, start, follow)

        return Opening(open)

    def open(
        self, ref: StreamRef, **options: Any
    ) -> Opening[EntityStream] | Opening[ByteStream]:
        """Open what a reference is of; the options are those of that kind."""
        if ref.kind is Kind.BYTES:
            return self.bytes(ref, **options)
        return self.entities(ref, **options)

    async def list(self, pattern: str = "*") -> list[Listing]:
        """What is published under names that fit a pattern with `*` and `?`.

        Raises:
            NotConnected: there is no link, or no answer.
        """
        request = self.next_request()
        listing = ListingAnswer([], Answer("", future()))
        self._lists[request] = listing
        try:
            await self._ask(List(request, pattern), listing.done)
        finally:
            del self._lists[request]
        return listing.names

    def service(self, name: str) -> RemoteService:
        """An object that is exposed under this name, to call its methods."""
        return RemoteService(self, name)

    async def remove(self, name: str) -> None:
        """Remove a file of a folder that takes files; its readers are told.

        Raises:
            NotConnected: the link was lost; whether it was removed is not known.
            RefusedError: it is not there, not allowed, or somebody writes it.
            SourceFailed: it cannot be removed.
        """
        await self._answered(name, FILING, "remove", (name,), {})

    async def rename(self, name: str, to: str, *, replace: bool = False) -> None:
        """Give a file of a folder that takes files another name there.

        It has all of its contents under the one name or the other. Whoever reads it,
        or what it replaces, is told.

        Args:
            name: what it is called.
            to: what it is to be called, with the same first part.
            replace: whether it takes the place of a file of that name.

        Raises:
            NotConnected: the link was lost; whether it was renamed is not known.
            RefusedError: it is not there, not allowed, somebody writes either, or
                there is a file of the other name.
            SourceFailed: it cannot be renamed.
        """
        await self._answered(name, FILING, "rename", (name, to, replace), {})

    async def call(
        self, service: str, method: str, /, *args: Any, **kwargs: Any
    ) -> Any:
        """Call a method of an object that is exposed; wait with `asyncio.timeout`.

        What is cancelled here is cancelled there.

        Raises:
            AccessDenied: the token does not allow it.
            CallFailed: it has raised, or does not take these arguments.
            CodecError: an argument has a type without codec.
            NotConnected: the link was lost; whether the method ran is not known.
            StreamNotFound: there is no such service or method.
        """
        return await self._answered(service, service, method, args, kwargs)

    async def _answered(
        self,
        about: str,
        service: str,
        method: str,
        args: Sequence[Any],
        kwargs: dict[str, Any],
    ) -> Any:
        """What a call returns; what it raises is told of what it is about."""
        arguments = codecs.encode([[*args], kwargs])
        session = await self._linked_session()
        if len(arguments) > self.largest - OVERHEAD:
            reason = f"the arguments of {method} have {len(arguments)} bytes"
            raise CallFailed(service, f"{reason}; pass a stream instead")
        number = self.next_request()
        answer = self._calls[number] = Answer(about, future())
        session.wire.send(Call(number, service, method, arguments))
        try:
            return codecs.decode(await answer.future)
        except asyncio.CancelledError:
            session.wire.send(Cancel(number))
            raise
        finally:
            del self._calls[number]

    async def _open(
        self, name: str | StreamRef, kind: Kind, made: type[S], options: _Options
    ) -> S:
        path = name.name if isinstance(name, StreamRef) else name
        id = self.next_request()
        opened = await self._ask_to_open(Open(id, path, kind, options.mode), path)
        stream = made(self, id, opened, path, options.mode, options.window)
        self._streams[id] = stream
        if options.resume:
            self._resumable[id] = Resumption(stream, options.resume_within)
        return stream

    async def _begun(self, stream: S, start: Start, follow: bool) -> S:
        try:
            async with asyncio.timeout(self._timeout):
                await stream.begin(start, eos=not follow)
        except TimeoutError as exc:
            await stream.aclose()
            reason = f"{stream.name!r} has not begun within {self._timeout:g} s"
            raise NotConnected("the hub", reason) from exc
        except BaseException:
            await stream.aclose()
            raise
        return stream


class _Options(NamedTuple):
    mode: Mode
    window: tuple[int, int]
    resume: bool
    resume_within: float | None


def _mode_of(mode: str) -> Mode:
    found = _MODES.get(mode)
    if found is None:
        raise UsageError(f"a stream is opened as {', '.join(_MODES)}, not {mode!r}")
    return found
