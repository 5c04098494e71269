"""Blocks of MLLP: whole whatever the pieces, and what is wrong is told."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from pichannels.errors import UsageError
from pichannels.hl7v2.framing import Block, Unframer, framed

CUT = "the block was cut off: "
contents = st.lists(
    st.binary(min_size=1, max_size=40).filter(lambda c: not set(c) & {0x0B, 0x1C}),
    max_size=6,
)


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({cut % (len(data) + 1) for cut in cuts} | {len(data)})
    return [data[a:b] for a, b in zip([0, *ends], ends, strict=False)]


@given(contents, st.lists(st.integers(0, 500), max_size=8))
def test_blocks_are_the_same_whatever_the_pieces(
    sent: list[bytes], cuts: list[int]
) -> None:
    unframer = Unframer(40)
    stream = b"".join(map(framed, sent))
    found = [b for piece in in_pieces(stream, cuts) for b in unframer.feed(piece)]
    assert found + unframer.finish("x") == [Block(content) for content in sent]


@given(st.binary(max_size=200), st.lists(st.integers(0, 500), max_size=8))
def test_any_bytes_give_the_same_blocks_whatever_the_pieces(
    data: bytes, cuts: list[int]
) -> None:
    whole, parts = Unframer(20), Unframer(20)
    expected = whole.feed(data) + whole.finish("x")
    found = [block for piece in in_pieces(data, cuts) for block in parts.feed(piece)]
    assert found + parts.finish("x") == expected


@given(st.binary(max_size=200))
def test_no_more_is_kept_than_the_limit_allows(data: bytes) -> None:
    unframer = Unframer(20)
    blocks = unframer.feed(data) + unframer.finish("x")
    assert all(len(block.content) <= 20 for block in blocks)


@given(st.binary(max_size=100))
def test_what_follows_any_bytes_is_whole(data: bytes) -> None:
    unframer = Unframer(20)
    blocks = unframer.feed(data) + unframer.feed(framed(b"MSH|"))
    assert blocks[-1] == Block(b"MSH|")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x0ba\x1c\x0bb\x1c", [Block(b"a"), Block(b"b")]),
        (b"\r\n\x0ba\x1c\r\n\r\n\x0bb\x1c\r", [Block(b"a"), Block(b"b")]),
        (b"\x0b\x1c\r", [Block(b"")]),
        (b"MSH|a\x1c\r", [Block(b"MSH|a", "the bytes are in no block")]),
        (b"x\x0ba\x1c\r", [Block(b"x", "the bytes are in no block"), Block(b"a")]),
        (b"\x0ba\x0bb\x1c\r", [Block(b"a", f"{CUT}another one began"), Block(b"b")]),
        (b"\x0ba", [Block(b"a", f"{CUT}gone")]),
        (b"\x0ba\rb\r\x1c\r", [Block(b"a\rb\r")]),
        (b"", []),
    ],
)
def test_what_stands_in_bytes(data: bytes, expected: list[Block]) -> None:
    unframer = Unframer(100)
    assert unframer.feed(data) + unframer.finish("gone") == expected


def test_of_a_block_that_is_too_large_the_beginning_is_kept() -> None:
    unframer = Unframer(10_000)
    blocks = unframer.feed(framed(b"x" * 10_001) + framed(b"y" * 10_000))
    told = "the block is larger than 10,000 bytes"
    assert blocks == [Block(b"x" * 4096, told), Block(b"y" * 10_000)]


def test_it_is_known_whether_a_block_has_begun() -> None:
    unframer = Unframer(10)
    seen = []
    for piece in (b"\r", b"\x0b", b"a", b"\x1c", b"\r", b"x"):
        unframer.feed(piece)
        seen.append(unframer.is_between)
    assert seen == [True, False, False, True, True, False]


def test_a_limit_below_one_byte_is_refused() -> None:
    with pytest.raises(UsageError):
        Unframer(0)
