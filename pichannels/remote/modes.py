"""What a stream can do, where it begins and ends, and where to go in it."""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from pichannels.errors import UsageError

__all__ = [
    "ABSOLUTE",
    "CURRENT",
    "END",
    "START",
    "About",
    "Bookmark",
    "Edge",
    "Ends",
    "Kind",
    "Listing",
    "Mode",
    "Place",
    "StreamRef",
    "Whence",
    "described",
]


class Kind(enum.StrEnum):
    """What a stream is made of; positions count these."""

    ENTITIES = "entities"
    BYTES = "bytes"


class Mode(enum.IntFlag):
    """What a stream is published for.

    `START_...` and `END_...` tell which way an end may move, by anyone. `TRIM`,
    `TRUNCATE` and `EXTEND` allow who has opened the stream to move it: a live tail
    has `END_UP` without `EXTEND`.
    """

    READ = 1
    WRITE = 2
    SEEK_BACK = 4
    SEEK_ON = 8
    SEEK_TIME = 16
    START_DOWN = 32
    START_UP = 64
    END_DOWN = 128
    END_UP = 256
    TRIM = 512
    """The start may be moved up to a position."""
    TRUNCATE = 1024
    """The end may be moved down to a position."""
    EXTEND = 2048
    """Writing beyond the end moves it up."""
    FIXED = 4096
    """Nobody can change what is there."""

    SEEK = SEEK_BACK | SEEK_ON
    OF_WRITERS = TRIM | TRUNCATE | EXTEND

    def check(self) -> None:
        """Make sure that it makes sense.

        Raises:
            UsageError: it contradicts itself.
        """
        if not self & (Mode.READ | Mode.WRITE):
            raise UsageError("a stream is readable, or writable, or both")
        moves = Mode.START_DOWN | Mode.START_UP | Mode.END_DOWN | Mode.END_UP
        if self & Mode.FIXED and self & (Mode.WRITE | moves):
            raise UsageError("what is fixed can neither be written nor move its ends")
        for may, can in _NEEDS.items():
            if self & may and not self & can:
                raise UsageError(f"{may.name} needs {can.name}")
        if self & Mode.OF_WRITERS and not self & Mode.WRITE:
            raise UsageError("TRIM, TRUNCATE and EXTEND need WRITE")


_NEEDS: Final = {
    Mode.TRIM: Mode.START_UP,
    Mode.TRUNCATE: Mode.END_DOWN,
    Mode.EXTEND: Mode.END_UP,
}


def described(mode: Mode) -> str:
    """The flags by name, for people."""
    return ", ".join(str(flag.name).lower() for flag in Mode if flag & mode)


class Whence(enum.IntEnum):
    """What a position is counted from."""

    ABSOLUTE = 0
    CURRENT = 1
    END = 2
    START = 3
    TIME = 4
    """The position is an instant in ticks: the first item at or after it is meant."""


ABSOLUTE: Final = Whence.ABSOLUTE
CURRENT: Final = Whence.CURRENT
END: Final = Whence.END
START: Final = Whence.START


class Edge(enum.IntEnum):
    """Which end of a sequence is cut."""

    BEFORE = 0
    AFTER = 1


class Place(msgspec.Struct, frozen=True):
    """Where to go in a sequence; never `CURRENT`, which only the reader knows.

    Attributes:
        position: counted from `whence`; ticks for `TIME`.
        mark: what the source gave with the item before this place, or "".
        is_write: whether to write there; beyond the end that may be allowed.
    """

    whence: Whence = Whence.ABSOLUTE
    position: int = 0
    mark: str = ""
    is_write: bool = False


class Ends(msgspec.Struct, frozen=True):
    """Where a sequence begins, and behind its last element; None where nobody knows."""

    first: int | None = 0
    end: int | None = None


class About(msgspec.Struct, frozen=True):
    """What is known of a source before it is opened.

    Attributes:
        ends: where it begins and ends.
        version: changes when the contents do, where that can be told.
        epoch: identifies the sequence: positions of another epoch mean nothing.
    """

    ends: Ends = Ends()
    version: str = ""
    epoch: str = ""


class Listing(msgspec.Struct, frozen=True):
    """One name that is published, as `Link.list` gives it."""

    name: str
    kind: Kind
    mode: Mode
    first: int | None
    end: int | None
    version: str


class StreamRef(msgspec.Struct, frozen=True):
    """A reference to a stream, which a remote method may return; `Link.open` takes it.

    Whoever has the reference of a one-shot stream may open it, once.
    """

    name: str
    kind: Kind
    mode: Mode


class Bookmark(msgspec.Struct, frozen=True):
    """Behind an item of a stream: where to go on, also after a restart of both sides.

    `str()` of it can be kept; `Bookmark.parse` reads it.
    """

    epoch: str
    position: int
    mark: str = ""

    def __str__(self) -> str:
        return msgspec.json.encode([self.epoch, self.position, self.mark]).decode()

    @staticmethod
    def parse(text: str) -> Bookmark:
        """The bookmark that `str` wrote.

        Raises:
            UsageError: it did not write this.
        """
        try:
            found = msgspec.json.decode(text, type=tuple[str, int, str])
        except msgspec.DecodeError as exc:
            raise UsageError(f"{text!r} is no bookmark: {exc}") from exc
        return Bookmark(*found)
