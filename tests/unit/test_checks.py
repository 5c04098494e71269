"""Numbers that constructors take, and the names of their options."""

from __future__ import annotations

from contextlib import suppress
from math import inf, nan
from typing import Any

import pytest

from pichannels.checks import at_least, options_of, whole
from pichannels.errors import UsageError


def test_numbers_from_the_minimum_on_are_taken() -> None:
    taken = []
    for found in (-inf, -1e-9, 0, 0.5, inf):
        with suppress(UsageError):
            at_least("wait", found, 0)
            taken.append(found)
    assert taken == [0, 0.5, inf]


@pytest.mark.parametrize("found", [-1, nan, True, "1", None])
def test_anything_else_is_told_with_what_is_allowed(found: Any) -> None:
    with pytest.raises(UsageError, match="wait is a number, 0 or more, not "):
        at_least("wait", found, 0)


def test_a_number_may_have_to_be_above_the_minimum() -> None:
    with pytest.raises(UsageError, match="wait is a number, above 0, not 0"):
        at_least("wait", 0, 0, above=True)


@pytest.mark.parametrize("found", [0, 1.0, True, "1"])
def test_a_whole_number_is_one(found: Any) -> None:
    with pytest.raises(UsageError, match="count is a whole number, 1 or more, not "):
        whole("count", found, 1)


class Above:
    def __init__(self, name: str, *args: object) -> None: ...


class Below(Above):
    def __init__(self, *args: object, size: int, **options: object) -> None: ...


def test_options_of_the_classes_above_count() -> None:
    assert options_of(Below) == ["name", "size"]
