"""Options that are numbers with units, and instants: ages, sizes, times."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from pichannels import clock
from pichannels.errors import DecodeError
from pichannels.values import TICKS_PER_SECOND, format_ticks, parse_ticks

__all__ = ["AGE", "SIZE", "TIME", "instant", "made_options"]

F = TypeVar("F", bound=Callable[..., Any])

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BYTES: Final = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
_AGO: Final = re.compile(r"\*(?:\s*-\s*([0-9]+(?:\.[0-9]+)?)\s*([smhdw]))?", re.I)
_QUANTITY: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)", re.IGNORECASE)


class _Quantity(click.ParamType[float]):
    """A number with a unit."""

    def __init__(self, name: str, units: dict[str, int], example: str) -> None:
        self.name = name
        self._units = units
        self._example = example

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The quantity in the smallest unit."""
        if isinstance(value, int | float):
            return value
        match = _QUANTITY.fullmatch(value.strip())
        if match is None or match[2].lower() not in self._units:
            self.fail(f"{value!r} is none; write it as {self._example}", param, ctx)
        return float(match[1]) * self._units[match[2].lower()]


class _Time(click.ParamType[str]):
    """An instant in ISO 8601, or relative to now as PI writes it."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """The instant in ISO 8601."""
        try:
            return instant(str(value))
        except DecodeError:
            self.fail(
                f"{value!r} is no time; write it as 2026-11-22T06:00 (UTC),"
                " 2026-11-22T06:00+01:00, or '*-2h' for two hours ago",
                param,
                ctx,
            )


def instant(text: str) -> str:
    """An instant in ISO 8601, also of one that is relative to now (`*-2h`).

    Raises:
        DecodeError: it is none.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is None:
        parse_ticks(text.strip())
        return text.strip()
    seconds = float(ago[1] or 0) * _SECONDS[(ago[2] or "s").lower()]
    return format_ticks(clock.now() - round(seconds * TICKS_PER_SECOND))


AGE: Final = _Quantity("age", _SECONDS, "30d, 12h, 90m or 45s")
"""Seconds."""

SIZE: Final = _Quantity("size", _BYTES, "500MB or 2GiB")
"""Bytes."""

TIME: Final = _Time()
"""ISO 8601; `*` is now, and `*-2h` two hours ago."""


def made_options(command: F) -> F:
    """The options `--start` and `--end`, for when messages were made."""
    start = click.option(
        "--start",
        type=TIME,
        metavar="TIME",
        help="Made at this time or later: ISO 8601, or '*-2h'.",
    )
    end = click.option(
        "--end", type=TIME, metavar="TIME", help="Made before this time."
    )
    return start(end(command))
