"""Entities on their way: values packed one by one, and batches of them.

A value is what a message may carry, or a message itself; its type comes through.
Nothing is ever pickled (see `pichannels.codecs`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from pichannels import (
    codecs,
    message,  # noqa: F401  # messages can be read wherever entities are
)
from pichannels.remote.modes import Bookmark

__all__ = ["Batch", "Gap", "Item", "pack", "pack_some", "unpack"]


class Gap(msgspec.Struct, frozen=True):
    """In the place of items that the reader was too slow for.

    Attributes:
        position: of the first of them.
        count: how many there were.
    """

    position: int
    count: int


class Item(NamedTuple):
    """A value with its place.

    Attributes:
        position: where it stands in the sequence.
        value: what was published; a `Gap` for lost ones.
        bookmark: the place behind it.
    """

    position: int
    value: Any
    bookmark: Bookmark


class Batch(NamedTuple):
    """What a cursor of entities reads.

    Attributes:
        items: packed values, in order; none at the present end.
        positions: where they stand, unless one behind the other.
        marks: for each, what `Place.mark` brings back: for sources that find a place
            by more than its number.
        lost: how many items before the first one the reader was too slow for.
    """

    items: Sequence[bytes]
    positions: Sequence[int] | None = None
    marks: Sequence[str] | None = None
    lost: int = 0


def pack(value: Any) -> bytes:
    """A value as it travels.

    Raises:
        CodecError: some value inside has no codec.
    """
    return codecs.encode(value)


def unpack(data: bytes) -> Any:
    """The value that was packed.

    Raises:
        CodecError: it was not, or a type is unknown here.
    """
    return codecs.decode(data)


def pack_some(values: Iterable[Any], size: int) -> list[bytes]:
    """Pack values until they are `size` bytes; the first one in any case.

    What is left of the iterable is not touched, but for one value that did not fit.

    Raises:
        CodecError: one of them has a type without codec.
    """
    packed: list[bytes] = []
    for value in values:
        data = pack(value)
        size -= len(data)
        if size < 0 and packed:
            break
        packed.append(data)
    return packed
