"""Samples as columns, for whatever makes tables of them.

A value is a number, a truth value, a text, or the name of a digital state. A system
state (`I/O Timeout`) is never a value: it leaves a gap, and its name in the column
`state`. What PI could not compute leaves a gap, and the reason in `error`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal, TypeAlias

import msgspec

from pichannels.errors import UsageError
from pichannels.values import DigitalState, Sample, ValueFailure

__all__ = ["Kind", "MissingExtra", "Table", "table_of"]

Kind: TypeAlias = Literal["float", "int", "bool", "text", "mixed"]
"""What the values of a table are."""

_LARGEST_NS: Final = 2**63 - 1
_TEXT_NUMBERS: Final = {
    "NaN": float("nan"),
    "Infinity": float("inf"),
    "-Infinity": float("-inf"),
}


class MissingExtra(UsageError, ImportError):
    """The library that makes these tables is not installed."""

    def __init__(self, library: str) -> None:
        super().__init__(
            f"{library} is not installed; it comes with"
            f" pip install 'pichannels[{library}]'"
        )


class Table(msgspec.Struct):
    """Columns of equal length; a row is a sample."""

    tag: list[str] = []
    path: list[str] = []
    timestamp: list[int | None] = []
    """Nanoseconds since 1970 UTC; None after the year 2262, where these end."""
    value: list[Any] = []
    state: list[str | None] = []
    """Name of the digital or system state."""
    good: list[bool] = []
    questionable: list[bool] = []
    substituted: list[bool] = []
    annotated: list[bool] = []
    units: list[str] = []
    error: list[str | None] = []
    kind: Kind = "float"


def table_of(samples: Iterable[Sample]) -> Table:
    """The samples as columns, in their order."""
    table = Table()
    for sample in samples:
        _add(table, sample)
    table.kind = _kind(table.value)
    if table.kind == "float":
        table.value = [_TEXT_NUMBERS.get(v, v) if v else v for v in table.value]
    return table


def _add(table: Table, sample: Sample) -> None:
    value, state, error = _parts(sample.value)
    ns = sample.ns
    table.tag.append(sample.tag.name)
    table.path.append(sample.tag.path)
    table.timestamp.append(ns if -_LARGEST_NS <= ns <= _LARGEST_NS else None)
    table.value.append(value)
    table.state.append(state)
    table.good.append(sample.good)
    table.questionable.append(sample.questionable)
    table.substituted.append(sample.substituted)
    table.annotated.append(sample.annotated)
    table.units.append(sample.units)
    table.error.append(error)


def _parts(value: Any) -> tuple[Any, str | None, str | None]:
    """Value, state and error of what a sample holds."""
    if isinstance(value, DigitalState):
        return None if value.is_system else value.name, value.name, None
    if isinstance(value, ValueFailure):
        return None, None, value.message
    return value, None, None


def _kind(values: Iterable[Any]) -> Kind:
    """The narrowest kind that all values have; gaps have any."""
    types: set[type] = set()
    for value in values:
        kind = type(value)
        if kind is str and value in _TEXT_NUMBERS:
            # Only numbers beside it tell that it is one.
            kind = type(None)
        elif kind is int and not -_LARGEST_NS <= value <= _LARGEST_NS:
            kind = float
        types.add(kind)
    types.discard(type(None))
    if types <= {float, int}:
        return "int" if types == {int} and not _has_nan(values) else "float"
    if types == {bool}:
        return "bool"
    return "text" if types == {str} else "mixed"


def _has_nan(values: Iterable[Any]) -> bool:
    return any(type(value) is str for value in values)
