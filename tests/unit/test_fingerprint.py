"""Facts are the same in each process for the same definition, and differ otherwise."""

from __future__ import annotations

import enum
import functools
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import msgspec
import pytest

from pichannels.fingerprint import Defined, Fact, Fingerprinter, differences, options_of
from pichannels.retry import RetryPolicy

LIMIT = 5


class Thing(Defined):
    """Anything that settings make."""

    def __init__(self, size: int, *more: int, unit: str = "m", **rest: Any) -> None:
        self.counted = 0


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = value


class Failing:
    def __repr__(self) -> str:
        raise ValueError("no text")


def text(value: Any) -> str:
    return Fingerprinter(__name__).text(value)


def above(limit: int) -> Callable[[int], bool]:
    return lambda value: value > limit


def over(value: int) -> bool:
    return value > LIMIT


def test_options_are_known_by_name() -> None:
    thing = Thing(3, 4, unit="kg", colour="red")
    assert options_of(thing) == {
        "size": 3,
        "more": (4,),
        "unit": "kg",
        "colour": "red",
    }


def test_what_happens_to_a_thing_later_is_no_part_of_it() -> None:
    thing = Thing(3)
    before = text(thing)
    thing.counted = 7
    assert text(thing) == before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        ("1", 1),
        ([1, 2], [2, 1]),
        ([1], (1,)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (Thing(3), Thing(4)),
        (Thing(3), Thing(3, unit="kg")),
        (Colour.RED, Colour.BLUE),
        (Path("a"), Path("b")),
        (Path("a"), "a"),
        (re.compile("x" * 300), re.compile("x" * 301)),
        (RetryPolicy(attempts=1), RetryPolicy(attempts=2)),
        (Slotted(1), Slotted(2)),
        (lambda value: value + 1, lambda value: value + 2),
        (above(1), above(2)),
        (functools.partial(above, 1), functools.partial(above, 2)),
        ("a".startswith, "b".startswith),
        (Thing, Slotted),
    ],
)
def test_what_differs_has_other_facts(one: Any, other: Any) -> None:
    assert text(one) != text(other)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Thing(3, unit="kg"),
        lambda: above(1),
        lambda: {"z", "y", "x"},
        lambda: RetryPolicy(attempts=1),
        lambda: Slotted(1),
        lambda: threading.Lock(),
        lambda: object(),
        lambda: Failing(),
        lambda: [["UNIT1"] * 1000],
    ],
)
def test_what_is_made_alike_has_equal_facts(make: Callable[[], Any]) -> None:
    assert text(make()) == text(make())


def test_a_global_that_a_function_uses_is_part_of_it() -> None:
    texts = [
        text(FunctionType(over.__code__, {"__name__": __name__, "LIMIT": limit}))
        for limit in (5, 5, 6)
    ]
    assert (texts[0] == texts[1], texts[1] == texts[2]) == (True, False)


def test_functions_of_other_modules_are_known_by_their_code_alone() -> None:
    assert Fingerprinter("other").text(over) != text(over)


def test_the_level_of_a_logger_is_no_part_of_it() -> None:
    logger = logging.getLogger("pichannels.test_fingerprint")
    before = text(logger)
    logger.setLevel(logging.DEBUG)
    assert text(logger) == before


def test_things_that_hold_themselves_come_to_an_end() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    assert text(loop) == text(loop)


def test_names_stand_for_what_is_only_referred_to() -> None:
    thing = Thing(3)
    prints = Fingerprinter(__name__, lambda value: "it" if value is thing else None)
    prints.fact("option", [thing])
    assert prints.references == {"it"}


@pytest.mark.parametrize("name", ["auth", "headers", "plant.publish.token", "pwd"])
def test_secrets_are_compared_and_not_shown(name: str) -> None:
    prints = Fingerprinter(__name__)
    one, other = prints.fact(name, ("me", "one")), prints.fact(name, ("me", "two"))
    assert (one.shown, one.digest == other.digest) == ("(not shown)", False)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("https://me:secret@pi/piwebapi", "'https://***@pi/piwebapi'"),
        (over, "over()"),
        (Thing, "Thing"),
        (["a", "b"], "a list of 2"),
        (Thing(1), "a Thing"),
        ("x" * 80, "'" + "x" * 59 + "..."),
    ],
)
def test_people_see_what_a_value_is(value: Any, shown: str) -> None:
    assert Fingerprinter(__name__).fact("option", value).shown == shown


def test_differences_are_told_in_words() -> None:
    old = {"a": Fact("1", "1"), "b": Fact("2", "f()"), "c": Fact("3", "3")}
    new = {"a": Fact("4", "2"), "b": Fact("5", "f()"), "d": Fact("6", "x")}
    assert list(differences(old, new)) == [
        "a: 1 -> 2",
        "b: f() has changed",
        "c: 3 removed",
        "d: x added",
    ]


IN_A_PROCESS = """\
from pichannels.fingerprint import Fingerprinter
from pichannels.retry import RetryPolicy
def function(value, among={"x", "y", "z"}):
    return value in {"red", "green", "blue"} and sorted(among)
class Kind:
    limits = {"low", "high"}
    def method(self): return function
print(Fingerprinter(__name__).text([function, Kind, Kind(), RetryPolicy(), {"a", "b"}]))
"""


def test_facts_do_not_depend_on_the_process() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", IN_A_PROCESS],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1


def test_facts_can_be_sent() -> None:
    fact = Fingerprinter(__name__).fact("option", Thing(3))
    sent = msgspec.json.decode(msgspec.json.encode(fact), type=Fact)
    assert sent == fact
