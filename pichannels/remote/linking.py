"""How a link is kept: connected again when it is lost, its streams with it."""

from __future__ import annotations

import asyncio
import itertools
import logging
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeVar

from pichannels.errors import NotConnected
from pichannels.remote.errors import (
    AccessDenied,
    ModeRefused,
    RefusedError,
    RemoteError,
    StreamFailed,
    error_from,
)
from pichannels.remote.frames import (
    FRAME_BYTES,
    CallFault,
    CallResult,
    Close,
    EndsAre,
    Fail,
    Frame,
    Listed,
    Open,
    Opened,
    Refused,
    StreamFrame,
)
from pichannels.remote.modes import Ends, Listing, Mode
from pichannels.remote.opened import StreamState
from pichannels.remote.session import Session
from pichannels.remote.stream import RemoteStream
from pichannels.remote.transports import Dial
from pichannels.remote.wire import HEARTBEAT
from pichannels.retry import RetryPolicy

__all__ = ["AGAIN", "Answer", "KeptLink", "ListingAnswer", "Resumption", "future"]

logger: Final = logging.getLogger("pichannels.remote")

AGAIN: Final = RetryPolicy(attempts=0, initial=0.1, maximum=15.0)

T = TypeVar("T")


def future() -> asyncio.Future[Any]:
    """What an answer will be put into."""
    return asyncio.get_running_loop().create_future()


class Answer(NamedTuple):
    """What someone waits for, and of what."""

    name: str
    future: asyncio.Future[Any]

    def give(self, value: object) -> None:
        """This is the answer."""
        if not self.future.done():
            self.future.set_result(value)

    def fail(self, error: Exception) -> None:
        """There is none."""
        if not self.future.done():
            self.future.set_exception(error)
            # Whoever waited may have gone.
            self.future.exception()


class ListingAnswer(NamedTuple):
    """A listing, which may come in several frames."""

    names: list[Listing]
    done: Answer

    def take(self, frame: Listed) -> None:
        """Add what came."""
        self.names.extend(
            Listing(x.name, x.kind, Mode(x.mode), x.first, x.end, x.version)
            for x in frame.names
        )
        if not frame.has_more:
            self.done.give(None)


class Resumption:
    """A stream that goes on when its link was lost and is there again.

    Args:
        stream: which.
        within: seconds after which it gives up; None for never.
    """

    def __init__(self, stream: RemoteStream, within: float | None) -> None:
        self.stream = stream
        self.is_due = False
        self._within = within
        self._timer: asyncio.TimerHandle | None = None
        self._said = ""

    def begin(self) -> None:
        """The link is lost."""
        self.is_due = self.stream.state is StreamState.SUSPENDED
        if self.is_due and self._timer is None and self._within is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._within, self._give_up)

    def note(self, error: RefusedError) -> None:
        """The hub does not open it just now."""
        self._said = f": {error.reason}"

    def _give_up(self) -> None:
        reason = f"it could not be resumed within {self._within:g} s{self._said}"
        self.stream.lose(reason, for_good=True)
        self.end()

    def end(self) -> None:
        """It goes on, or is closed."""
        self.is_due = False
        self._said = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class KeptLink:
    """The connection of a link, and where its frames go.

    Args:
        dial: opens a connection to the hub.
        heartbeat: seconds; a link of which the other end is gone is found within
            twice that.
        timeout: seconds that connecting, and the answer to an open or a listing, may
            take.
        retry: when to connect again; None for never.
        frame_bytes: the largest frame that is taken.
    """

    def __init__(
        self,
        dial: Dial,
        *,
        heartbeat: float = HEARTBEAT,
        timeout: float = 10.0,
        retry: RetryPolicy | None = AGAIN,
        frame_bytes: int = FRAME_BYTES,
    ) -> None:
        self._dial = dial
        self._heartbeat = heartbeat
        self._timeout = timeout
        self._retry = retry
        self._frame_bytes = frame_bytes
        self._session: Session | None = None
        self._linked = asyncio.Event()
        self._lost: NotConnected | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._is_closed = False
        self._numbers = itertools.count(1)
        self._streams: dict[int, RemoteStream] = {}
        self._resumable: dict[int, Resumption] = {}
        self._openings: dict[int, Answer] = {}
        self._failed_early: dict[int, Fail] = {}
        self._lists: dict[int, ListingAnswer] = {}
        self._calls: dict[int, Answer] = {}

    # The life

    @property
    def is_linked(self) -> bool:
        """Whether there is a connection just now."""
        return self._linked.is_set()

    @property
    def largest(self) -> int:
        """How large a frame the hub takes."""
        return self._session.wire.largest if self._session else FRAME_BYTES

    async def open_link(self) -> None:
        """Connect for the first time; `async with` does.

        Raises:
            AccessDenied: the token is missing or wrong.
            NotConnected: there is no hub, or it turns us away.
        """
        self._session = await self._connect()
        self._linked.set()
        self._keeper = asyncio.create_task(self._keep(), name="remote: link")

    async def aclose(self) -> None:
        """Close what is open, and the connection; may be called again."""
        if self._is_closed:
            return
        self._is_closed = True
        self._linked.set()
        if self._session is not None:
            await self._session.wire.say_goodbye("the client has closed the link")
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._session is not None:
            await self._session.end("closed")
        self._fail_all("the link was closed", for_good=True)

    async def __aenter__(self) -> Self:
        await self.open_link()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _connect(self) -> Session:
        target = "the hub"
        try:
            async with asyncio.timeout(self._timeout):
                transport = await self._dial()
                target = transport.target
                return await Session.begin(
                    transport, self._heartbeat, self._frame_bytes, self._take
                )
        except TimeoutError as exc:
            reason = f"no answer within {self._timeout:g} s"
            raise NotConnected(target, reason) from exc

    async def _keep(self) -> None:
        """Connect again whenever the link is lost."""
        async with asyncio.TaskGroup() as resuming:
            while self._session is not None:
                # Who closes the link lets it end by itself.
                lost = await asyncio.shield(self._session.ended)
                self._linked.clear()
                self._fail_all(lost.reason, for_good=self._retry is None)
                self._session = await self._connect_again(lost)
                if self._session is None:
                    break
                self._linked.set()
                for resumption in list(self._resumable.values()):
                    if resumption.is_due:
                        resuming.create_task(
                            self._resume(resumption), name="remote: resume"
                        )
        self._fail_all(str(self._lost or "the link is gone"), for_good=True)

    async def _connect_again(self, lost: NotConnected) -> Session | None:
        self._lost = lost
        if self._retry is None:
            return None
        attempt = 0
        while True:
            attempt += 1
            delay = self._retry.delay(attempt, lost)
            if delay is None:
                return None
            await asyncio.sleep(delay)
            try:
                return await self._connect()
            except NotConnected as exc:
                self._lost = lost = exc
            except AccessDenied as exc:
                self._lost = NotConnected(lost.target, str(exc))
                return None
            except Exception as exc:
                logger.exception("a link to %s could not be made", lost.target)
                self._lost = lost = NotConnected(lost.target, repr(exc))

    def _fail_all(self, reason: str, *, for_good: bool) -> None:
        """What needs the link that is gone."""
        target = self._session.wire.target if self._session else "the hub"
        waiting = [
            *self._openings.values(),
            *self._calls.values(),
            *(listing.done for listing in self._lists.values()),
        ]
        for answer in waiting:
            answer.fail(NotConnected(target, reason))
        for id, stream in list(self._streams.items()):
            resumption = self._resumable.get(id)
            stream.lose(reason, for_good=for_good or resumption is None)
            if resumption is not None:
                resumption.begin()

    async def _linked_session(self) -> Session:
        """The present connection, or the next one.

        Raises:
            NotConnected: there is none, and none in time.
        """
        target = self._lost.target if self._lost else "the hub"
        if self._is_closed or self._keeper is None or self._keeper.done():
            reason = self._lost.reason if self._lost else "the link is not open"
            raise NotConnected(target, reason)
        try:
            async with asyncio.timeout(self._timeout):
                while self._session is None or not self._linked.is_set():
                    await self._linked.wait()
        except TimeoutError as exc:
            reason = self._lost.reason if self._lost else "no link in time"
            raise NotConnected(target, reason) from exc
        return self._session

    async def _ask(self, frame: Frame, answer: Answer) -> Any:
        session = await self._linked_session()
        session.wire.send(frame)
        try:
            async with asyncio.timeout(self._timeout):
                found = await answer.future
        except TimeoutError as exc:
            reason = f"no answer within {self._timeout:g} s"
            raise NotConnected(session.wire.target, reason) from exc
        if session.wire.lost is not None:
            # What was opened is closed again there.
            raise NotConnected(session.wire.target, session.wire.lost.reason)
        return found

    # Streams

    async def _ask_to_open(self, frame: Open, name: str) -> Opened:
        answer = self._openings[frame.stream] = Answer(name, future())
        try:
            opened: Opened = await self._ask(frame, answer)
        except (NotConnected, asyncio.CancelledError):
            # It may be open there by now.
            self.send(Close(frame.stream))
            raise
        finally:
            del self._openings[frame.stream]
            failed = self._failed_early.pop(frame.stream, None)
        if failed is not None:
            raise error_from(failed.problem, name, RefusedError)
        return opened

    async def _resume(self, resumption: Resumption) -> None:
        """Open a stream again, and go on with it."""
        stream = resumption.stream
        frame = Open(stream.id, stream.name, stream.kind, stream.wanted)
        for delay in AGAIN.delays():
            if not resumption.is_due or stream.state is not StreamState.SUSPENDED:
                return
            try:
                opened = await self._ask_to_open(frame, stream.name)
            except NotConnected:
                return
            except (AccessDenied, ModeRefused) as exc:
                return stream.fail(StreamFailed(stream.name, exc.reason))
            except RefusedError as exc:
                resumption.note(exc)
                await asyncio.sleep(delay)
            else:
                if stream.state is not StreamState.SUSPENDED:
                    return self.send(Close(stream.id))
                resumption.end()
                return stream.resume(opened)

    def next_request(self) -> int:
        """A number that nothing else on this link has."""
        return next(self._numbers)

    def send(self, frame: Frame) -> None:
        """Send a frame before any data; nothing where there is no link."""
        if self._session is not None:
            self._session.wire.send(frame)

    def send_last(self, stream: int, frame: Frame) -> None:
        """Send a frame behind the data of a stream."""
        if self._session is not None:
            self._session.wire.send_last(stream, frame)

    async def room(self, stream: int) -> None:
        """Until `put` can take a frame of data.

        Raises:
            NotConnected: there is no link.
        """
        if self._session is None:
            raise NotConnected("the hub", "the link is gone")
        await self._session.wire.room(stream)

    def has_room(self, stream: int) -> bool:
        """Whether `put` can take a frame of data."""
        return self._session is not None and self._session.wire.has_room(stream)

    def put(self, stream: int, frame: Frame) -> None:
        """Send a frame of data, for which there is room."""
        assert self._session is not None
        self._session.wire.put(stream, frame)

    def forget(self, stream: int) -> None:
        """A stream is closed."""
        self._streams.pop(stream, None)
        resumption = self._resumable.pop(stream, None)
        if resumption is not None:
            resumption.end()

    # What comes

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Opened | Refused):
            self._take_opened(frame)
        elif isinstance(frame, StreamFrame):
            self._take_for_stream(frame)
        elif isinstance(frame, Listed):
            if (listing := self._lists.get(frame.request)) is not None:
                listing.take(frame)
        elif isinstance(frame, CallResult | CallFault):
            self._take_result(frame)

    def _take_opened(self, frame: Opened | Refused) -> None:
        answer = self._openings.get(frame.stream)
        if answer is None:
            return
        if isinstance(frame, Opened):
            answer.give(frame)
        else:
            answer.fail(error_from(frame.problem, answer.name, RefusedError))

    def _take_result(self, frame: CallResult | CallFault) -> None:
        answer = self._calls.get(frame.call)
        if answer is None:
            return
        if isinstance(frame, CallResult):
            answer.give(frame.value)
        else:
            answer.fail(error_from(frame.problem, answer.name, RemoteError))

    def _note_early(self, frame: StreamFrame) -> None:
        """A stream has failed before who opens it knows that it is open."""
        if isinstance(frame, Fail) and frame.stream in self._openings:
            self._failed_early[frame.stream] = frame

    def _will_be_back(self, frame: StreamFrame) -> bool:
        """Whether the hub shuts down, and the stream goes on with the next one.

        The link ends then.
        """
        is_end = isinstance(frame, Fail) and bool(frame.problem.facts.get("shutdown"))
        return is_end and frame.stream in self._resumable

    def _take_for_stream(self, frame: StreamFrame) -> None:
        stream = self._streams.get(frame.stream)
        if stream is None:
            return self._note_early(frame)
        if self._will_be_back(frame):
            return
        if isinstance(frame, EndsAre):
            stream.answer(frame.request, Ends(frame.first, frame.end))
        else:
            stream.take(frame)
