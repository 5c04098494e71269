"""Options that are numbers with units: ages, and sizes."""

from __future__ import annotations

import re
from typing import Any, Final

import click

__all__ = ["AGE", "SIZE"]

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


AGE: Final = _Quantity("age", _SECONDS, "30d, 12h, 90m or 45s")
"""Seconds."""

SIZE: Final = _Quantity("size", _BYTES, "500MB or 2GiB")
"""Bytes."""
