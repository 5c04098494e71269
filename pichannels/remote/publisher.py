"""The side of a stream that publishes it, as a machine without input and output.

`take` is given what comes, `ready` what can be sent, `todo` what to do next with the
source. A new context waits until what the one before has written is stored; what was
read for an older one is void.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pichannels.remote.entities import Batch
from pichannels.remote.errors import (
    ContextError,
    ItemTooLarge,
    StreamFailed,
    StreamProtocolError,
    UnsupportedOperation,
    error_from,
    problem_of,
)
from pichannels.remote.frames import (
    FRAME_BYTES,
    OVERHEAD,
    PER_ITEM,
    TURN_BYTES,
    Ack,
    Close,
    Credit,
    Cut,
    Data,
    Fail,
    Fault,
    Flush,
    Read,
    Skipped,
    Started,
    StreamFrame,
    WData,
    Write,
)
from pichannels.remote.modes import Edge, Ends, Kind, Mode, Place, Whence, described
from pichannels.remote.windows import Allowance, Grant, Window

__all__ = ["Begin", "Finish", "Give", "Publisher", "Store", "Sync", "Task"]

Start = Read | Write | Cut


class Begin(NamedTuple):
    """Go to where a context starts, or cut there."""

    start: Start

    @property
    def place(self) -> Place:
        """Where that is."""
        start = self.start
        if isinstance(start, Read):
            return Place(start.whence, start.position, start.mark)
        if isinstance(start, Write):
            return Place(start.whence, start.position, is_write=True)
        return Place(Whence.ABSOLUTE, start.position)


class Give(NamedTuple):
    """Read so many items, or bytes, at most."""

    items: int
    size: int


class Store(NamedTuple):
    """Write this."""

    batch: list[bytes]


class Sync(NamedTuple):
    """See that what was written is stored, or durable."""

    durable: bool


class Finish(NamedTuple):
    """Close the source."""


Task = Begin | Give | Store | Sync | Finish


class Publisher:
    """One stream that a peer has opened.

    Args:
        stream: its number on the link.
        name: for errors.
        kind: what it is made of.
        mode: what the peer may do with it.
        items: how many written items may wait here.
        size: how many written bytes.
        largest: how many bytes a frame may have for the peer.

    Attributes:
        position: of the next element to be sent or stored.
        sent, received: how many elements went out, and came in.
        stale: how many frames of older contexts came.
        lost: how many items the reader was too slow for.
        failure: why the stream is of no more use, or None.
        is_at_end: the reader waits at the end, for more.
    """

    def __init__(
        self,
        stream: int,
        name: str,
        kind: Kind,
        mode: Mode,
        items: int,
        size: int,
        largest: int = FRAME_BYTES,
    ) -> None:
        self.stream = stream
        self.name = name
        self.kind = kind
        self.mode = mode
        self.position = 0
        self.sent = self.received = self.stale = self.lost = 0
        self.failure: StreamFailed | None = None
        self.is_at_end = False
        self._items = items if kind is Kind.ENTITIES else None
        self._size = size
        self._largest = max(largest - OVERHEAD, 1)
        self._newest = 0
        self._wanted: Start | None = None
        self._starting: Start | None = None
        self._early: Credit | None = None
        self._current: Start | None = None
        self._is_fresh = True
        self._is_closing = False
        self._allowance = Allowance(Grant(0, 0), is_cut_anywhere=True)
        self._held: deque[Data | Skipped | Fault] = deque()
        self._window = Window(self._items, size)
        self._writes: deque[WData | Flush] = deque()
        self._came_to = 0
        self._end: int | None = None
        self._durable = 0

    # What comes

    @property
    def is_superseded(self) -> bool:
        """Whether what is read just now is of no more use."""
        return self._wanted is not None or self._is_closing or self.failure is not None

    @property
    def credit(self) -> Grant:
        """What the reader has granted and was not sent."""
        return Grant(self._allowance.items, self._allowance.size)

    def take(self, frame: StreamFrame) -> Fail | Fault | None:
        """Note a frame of this stream.

        Returns:
            What to send to a peer that breaks the protocol (the stream has failed), or
            writes where it may not (the context is over).
        """
        if self.failure is not None:
            return None
        if isinstance(frame, Fail):
            error = error_from(frame.problem, self.name, StreamFailed)
            assert isinstance(error, StreamFailed)
            self.failure = error
            return None
        if self._is_closing:
            return self._break("something came behind the end")
        if isinstance(frame, Close):
            self._is_closing = True
            return None
        if isinstance(frame, Read | Write | Cut):
            return self._take_start(frame)
        if not isinstance(frame, Credit | WData | Flush):
            return self._break(f"a reader sends no {type(frame).__name__}")
        if self._current is None or frame.context != self._current.context:
            return self._take_other(frame)
        return self._take_current(frame)

    def _take_start(self, frame: Start) -> Fail | None:
        if frame.context <= self._newest:
            return self._break("contexts count up")
        self._newest = frame.context
        self._wanted = frame
        return None

    def _take_other(self, frame: Credit | WData | Flush) -> Fail | None:
        if frame.context > self._newest:
            return self._break(f"{type(frame).__name__} belongs to no context")
        wanted = self._wanted or self._starting
        if wanted is None or frame.context != wanted.context:
            self.stale += 1
            return None
        if not isinstance(frame, Credit) or not isinstance(wanted, Read):
            return self._break(f"{type(frame).__name__} came before its context began")
        self._early = frame
        return None

    def _take_current(self, frame: Credit | WData | Flush) -> Fail | Fault | None:
        is_writing = isinstance(self._current, Write)
        if isinstance(frame, Credit):
            if is_writing:
                return self._break("a writer grants no credit")
            self._allowance.raise_to(Grant(frame.items, frame.size))
            return None
        if not is_writing:
            return self._break("something to write came where nothing is written")
        if isinstance(frame, WData):
            return self._take_written(frame)
        if self._writes and isinstance(last := self._writes[-1], Flush):
            self._writes.pop()
            frame = Flush(self.stream, frame.context, last.durable or frame.durable)
        self._writes.append(frame)
        return None

    def _take_written(self, frame: WData) -> Fail | Fault | None:
        sizes = [len(item) for item in frame.batch]
        if not sizes or (self.kind is Kind.BYTES and not all(sizes)):
            return self._break("nothing came to be written")
        if frame.offset != self._came_to:
            return self._break(f"offset {frame.offset} came, not {self._came_to}")
        if not self._window.arrive(sizes):
            return self._break("more came than was granted")
        self._came_to += self._length(frame.batch)
        if self._end is not None and self._came_to > self._end:
            reason = f"its end at {self._end} may not be moved"
            return self.faulted(UnsupportedOperation(self.name, reason))
        self._writes.append(frame)
        return None

    def _length(self, batch: list[bytes]) -> int:
        return sum(map(len, batch)) if self.kind is Kind.BYTES else len(batch)

    # What to do

    def ready(self) -> Data | Skipped | Fault | None:
        """What can be sent now of what was read."""
        if not self._held or self.is_superseded:
            return None
        frame = self._held[0]
        if isinstance(frame, Data) and not frame.eos:
            size = sum(map(len, frame.batch))
            if not self._allowance.fits(len(frame.batch), size):
                return None
            self._allowance.spend(len(frame.batch), size)
            self.sent += self._length(frame.batch)
        elif not isinstance(frame, Skipped):
            self._current = None
        return self._held.popleft()

    def todo(self) -> Task | None:
        """What to do next with the source; None until more comes."""
        if self._writes:
            frame = self._writes[0]
            if isinstance(frame, WData):
                return Store(frame.batch)
            return Sync(frame.durable)
        if self._is_closing:
            return Finish()
        if self._wanted is not None:
            return Begin(self._wanted)
        is_reading = isinstance(self._current, Read)
        if not is_reading or self._held or self.is_at_end:
            return None
        items, size = self._allowance.items, self._allowance.size
        if items < 1 or size < 1:
            return None
        return Give(items, min(size, TURN_BYTES))

    # Contexts

    @property
    def moves(self) -> bool:
        """Whether the reader may go anywhere."""
        return bool(self.mode & (Mode.SEEK | Mode.SEEK_TIME))

    def begin(self, task: Begin) -> UnsupportedOperation | None:
        """A context is about to begin; why it may not, or None."""
        self._wanted = self._current = None
        self._starting = task.start
        self._held.clear()
        self.is_at_end = False
        return self._refusal(task.start)

    def _refusal(self, start: Start) -> UnsupportedOperation | None:
        needed = Mode.READ if isinstance(start, Read) else Mode.WRITE
        if isinstance(start, Cut):
            needed = Mode.TRIM if start.edge == Edge.BEFORE else Mode.TRUNCATE
        elif not self._is_here(start):
            needed |= self._way_to(start)
        if missing := needed & ~self.mode:
            reason = f"it is not published for {described(missing)}"
            return UnsupportedOperation(self.name, reason)
        return None

    def _is_here(self, start: Read | Write) -> bool:
        if start.whence == Whence.ABSOLUTE:
            return start.position == self.position and not self._is_fresh
        if start.whence == Whence.START:
            return start.position == 0 and self._is_fresh
        appends = isinstance(start, Write) and self.mode & Mode.EXTEND
        return bool(appends) and start.whence == Whence.END and start.position == 0

    def _way_to(self, start: Read | Write) -> Mode:
        if start.whence == Whence.TIME:
            return Mode.SEEK_TIME
        if start.whence == Whence.END:
            return Mode.SEEK_ON
        if self._is_fresh:
            return Mode.SEEK_ON
        if start.whence == Whence.START:
            return Mode.SEEK_BACK
        is_back = start.position < self.position
        return Mode.SEEK_BACK if is_back else Mode.SEEK_ON

    def began(self, task: Begin, position: int, ends: Ends) -> Started:
        """A context has begun at this position."""
        start = self._current = task.start
        self._starting = None
        self._is_fresh = False
        self.position = self._came_to = self._durable = position
        first = Grant(0, 0)
        if isinstance(start, Read):
            is_bytes = self.kind is Kind.BYTES
            granted = Grant(start.items, start.size)
            self._allowance = Allowance(granted, is_cut_anywhere=is_bytes)
            early = self._early
            if early is not None and early.context == start.context:
                self._allowance.raise_to(Grant(early.items, early.size))
        elif isinstance(start, Write):
            self._window = Window(self._items, self._size)
            self._end = None if self.mode & Mode.EXTEND else ends.end
            first = self._window.granted
        return Started(
            self.stream, start.context, position, ends.first, ends.end, *first
        )

    def faulted(self, error: ContextError) -> Fault | None:
        """The present context, or the one that was to begin, is over."""
        over = self._starting or self._current
        if over is None:
            return None
        context = over.context
        self._current = self._starting = None
        self._writes.clear()
        self._held.clear()
        return Fault(self.stream, context, problem_of(error))

    # Reading

    def gave(self, batch: Batch) -> None:
        """This was read; nothing means that the end is reached."""
        current = self._current
        if not isinstance(current, Read):
            return
        if batch.lost:
            lost = Skipped(self.stream, current.context, self.position, batch.lost)
            self._held.append(lost)
            self.position += batch.lost
            self.lost += batch.lost
        if batch.items:
            self._hold(batch, current.context)
        elif not batch.lost:
            self._reach_end(current)

    def _reach_end(self, current: Read) -> None:
        if not current.eos:
            self.is_at_end = True
            return
        end = Data(self.stream, current.context, self.position, [], eos=True)
        self._held.append(end)

    def grew(self) -> None:
        """There may be more behind the end."""
        self.is_at_end = False

    def _hold(self, batch: Batch, context: int) -> None:
        for first, last in _turns(batch, self._allowance.turn, self._largest):
            items = list(batch.items[first:last])
            if len(items[0]) > self._largest:
                return self._hold_fault(len(items[0]), context)
            places = None if batch.positions is None else batch.positions[first:last]
            marks = None if batch.marks is None else list(batch.marks[first:last])
            data = Data(
                self.stream,
                context,
                self.position if places is None else places[0],
                items,
                positions=None if places is None else list(places),
                marks=marks,
            )
            self._held.append(data)
            self.position = (
                self.position + self._length(items)
                if places is None
                else places[-1] + 1
            )
        return None

    def _hold_fault(self, size: int, context: int) -> None:
        """Tell of an item that cannot be sent, behind those before it."""
        reason = (
            f"the item behind position {self.position - 1} has {size} bytes, and a"
            f" frame takes {self._largest}; publish smaller ones, or raise frame_bytes"
        )
        error = ItemTooLarge(self.name, reason, size=size, position=self.position)
        self._held.append(Fault(self.stream, context, problem_of(error)))

    # Writing

    def stored(self, task: Store) -> list[StreamFrame]:
        """This was written."""
        self._writes.popleft()
        size = sum(map(len, task.batch))
        self._window.use(len(task.batch), size)
        self.position += self._length(task.batch)
        self.received += self._length(task.batch)
        grant = self._window.renew()
        if grant is None or self._current is None:
            return []
        context = self._current.context
        return [self._ack(context), Credit(self.stream, context, *grant)]

    def synced(self, task: Sync) -> list[StreamFrame]:
        """What was written is stored, or durable."""
        frame = self._writes.popleft()
        if task.durable:
            self._durable = self.position
        return [self._ack(frame.context)]

    def _ack(self, context: int) -> Ack:
        return Ack(self.stream, context, self.position, self._durable)

    # The end

    def fail(self, error: StreamFailed) -> Fail:
        """The stream is of no more use, by what happened here."""
        self.failure = self.failure or error
        return Fail(self.stream, problem_of(error))

    def _break(self, reason: str) -> Fail:
        return self.fail(StreamProtocolError(self.name, reason))


def _turns(batch: Batch, turn: int, frame: int) -> Iterator[tuple[int, int]]:
    """Ranges of items that fit a turn and a frame together, or one alone."""
    if not batch.marks and _fits(batch.items, turn, frame):
        yield 0, len(batch.items)
        return
    first = size = 0
    for index, item in enumerate(batch.items):
        more = len(item) + (len(batch.marks[index]) if batch.marks else 0)
        size += more
        is_full = size > turn or size + (index - first + 1) * PER_ITEM > frame
        if is_full and index > first:
            yield first, index
            first, size = index, more
    if batch.items:
        yield first, len(batch.items)


def _fits(items: Sequence[bytes], turn: int, frame: int) -> bool:
    size = sum(map(len, items))
    return 0 < size <= turn and size + len(items) * PER_ITEM <= frame
