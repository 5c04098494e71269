"""The frames of the protocol: MessagePack arrays that begin with their kind.

`docs/remote.md` has the table of all of them, and who sends which. Numbers of
positions, credits and contexts are checked when a frame is decoded.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from pichannels.errors import DecodeError
from pichannels.remote.errors import Problem
from pichannels.remote.modes import Edge, Kind, Whence

__all__ = [
    "FRAME_BYTES",
    "OVERHEAD",
    "PER_ITEM",
    "SMALLEST_FRAME",
    "TURN_BYTES",
    "VERSION",
    "Ack",
    "Ask",
    "Bye",
    "Call",
    "CallFault",
    "CallResult",
    "Cancel",
    "Close",
    "Closed",
    "Credit",
    "Cut",
    "Data",
    "EndsAre",
    "Fail",
    "Fault",
    "Flush",
    "Frame",
    "Hello",
    "List",
    "Listed",
    "ListedName",
    "Open",
    "Opened",
    "Ping",
    "Pong",
    "Read",
    "Refused",
    "Skipped",
    "Started",
    "StreamFrame",
    "WData",
    "Write",
    "decode_frame",
    "encode_frame",
]

VERSION: Final = 1
FRAME_BYTES: Final = 4 * 2**20
"""How large a frame may be, where nobody says otherwise."""
TURN_BYTES: Final = 256 * 2**10
"""How much data one stream sends at a turn, unless one item alone is larger."""
SMALLEST_FRAME: Final = 4096
"""What each side has to take at least."""
OVERHEAD: Final = 2048
"""More than what a frame adds to the one item in it."""
PER_ITEM: Final = 32
"""What each item adds at most to a frame, beside its bytes and its mark."""

Number = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
Signed = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
Name = Annotated[str, msgspec.Meta(max_length=1000)]
Mark = Annotated[str, msgspec.Meta(max_length=500)]


class Frame(msgspec.Struct, array_like=True, frozen=True):
    """What travels on a link."""


class StreamFrame(Frame, frozen=True):
    """What belongs to one stream of the link."""

    stream: Number


class Hello(Frame, frozen=True, tag=1):
    """The first frame of each side: its version, and the largest frame it takes."""

    version: int
    frame_bytes: Number
    peer: Name = ""


class Open(StreamFrame, frozen=True, tag=2):
    """Open a name; `mode` are the flags that are needed."""

    name: Name
    kind: Kind | None
    mode: Number


class Opened(StreamFrame, frozen=True, tag=3):
    """It is open: for what, and how far the publisher reads ahead at most."""

    kind: Kind
    mode: Number
    epoch: str
    version: str
    first: Signed | None
    end: Signed | None
    items: Number
    size: Number


class Refused(StreamFrame, frozen=True, tag=4):
    """It is not open, and why."""

    problem: Problem


class Read(StreamFrame, frozen=True, tag=5):
    """Begin a context that reads, with its first credit."""

    context: Number
    position: Signed
    whence: Whence
    mark: Mark
    eos: bool
    items: Number
    size: Number


class Write(StreamFrame, frozen=True, tag=6):
    """Begin a context that writes."""

    context: Number
    position: Signed
    whence: Whence


class Started(StreamFrame, frozen=True, tag=7):
    """A context has begun here; for writing with its first credit."""

    context: Number
    position: Signed
    first: Signed | None
    end: Signed | None
    items: Number
    size: Number


class Credit(StreamFrame, frozen=True, tag=8):
    """So much may be sent in this context, counted from its start."""

    context: Number
    items: Number
    size: Number


class Data(StreamFrame, frozen=True, tag=9):
    """Elements from a position on; nothing follows `eos` in its context."""

    context: Number
    position: Signed
    batch: list[bytes]
    eos: bool = False
    positions: list[Signed] | None = None
    marks: list[Mark] | None = None


class Skipped(StreamFrame, frozen=True, tag=10):
    """Elements from a position on that the reader does not get any more."""

    context: Number
    position: Signed
    count: Number


class WData(StreamFrame, frozen=True, tag=11):
    """Elements to write; the offset is the position where they have to go."""

    context: Number
    offset: Signed
    batch: list[bytes]


class Flush(StreamFrame, frozen=True, tag=12):
    """Tell when all that was sent is stored (or durable)."""

    context: Number
    durable: bool


class Ack(StreamFrame, frozen=True, tag=13):
    """Stored, and durable, up to these positions."""

    context: Number
    stored: Signed
    durable: Signed


class Cut(StreamFrame, frozen=True, tag=14):
    """Make a position the start or the end; a context of its own."""

    context: Number
    edge: Edge
    position: Signed


class Fault(StreamFrame, frozen=True, tag=15):
    """This context is over; another may begin."""

    context: Number
    problem: Problem


class Close(StreamFrame, frozen=True, tag=16):
    """Store what was written, let go of the source."""


class Closed(StreamFrame, frozen=True, tag=17):
    """The source is closed."""


class Fail(StreamFrame, frozen=True, tag=18):
    """The stream is of no more use."""

    problem: Problem


class Ask(StreamFrame, frozen=True, tag=19):
    """Where does it begin and end just now?"""

    request: Number


class EndsAre(StreamFrame, frozen=True, tag=20):
    """There."""

    request: Number
    first: Signed | None
    end: Signed | None


class ListedName(msgspec.Struct, array_like=True, frozen=True):
    """One name that is published."""

    name: str
    kind: Kind
    mode: Number
    first: Signed | None
    end: Signed | None
    version: str


class List(Frame, frozen=True, tag=21):
    """Which names are there?"""

    request: Number
    pattern: Name


class Listed(Frame, frozen=True, tag=22):
    """These, and more in another frame."""

    request: Number
    names: list[ListedName]
    has_more: bool


class Call(Frame, frozen=True, tag=23):
    """Call a method; the arguments are encoded as messages are."""

    call: Number
    service: Name
    method: Name
    arguments: bytes


class CallResult(Frame, frozen=True, tag=24):
    """What it returned."""

    call: Number
    value: bytes


class CallFault(Frame, frozen=True, tag=25):
    """What it raised, or why it was refused."""

    call: Number
    problem: Problem


class Cancel(Frame, frozen=True, tag=26):
    """Nobody waits for this call any more."""

    call: Number


class Ping(Frame, frozen=True, tag=27):
    """Are you there?"""


class Pong(Frame, frozen=True, tag=28):
    """Yes."""


class Bye(Frame, frozen=True, tag=29):
    """This side goes away, and why."""

    reason: str


_Any = (
    Hello
    | Open
    | Opened
    | Refused
    | Read
    | Write
    | Started
    | Credit
    | Data
    | Skipped
    | WData
    | Flush
    | Ack
    | Cut
    | Fault
    | Close
    | Closed
    | Fail
    | Ask
    | EndsAre
    | List
    | Listed
    | Call
    | CallResult
    | CallFault
    | Cancel
    | Ping
    | Pong
    | Bye
)
_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Any)


def encode_frame(frame: Frame) -> bytes:
    """A frame as it travels."""
    return _ENCODER.encode(frame)


def decode_frame(data: bytes) -> Frame:
    """The frame that came.

    Raises:
        DecodeError: it is none.
    """
    try:
        found: Frame = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise DecodeError("a frame", str(exc), data) from exc
    return found
