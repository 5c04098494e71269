"""The rules of the protocol, driven by random schedules and by hostile peers."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from pichannels.errors import DecodeError
from pichannels.remote import (
    START,
    Batch,
    Ends,
    Kind,
    Mode,
    Place,
    StreamPositionError,
    StreamProtocolError,
    Whence,
)
from pichannels.remote.consumer import Activity, Consumer
from pichannels.remote.errors import Problem
from pichannels.remote.frames import (
    Ack,
    Close,
    Closed,
    Credit,
    Cut,
    Data,
    EndsAre,
    Fail,
    Fault,
    Flush,
    Frame,
    Hello,
    Ping,
    Read,
    Skipped,
    Started,
    StreamFrame,
    WData,
    Write,
    decode_frame,
    encode_frame,
)
from pichannels.remote.modes import Edge
from pichannels.remote.publisher import Begin, Finish, Give, Publisher, Store, Sync
from pichannels.remote.turns import Turns
from pichannels.remote.windows import Allowance, Grant, Window

ALL = Mode(sum(Mode) & ~Mode.FIXED)


class Pair:
    """A reader and a publisher of bytes or of items, with frames on their way."""

    def __init__(self, kind: Kind, sizes: list[int], items: int, size: int) -> None:
        self.kind = kind
        self.source = [bytes([n % 256]) * length for n, length in enumerate(sizes)]
        if kind is Kind.BYTES:
            self.source = [bytes([b]) for b in b"".join(self.source)]
        self.reader = Consumer(1, "s", kind, items, size)
        self.publisher = Publisher(1, "s", kind, ALL, items, size)
        self.to_publisher: deque[StreamFrame] = deque()
        self.to_reader: deque[StreamFrame] = deque()
        self.cursor = 0
        self.read: list[bytes] = []
        self.read_from = 0

    def send(self, frame: StreamFrame | None) -> None:
        if frame is not None:
            self.to_publisher.append(frame)

    def seek(self, position: int) -> None:
        self.read_from, self.read = position, []
        self.send(self.reader.read(Place(Whence.ABSOLUTE, position), eos=True))

    def deliver(self, to_publisher: bool) -> None:
        queue = self.to_publisher if to_publisher else self.to_reader
        if queue:
            side = self.publisher if to_publisher else self.reader
            frame = decode_frame(encode_frame(queue.popleft()))
            assert isinstance(frame, StreamFrame)
            assert side.take(frame) is None

    def publish(self) -> None:
        frame = self.publisher.ready()
        if frame is not None:
            self.to_reader.append(frame)
            return
        task = self.publisher.todo()
        if isinstance(task, Begin):
            assert self.publisher.begin(task) is None
            self.cursor = task.place.position
            ends = Ends(0, len(self.source))
            self.to_reader.append(self.publisher.began(task, self.cursor, ends))
        elif isinstance(task, Give):
            self.publisher.gave(self._batch(task))

    def _batch(self, task: Give) -> Batch:
        if self.kind is Kind.BYTES:
            data = b"".join(self.source[self.cursor : self.cursor + task.size])
            self.cursor += len(data)
            return Batch([data] if data else [])
        found: list[bytes] = []
        left = task.size
        for item in self.source[self.cursor : self.cursor + task.items]:
            left -= len(item)
            if left < 0 and found:
                break
            found.append(item)
        self.cursor += len(found)
        return Batch(found)

    def take(self, most: int) -> None:
        if self.kind is Kind.BYTES:
            self.read += [bytes([b]) for b in self.reader.take_bytes(most)]
        else:
            entries = self.reader.peek(most)
            self.reader.take_items(len(entries))
            self.read += [entry.data for entry in entries if entry.data != b"never"]  # type: ignore[misc]
        self.send(self.reader.renew())

    def check(self) -> None:
        expected = self.source[self.read_from : self.read_from + len(self.read)]
        assert self.read == expected
        assert self.reader.failure is None and self.publisher.failure is None

    def finish(self) -> None:
        """Let all go its way until the end is read."""
        for _ in range(10_000):
            if self.reader.is_ended:
                break
            self.deliver(True)
            self.publish()
            self.deliver(False)
            if self.reader.is_started and not self.reader.waiting:
                self.send(self.reader.demand(1))
            self.take(3)
        assert self.reader.is_ended
        assert self.read == self.source[self.read_from :]


STEPS = st.lists(
    st.one_of(
        st.sampled_from(["there", "back", "publish", "demand"]),
        st.tuples(st.just("take"), st.integers(1, 20)),
        st.tuples(st.just("seek"), st.integers(0, 30)),
    ),
    max_size=120,
)


@given(
    kind=st.sampled_from(Kind),
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=30),
    items=st.integers(0, 12),
    size=st.integers(1, 100),
    steps=STEPS,
)
@settings(max_examples=120, deadline=None)
def test_any_schedule_gives_the_sequence(
    kind: Kind, sizes: list[int], items: int, size: int, steps: list[Any]
) -> None:
    pair = Pair(kind, sizes, items, size)
    pair.seek(0)
    for step in steps:
        if step == "there" or step == "back":
            pair.deliver(step == "there")
        elif step == "publish":
            pair.publish()
        elif step == "demand":
            pair.send(pair.reader.demand(1))
        elif step[0] == "take":
            pair.take(step[1])
        else:
            pair.seek(min(step[1], len(pair.source)))
        pair.check()
        if kind is Kind.ENTITIES:
            assert pair.reader.waiting <= max(items, 1)
        else:
            assert pair.reader.waiting <= size
    pair.finish()


SMALL = st.integers(0, 5)
BATCH = st.lists(st.binary(max_size=40), max_size=4)
FRAMES: st.SearchStrategy[StreamFrame] = st.one_of(
    st.builds(
        Read,
        st.just(1),
        SMALL,
        SMALL,
        st.sampled_from(Whence),
        st.just(""),
        st.booleans(),
        SMALL,
        st.integers(0, 100),
    ),
    st.builds(Write, st.just(1), SMALL, SMALL, st.sampled_from(Whence)),
    st.builds(Cut, st.just(1), SMALL, st.sampled_from(Edge), SMALL),
    st.builds(Credit, st.just(1), SMALL, st.integers(0, 20), st.integers(0, 2**40)),
    st.builds(Data, st.just(1), SMALL, SMALL, BATCH, st.booleans()),
    st.builds(Skipped, st.just(1), SMALL, SMALL, SMALL),
    st.builds(WData, st.just(1), SMALL, SMALL, BATCH),
    st.builds(Flush, st.just(1), SMALL, st.booleans()),
    st.builds(Started, st.just(1), SMALL, SMALL, SMALL, SMALL, SMALL, SMALL),
    st.builds(Ack, st.just(1), SMALL, SMALL, SMALL),
    st.builds(Fault, st.just(1), SMALL, st.just(Problem("x", "y", {"first": 1}))),
    st.builds(EndsAre, st.just(1), SMALL, SMALL, SMALL),
    st.builds(Fail, st.just(1), st.just(Problem("failed", "y", {"a b": 1}))),
    st.just(Close(1)),
    st.just(Closed(1)),
)


@given(kind=st.sampled_from(Kind), frames=st.lists(FRAMES, max_size=40))
@settings(max_examples=150, deadline=None)
def test_a_hostile_reader_ends_its_stream_at_most(
    kind: Kind, frames: list[StreamFrame]
) -> None:
    publisher = Publisher(1, "s", kind, ALL, 3, 50)
    for frame in frames:
        publisher.take(frame)
        _work(publisher)
        assert sum(len(w.batch) for w in publisher._writes if isinstance(w, WData)) <= 4
        assert len(publisher._writes) <= 8
        assert len(publisher._held) <= 3


def _work(publisher: Publisher) -> None:
    """What a driver does, for a source that has one item at each position."""
    while publisher.ready() is not None:
        pass
    task = publisher.todo()
    if isinstance(task, Begin):
        if publisher.begin(task) is None and task.place.whence is not Whence.TIME:
            publisher.began(task, task.place.position, Ends(0, 100))
        else:
            publisher.faulted(StreamPositionError("s", "none"))
    elif isinstance(task, Give):
        publisher.gave(Batch([b"x" * min(task.size, 5)]))
    elif isinstance(task, Store):
        publisher.stored(task)
    elif isinstance(task, Sync):
        publisher.synced(task)
    else:
        assert task is None or isinstance(task, Finish)


@given(kind=st.sampled_from(Kind), frames=st.lists(FRAMES, max_size=40))
@settings(max_examples=150, deadline=None)
def test_a_hostile_publisher_ends_its_stream_at_most(
    kind: Kind, frames: list[StreamFrame]
) -> None:
    reader = Consumer(1, "s", kind, 3, 50)
    reader.read(Place(), eos=False)
    for frame in frames:
        reader.take(frame)
        assert reader.waiting <= (50 if kind is Kind.BYTES else 3 + reader.gaps)
    if reader.failure is not None:
        assert not isinstance(reader.take(Started(1, 1, 0, 0, 0, 0, 0)), Fail)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_frame_or_told_not_to_be(data: bytes) -> None:
    try:
        frame = decode_frame(data)
    except DecodeError:
        return
    assert decode_frame(encode_frame(frame)) == frame


@given(FRAMES)
def test_frames_come_as_they_were_sent(frame: Frame) -> None:
    assert decode_frame(encode_frame(frame)) == frame


@pytest.mark.parametrize(
    "data",
    [
        [99, 1],
        [9, 1, 1],
        [9, -1, 1, 0, []],
        [8, 1, 1, 2**63, 0],
        [9, 1, 1, 0, ["text"]],
        [2, 1, "n" * 2000, None, 1],
        {"a": 1},
        7,
    ],
    ids=str,
)
def test_what_is_no_frame_is_refused(data: Any) -> None:
    with pytest.raises(DecodeError):
        decode_frame(msgspec.msgpack.encode(data))


def test_deeply_nested_data_is_refused() -> None:
    with pytest.raises(DecodeError):
        decode_frame(b"\x91" * 100_000 + b"\xc0")


# Rules one by one


def reading() -> Consumer:
    reader = Consumer(1, "s", Kind.ENTITIES, 2, 100)
    reader.read(Place(START), eos=True)
    return reader


def started() -> Consumer:
    reader = reading()
    reader.take(Started(1, 1, 0, 0, 9, 0, 0))
    return reader


@pytest.mark.parametrize(
    ("reader", "frames"),
    [
        (reading, [Data(1, 1, 0, [b"a"])]),
        (started, [Data(1, 1, 0, [b"a", b"b", b"c"])]),
        (started, [Data(1, 1, 0, [b"x" * 101, b"y"])]),
        (started, [Data(1, 1, 0, [], True), Data(1, 1, 0, [b"a"])]),
        (started, [Data(1, 1, 5, [b"a"])]),
        (started, [Data(1, 1, 0, [b"a"], False, [0, 1])]),
        (started, [Started(1, 1, 0, 0, 0, 0, 0)]),
        (started, [Data(1, 2, 0, [b"a"])]),
        (started, [Skipped(1, 1, 3, 1)]),
        (started, [Flush(1, 1, True)]),
    ],
    ids=[
        "data before it started",
        "more items than granted",
        "more bytes than granted",
        "data behind the end",
        "data of another position",
        "places for other items",
        "started twice",
        "a context of the future",
        "a gap elsewhere",
        "a frame of readers",
    ],
)
def test_a_publisher_that_breaks_the_protocol_ends_the_stream(
    reader: Any, frames: list[StreamFrame]
) -> None:
    consumer: Consumer = reader()
    answers = [consumer.take(frame) for frame in frames]
    assert isinstance(answers[-1], Fail)
    assert isinstance(consumer.failure, StreamProtocolError)


def test_what_is_of_an_older_context_is_dropped_and_counted() -> None:
    reader = started()
    reader.read(Place(Whence.ABSOLUTE, 5), eos=True)
    assert reader.take(Data(1, 1, 0, [b"a", b"b"])) is None
    assert (reader.stale, reader.waiting, reader.activity) == (1, 0, Activity.READING)


def writing() -> Publisher:
    publisher = Publisher(1, "s", Kind.BYTES, ALL, 1, 10)
    publisher.take(Write(1, 1, 0, START))
    task = publisher.todo()
    assert isinstance(task, Begin)
    publisher.begin(task)
    publisher.began(task, 0, Ends(0, 0))
    return publisher


@pytest.mark.parametrize(
    "frame",
    [
        WData(1, 1, 3, [b"abc"]),
        WData(1, 1, 0, [b"x" * 11]),
        WData(1, 1, 0, []),
        WData(1, 1, 0, [b""]),
        WData(1, 2, 0, [b"a"]),
        Write(1, 1, 0, START),
        Credit(1, 1, 5, 5),
        Ack(1, 1, 5, 5),
    ],
    ids=[
        "another offset",
        "more than granted",
        "nothing",
        "nothing in a piece",
        "a context of the future",
        "a context twice",
        "credit from a writer",
        "a frame of publishers",
    ],
)
def test_a_peer_that_breaks_the_protocol_ends_the_stream(frame: StreamFrame) -> None:
    publisher = writing()
    assert isinstance(publisher.take(frame), Fail)
    assert publisher.todo() is None


def test_what_was_written_is_stored_before_anything_else() -> None:
    publisher = writing()
    publisher.take(WData(1, 1, 0, [b"abc"]))
    publisher.take(Read(1, 2, 0, START, "", True, 0, 10))
    publisher.take(Close(1))
    task = publisher.todo()
    assert task == Store([b"abc"])
    publisher.stored(task)
    assert isinstance(publisher.todo(), Finish)


def test_flushes_are_answered_together_and_in_their_place() -> None:
    publisher = writing()
    publisher.take(WData(1, 1, 0, [b"ab"]))
    for durable in (False, True, False):
        publisher.take(Flush(1, 1, durable))
    publisher.stored(Store([b"ab"]))
    task = publisher.todo()
    assert task == Sync(True)
    assert publisher.synced(task) == [Ack(1, 1, 2, 2)]
    assert publisher.todo() is None


def test_a_forged_seek_is_refused_by_the_publisher() -> None:
    mode = Mode.READ | Mode.SEEK_ON
    publisher = Publisher(1, "s", Kind.ENTITIES, mode, 1, 10)
    publisher.take(Read(1, 1, 5, Whence.ABSOLUTE, "", True, 1, 10))
    task = publisher.todo()
    assert isinstance(task, Begin) and publisher.begin(task) is None
    publisher.began(task, 5, Ends(0, 9))
    for start in (
        Read(1, 2, 0, Whence.ABSOLUTE, "", True, 1, 10),
        Read(1, 3, 0, Whence.START, "", True, 1, 10),
        Read(1, 4, 0, Whence.TIME, "", True, 1, 10),
        Write(1, 5, 0, Whence.ABSOLUTE),
        Cut(1, 6, Edge.AFTER, 0),
    ):
        publisher.take(start)
        task = publisher.todo()
        assert isinstance(task, Begin)
        assert publisher.begin(task) is not None


def test_an_item_that_no_frame_holds_is_told_behind_those_before() -> None:
    publisher = Publisher(1, "s", Kind.ENTITIES, ALL, 9, 10**6, largest=5000)
    publisher.take(Read(1, 1, 0, START, "", True, 9, 10**6))
    task = publisher.todo()
    assert isinstance(task, Begin)
    publisher.begin(task)
    publisher.began(task, 0, Ends(0, 2))
    publisher.gave(Batch([b"a" * 300_000]))
    frame = publisher.ready()
    assert isinstance(frame, Fault)
    assert (frame.problem.code, frame.problem.facts["size"]) == ("too_large", 300_000)


def test_credits_count_once_and_never_shrink() -> None:
    allowance = Allowance(Grant(5, 100), is_cut_anywhere=False)
    allowance.spend(5, 40)
    for limit in (Grant(8, 150), Grant(8, 150), Grant(6, 90)):
        allowance.raise_to(limit)
    assert (allowance.items, allowance.size) == (3, 110)


def test_a_window_is_granted_anew_when_half_of_it_is_free() -> None:
    window = Window(10, 1000)
    window.arrive([1] * 10)
    window.use(4, 4)
    assert window.renew() is None
    window.use(1, 1)
    assert window.renew() == Grant(15, 1005)


def test_streams_take_turns_behind_control() -> None:
    turns = Turns()
    turns.add_data(1, Ping())
    turns.add_data(2, Ping())
    turns.add_control(Hello(1, 1))
    turns.add_last(1, Close(1))
    order: list[int | None] = []
    while (found := turns.next()) is not None:
        order.append(found[1])
        if found[1] == 1 and len(order) < 4:
            turns.add_data(1, Ping())
    assert order == [None, 1, None, 2, 1]
