"""The side of a stream that has opened it, as a machine without input and output.

Methods give the frames to send; `take` is given what comes. A context begins with
`read`, `write` or `cut`; what still comes of older ones is counted and dropped.
"""

from __future__ import annotations

import enum

from pichannels.remote.buffers import ByteBuffer, Entry, ItemBuffer
from pichannels.remote.entities import Gap
from pichannels.remote.errors import (
    ContextError,
    StreamFailed,
    StreamProtocolError,
    error_from,
    problem_of,
)
from pichannels.remote.frames import (
    Ack,
    Closed,
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
from pichannels.remote.modes import Edge, Ends, Kind, Place, Whence
from pichannels.remote.windows import Allowance, Grant, Window

__all__ = ["Activity", "Consumer"]


class Activity(enum.Enum):
    """What the present context does."""

    NONE = "none"
    READING = "reading"
    WRITING = "writing"
    CUTTING = "cutting"


class Consumer:
    """One stream that was opened.

    Args:
        stream: its number on the link.
        name: for errors.
        kind: what it is made of.
        items: how many items may wait here unread; 0 asks for each.
        size: how many bytes.

    Attributes:
        activity: what the context does; NONE before the first, and after a fault.
        position: of the next element to be read or written, or None until the context
            has started.
        mark: what the source gave with the element before that.
        fault: why the last context ended, or None.
        failure: why the stream is of no more use, or None.
        is_closed: the other side has closed the source.
        stored, durable: up to where the other side has what was written.
        stale: how many frames of older contexts came.
        gaps: how many items this reader was too slow for.
        ends: where the sequence began and ended when the context started.
    """

    def __init__(
        self, stream: int, name: str, kind: Kind, items: int, size: int
    ) -> None:
        self.stream = stream
        self.name = name
        self.kind = kind
        self.activity = Activity.NONE
        self.position: int | None = None
        self.mark = ""
        self.fault: ContextError | None = None
        self.failure: StreamFailed | None = None
        self.is_closed = False
        self.stored = self.durable = 0
        self.stale = self.gaps = 0
        self.ends = Ends()
        self._items = items if kind is Kind.ENTITIES else None
        self._size = size
        self._context = 0
        self._place = Place()
        self._ends_at_end = True
        self._has_eos = False
        self._came_to = 0
        self._window = Window(self._items, size)
        self._allowance = Allowance(Grant(0, 0), is_cut_anywhere=True)
        self._entries = ItemBuffer()
        self._bytes = ByteBuffer()

    # Contexts

    @property
    def is_started(self) -> bool:
        """Whether the publisher has begun the present context."""
        return self.position is not None

    @property
    def is_ended(self) -> bool:
        """Whether all was read up to the end, so that nothing follows."""
        return self._has_eos and not self.waiting

    @property
    def follows(self) -> bool:
        """Whether the context goes on at the end."""
        return not self._ends_at_end

    @property
    def waiting(self) -> int:
        """How many items, or bytes, have come and were not read yet."""
        return len(self._bytes if self.kind is Kind.BYTES else self._entries)

    @property
    def is_ready(self) -> bool:
        """Whether a reader has something to take, be it the end or an error."""
        return self.waiting > 0 or self._has_eos or self.is_broken

    @property
    def is_broken(self) -> bool:
        """Whether there is an error to raise."""
        return self.fault is not None or self.failure is not None

    @property
    def horizon(self) -> int:
        """Up to where the publisher may have sent, of consecutive elements."""
        granted, used = self._window.granted, self._window.used
        free = granted[self.kind is Kind.BYTES] - used[self.kind is Kind.BYTES]
        return (self.position or 0) + free

    def read(self, place: Place, *, eos: bool) -> Read:
        """Begin to read at a place; what was read ahead is dropped.

        Args:
            place: where.
            eos: whether the end ends the context; otherwise it waits there.
        """
        self._begin(Activity.READING)
        self._place = place
        self._ends_at_end = eos
        return Read(
            self.stream,
            self._context,
            place.position,
            place.whence,
            place.mark,
            eos,
            *self._window.granted,
        )

    def read_again(self) -> Read | None:
        """Begin where the reader stands, as the link was lost; None without need."""
        if self.activity is not Activity.READING or self._has_eos or self.is_broken:
            return None
        if self.position is None:
            return self.read(self._place, eos=self._ends_at_end)
        place = Place(Whence.ABSOLUTE, self.position, self.mark)
        return self.read(place, eos=self._ends_at_end)

    def write(self, place: Place) -> Write:
        """Begin to write at a place."""
        self._begin(Activity.WRITING)
        return Write(self.stream, self._context, place.position, place.whence)

    def cut(self, edge: Edge, position: int) -> Cut:
        """Make a position the start or the end."""
        self._begin(Activity.CUTTING)
        return Cut(self.stream, self._context, edge, position)

    def rest(self) -> None:
        """Leave the present context; another one begins when it is known where."""
        self._begin(Activity.NONE)

    def drop(self, fault: ContextError) -> None:
        """The present context is over, for what is known here."""
        self._begin(Activity.NONE)
        self.fault = fault

    def _begin(self, activity: Activity) -> None:
        self._context += 1
        self.activity = activity
        self.position = None
        self.mark = ""
        self.fault = None
        self.stored = self.durable = 0
        self._has_eos = False
        self._window = Window(self._items, self._size)
        self._entries.clear()
        self._bytes.clear()

    # Reading

    def take_bytes(self, most: int) -> bytes:
        """Bytes that have come; they are read now."""
        data = self._bytes.take(most)
        if not data:
            return data
        self._window.use(0, len(data))
        self.position = (self.position or 0) + len(data)
        return data

    def put_back(self, data: bytes) -> None:
        """These bytes, the last that were taken, are unread again."""
        if not data:
            return
        self._bytes.put_back(data)
        self._window.use(0, -len(data))
        self.position = (self.position or 0) - len(data)

    def peek(self, most: int) -> list[Entry]:
        """The next items; they are read only with `take_items`."""
        return self._entries.peek(most)

    def peek_data(self, most: int) -> list[bytes | Gap]:
        """As `peek`, without the places."""
        return self._entries.data(most)

    def take_items(self, count: int) -> None:
        """The next items are read."""
        if count:
            taken = self._entries.take(count)
            self._window.use(taken.items, taken.size)
            self.position = taken.last.after
            self.mark = taken.last.mark

    def renew(self) -> Credit | None:
        """A higher credit, once enough was read; else None."""
        return self._credit(self._window.renew())

    def demand(self, items: int) -> Credit | None:
        """The credit that a reader of so many items needs, if it is not there yet."""
        return self._credit(self._window.demand(items))

    def _credit(self, grant: Grant | None) -> Credit | None:
        if grant is None or self._has_eos or self.activity is not Activity.READING:
            return None
        return Credit(self.stream, self._context, *grant)

    # Writing

    @property
    def room(self) -> int:
        """How many bytes may be written now."""
        can = self.activity is Activity.WRITING and self.is_started
        return self._allowance.size if can and self._allowance.items else 0

    def fits(self, items: int, size: int) -> bool:
        """Whether items of this size together may be written now."""
        can = self.activity is Activity.WRITING and self.is_started
        return can and self._allowance.fits(items, size)

    def push(self, batch: list[bytes]) -> WData:
        """Write elements that fit."""
        assert self.position is not None
        size = sum(map(len, batch))
        self._allowance.spend(len(batch), size)
        offset = self.position
        self.position += size if self.kind is Kind.BYTES else len(batch)
        return WData(self.stream, self._context, offset, batch)

    def flush(self, durable: bool) -> Flush:
        """Ask to be told, by `stored` and `durable`, when all of it is."""
        return Flush(self.stream, self._context, durable)

    # What comes

    def take(self, frame: StreamFrame) -> Fail | None:
        """Note a frame of this stream.

        Returns:
            What to send to a publisher that breaks the protocol: the stream has failed.
        """
        if self.failure is not None or self.is_closed:
            return None
        if isinstance(frame, Fail):
            error = error_from(frame.problem, self.name, StreamFailed)
            assert isinstance(error, StreamFailed)
            self.fail(error)
            return None
        if isinstance(frame, Closed):
            self.is_closed = True
            return None
        if getattr(frame, "context", None) != self._context:
            return self._take_other(frame)
        return self._take_current(frame)

    def _take_other(self, frame: StreamFrame) -> Fail | None:
        if getattr(frame, "context", self._context) < self._context:
            self.stale += 1
            return None
        return self._break(f"{type(frame).__name__} belongs to no context")

    def _take_current(self, frame: StreamFrame) -> Fail | None:
        if isinstance(frame, Data):
            return self._take_data(frame)
        if isinstance(frame, Started):
            return self._take_started(frame)
        if isinstance(frame, Credit):
            self._allowance.raise_to(Grant(frame.items, frame.size))
        elif isinstance(frame, Ack):
            self.stored, self.durable = frame.stored, frame.durable
        elif isinstance(frame, Fault):
            error = error_from(frame.problem, self.name, ContextError)
            assert isinstance(error, ContextError)
            self.fault = error
        elif isinstance(frame, Skipped):
            return self._take_skipped(frame)
        else:
            return self._break(f"a publisher sends no {type(frame).__name__}")
        return None

    def _take_started(self, frame: Started) -> Fail | None:
        if self.is_started:
            return self._break("a context started twice")
        self.position = self._came_to = frame.position
        self.stored = self.durable = frame.position
        self.ends = Ends(frame.first, frame.end)
        first = Grant(frame.items, frame.size)
        self._allowance = Allowance(first, is_cut_anywhere=self.kind is Kind.BYTES)
        return None

    def _take_data(self, frame: Data) -> Fail | None:
        if not self._may_come():
            return self._break("data came outside of a context that reads")
        if not self._window.arrive(list(map(len, frame.batch))):
            return self._break("more came than was granted")
        places = frame.positions
        if places is None and frame.batch and frame.position != self._came_to:
            return self._break(
                f"position {frame.position} came in the place of {self._came_to}"
            )
        for extra in (places, frame.marks):
            if extra is not None and len(extra) != len(frame.batch):
                return self._break("a batch has places for other items")
        if self.kind is Kind.BYTES:
            self._put_bytes(frame.batch)
        else:
            self._put_items(frame)
        self._has_eos = frame.eos
        return None

    def _may_come(self) -> bool:
        is_reading = self.activity is Activity.READING and self.is_started
        return is_reading and not self._has_eos and self.fault is None

    def _put_bytes(self, batch: list[bytes]) -> None:
        for data in batch:
            self._bytes.put(data)
            self._came_to += len(data)

    def _put_items(self, frame: Data) -> None:
        count = len(frame.batch)
        places = frame.positions or range(frame.position, frame.position + count)
        self._entries.put(places, frame.batch, frame.marks)
        if count:
            self._came_to = places[-1] + 1

    def _take_skipped(self, frame: Skipped) -> Fail | None:
        if not self._may_come() or self.kind is Kind.BYTES or frame.count < 1:
            return self._break("a gap came where none can be")
        if frame.position != self._came_to:
            return self._break(f"a gap at {frame.position}, not at {self._came_to}")
        self._entries.put_gap(Gap(frame.position, frame.count))
        self._came_to = frame.position + frame.count
        self.gaps += frame.count
        return None

    # The end

    def fail(self, error: StreamFailed) -> None:
        """The stream is of no more use; the first reason is the one."""
        if self.failure is None:
            self.failure = error

    def _break(self, reason: str) -> Fail:
        error = StreamProtocolError(self.name, reason)
        self.fail(error)
        return Fail(self.stream, problem_of(error))
