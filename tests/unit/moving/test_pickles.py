"""Pickles of plain data are read, and others are not; nothing in them runs."""

from __future__ import annotations

import base64
import collections
import os
import pickle
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pichannels.errors import CodecError
from pichannels.moving.pickles import PlainPickles
from pichannels.moving.unpickle import answer

PLAIN: list[Any] = [
    None,
    "Größe \ud800",
    b"\x00\xff",
    [1, -(2**70), 2.5, True, float("inf")],
    {"a": (1, [2]), 3: {4}, None: frozenset({5})},
    datetime(2026, 3, 1, 12, 30, 15, 7, tzinfo=UTC),
    [date(2026, 3, 1), time(12, 30), timedelta(days=-1, microseconds=5)],
    [Decimal("1.50"), UUID(int=7)],
    ["list", ["no tag of ours"]],
]


@pytest.fixture(scope="module")
def pickles() -> Iterator[PlainPickles]:
    with PlainPickles() as pickles:
        yield pickles


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_is_read(pickles: PlainPickles, protocol: int) -> None:
    for value in PLAIN:
        assert pickles.read(pickle.dumps(value, protocol)) == value


def test_what_is_like_plain_data_becomes_that(pickles: PlainPickles) -> None:
    ordered = collections.OrderedDict(b=1, a=2)
    assert list(pickles.read(pickle.dumps(ordered)).items()) == [("b", 1), ("a", 2)]
    assert pickles.read(pickle.dumps(bytearray(b"x"), 2)) == b"x"


class Calls:
    """Pickled as a call."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.call = function, args

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_nothing_is_called(
    pickles: PlainPickles, tmp_path: Path, protocol: int
) -> None:
    mark = tmp_path / "called"
    for call in (
        Calls(os.makedirs, str(mark)),
        Calls(eval, f"__import__('os').mkdir({str(mark)!r})"),
    ):
        with pytest.raises(CodecError, match="no plain data"):
            pickles.read(pickle.dumps({"deep": [call]}, protocol))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Path("x"), "pathlib"),
        (Calls, "test_pickles.Calls"),
        (datetime, "type, no plain data"),
        (Calls(bytearray, 10**12), "a bytearray of something else"),
        (Calls(__import__("_codecs").encode, "x", "zip"), "codecs.encode"),
    ],
)
def test_other_things_are_named(pickles: PlainPickles, value: Any, reason: str) -> None:
    with pytest.raises(CodecError, match=reason):
        pickles.read(pickle.dumps(value))


def bomb() -> bytes:
    """A small pickle of a list that would be endless when written out."""
    value: list[Any] = ["x"]
    for _ in range(60):
        value = [value] * 10
    return pickle.dumps(value)


def circle() -> bytes:
    value: list[Any] = []
    value.append(value)
    return pickle.dumps(value)


@pytest.mark.parametrize("data", [circle(), b"", b"no pickle", b"\x80\x05P."])
def test_odd_pickles_are_refused(data: bytes) -> None:
    assert '"refused"' in answer(base64.b64encode(data))


def slow() -> bytes:
    """To be in a set it needs a hash, which looks at each of its parts."""
    value: Any = ()
    for _ in range(40):
        value = (value, value)
    return pickle.dumps(Calls(frozenset, [value]))


@pytest.mark.parametrize("data", [bomb(), slow()])
def test_a_pickle_that_takes_too_long_costs_only_itself(data: bytes) -> None:
    with PlainPickles(limit=1.5) as pickles:
        with pytest.raises(CodecError, match="too large, or too long"):
            pickles.read(data)
        assert pickles.read(pickle.dumps("next")) == "next"
