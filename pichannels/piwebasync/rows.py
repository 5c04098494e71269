"""PI's documents as flat rows, one for each value, as tables want them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from pichannels.piwebasync.timed_values import error_text

__all__ = ["Row", "rows_of"]

Row: TypeAlias = dict[str, Any]
"""A row under PI's own keys."""

_OF_VALUES: Final = (
    "UnitsAbbreviation",
    "Good",
    "Questionable",
    "Substituted",
    "Annotated",
)
_OF_EVENTS: Final = frozenset({"Timestamp", "Value", "Errors", *_OF_VALUES})
# Of a set of streams with summaries of several kinds.
_DEEPEST: Final = 4
_LEFT_OUT: Final = frozenset({"Links", "Items"})


def rows_of(document: Mapping[str, Any]) -> list[Row]:
    """A row for each value of a document of streams; else one for each object.

    Of the data of an AF table it is the table's own rows.

    A row of a value has what PI says of its stream (`WebId`, `Name`, `Path`, the
    `Type` of a summary), then `Timestamp`, `Value`, `State`, the flags, the units and
    `Errors`. A digital state is its name, in `Value` and in `State`; a system state
    is in `State` only, and `Value` is None. Nothing in a row is nested but values
    that are lists or objects themselves.
    """
    table = document.get("Rows")
    if isinstance(table, list) and "Items" not in document:
        return [dict(row) for row in table if isinstance(row, Mapping)]
    return list(_rows(document, {}))


def _rows(found: Mapping[str, Any], above: Row, depth: int = 0) -> Iterator[Row]:
    if "Timestamp" in found:
        yield _value_row(found, above)
        return
    inner = found.get("Items")
    value = found.get("Value")
    if isinstance(inner, list) and depth < _DEEPEST:
        # Units of a stream are those of its values; they repeat them.
        units = found.get("UnitsAbbreviation")
        own = above | _own(found) | ({"UnitsAbbreviation": units} if units else {})
        for each in inner:
            if isinstance(each, Mapping):
                yield from _rows(each, own, depth + 1)
    elif isinstance(value, Mapping) and "Timestamp" in value:
        yield _value_row(value, above | _own(found))
    elif own := _own(found):
        yield above | own


def _own(found: Mapping[str, Any]) -> Row:
    """What is said of a stream or an object, without what is inside it."""
    is_stream = "Items" in found or isinstance(found.get("Value"), Mapping)
    left_out = _LEFT_OUT | (_OF_EVENTS if is_stream else frozenset())
    return {key: value for key, value in found.items() if key not in left_out}


def _value_row(event: Mapping[str, Any], above: Row) -> Row:
    value, state, errors = _parts(event)
    row = dict(above)
    units = row.pop("UnitsAbbreviation", None)
    row |= {"Timestamp": event.get("Timestamp"), "Value": value, "State": state}
    row |= {key: event[key] for key in _OF_VALUES if key in event}
    if units and not row.get("UnitsAbbreviation"):
        row["UnitsAbbreviation"] = units
    row["Errors"] = errors or None
    more = event.keys() - _OF_EVENTS - _LEFT_OUT
    return row | {key: event[key] for key in event if key in more}


def _parts(event: Mapping[str, Any]) -> tuple[Any, str | None, str]:
    """Value, name of the state, and errors."""
    value = event.get("Value")
    errors = error_text(event.get("Errors"))
    if not isinstance(value, Mapping):
        return value, None, errors
    if "Name" in value and "Value" in value:
        name = str(value["Name"])
        return None if value.get("IsSystem") is True else name, name, errors
    if reason := error_text(dict(value)):
        return None, None, errors or reason
    return value, None, errors
