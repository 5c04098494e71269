"""The blocks of MLLP: bytes in, blocks out.

A block is a vertical tab, the content, a file separator and a carriage return. The
bytes may come in pieces of any size. Nothing here reads or waits.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pichannels.errors import UsageError

__all__ = ["Block", "Unframer", "framed"]

_START: Final = b"\x0b"
_END: Final = b"\x1c"
_BETWEEN: Final = b"\r\n"
"""What may stand between blocks: the carriage return that ends one, and line ends."""
_KEPT: Final = 4096
"""How many bytes are kept of a block that is too large."""


class Block(NamedTuple):
    """What stood in one block.

    Attributes:
        content: its bytes; the first 4096 of them where it is too large.
        fault: what is wrong with it, in words; empty for a whole block.
    """

    content: bytes
    fault: str = ""


def framed(content: bytes) -> bytes:
    """The content as a block."""
    return b"%b%b%b\r" % (_START, content, _END)


class Unframer:
    """Takes blocks out of bytes.

    The carriage return after a block may be missing, as senders leave it out; a new
    block that begins within another one tells that the other one was cut off.

    Args:
        limit: the largest content in bytes; more is not kept.

    Raises:
        UsageError: the limit is below 1.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise UsageError("the limit is 1 byte or more")
        self._limit = limit
        self._content = bytearray()
        self._size = 0
        self._is_inside = False

    @property
    def is_between(self) -> bool:
        """Whether no block has begun, nor anything that is none."""
        return not self._is_inside and not self._size

    def feed(self, data: bytes) -> list[Block]:
        """The blocks that these bytes end."""
        if self._is_whole(data):
            # As most come: one block in one piece.
            return [Block(data[1:-2])]
        found: list[Block] = []
        position = 0
        while position < len(data):
            end = data.find(_END, position)
            start = data.find(_START, position)
            cut = min((n for n in (start, end) if n >= 0), default=len(data))
            self._take(data[position:cut])
            if cut == end:
                found += self._ended("")
            elif cut == start:
                found += self._ended("the block was cut off: another one began")
                self._is_inside = True
            position = cut + 1
        return found

    def finish(self, reason: str) -> list[Block]:
        """What is left when no more bytes are waited for, and why that is so."""
        return self._ended(f"the block was cut off: {reason}")

    def _is_whole(self, data: bytes) -> bool:
        return (
            self.is_between
            and data.startswith(_START)
            and data.endswith(b"\x1c\r")
            and len(data) - 3 <= self._limit
            and data.find(_END) == len(data) - 2
            and data.find(_START, 1) < 0
        )

    def _take(self, data: bytes) -> None:
        if self.is_between:
            data = data.lstrip(_BETWEEN)
        self._size += len(data)
        room = self._limit - len(self._content)
        self._content += data[:room]

    def _ended(self, fault: str) -> list[Block]:
        is_nothing = self.is_between
        content, size = self._content, self._size
        was_inside, self._is_inside = self._is_inside, False
        self._content, self._size = bytearray(), 0
        if is_nothing:
            return []
        if size > self._limit:
            told = f"the block is larger than {self._limit:,} bytes"
            return [Block(bytes(content[:_KEPT]), told)]
        if not was_inside:
            return [Block(bytes(content), "the bytes are in no block")]
        return [Block(bytes(content), fault)]
