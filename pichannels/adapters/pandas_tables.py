"""Samples as a table of pandas, which the extra `pandas` brings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pichannels.adapters.tables import Kind, MissingExtra, Table, table_of
from pichannels.values import Sample

try:
    import pandas  # type: ignore[import-untyped,unused-ignore]
except ImportError:
    pandas = None  # type: ignore[assignment,unused-ignore]

__all__ = ["to_pandas"]

_TYPES: Final[dict[Kind, str]] = {
    "float": "float64",
    "int": "int64",
    "bool": "bool",
    "text": "string",
    "mixed": "object",
}
# What these are called where there are gaps.
_WITH_GAPS: Final = {"int64": "Int64", "bool": "boolean"}
# The 64 bits that mean "no time".
_NO_TIME: Final = -(2**63)


def to_pandas(samples: Iterable[Sample]) -> Any:
    """A `DataFrame` with a row for each sample, in their order.

    Its columns: `tag`, `path`, `timestamp` (`datetime64[ns, UTC]`, exact to PI's
    100 ns), `value`, `state`, `good`, `questionable`, `substituted`, `annotated`,
    `units`, `error`. The type of `value` follows from what is there: numbers, truth
    values or texts (names of digital states are such), objects where they are mixed.
    A system state is no value; it is a gap, and its name is in `state`.

    Raises:
        MissingExtra: pandas is not installed.
    """
    if pandas is None:
        raise MissingExtra("pandas")
    table = table_of(samples)
    texts = ("tag", "path", "state", "units", "error")
    columns: dict[str, Any] = {
        name: pandas.Series(getattr(table, name), dtype="string") for name in texts
    }
    for name in ("good", "questionable", "substituted", "annotated"):
        columns[name] = pandas.Series(getattr(table, name), dtype="bool")
    columns["timestamp"] = _times(table.timestamp)
    columns["value"] = _values(table)
    return pandas.DataFrame({name: columns[name] for name in _names(table)})


def _names(table: Table) -> list[str]:
    return [name for name in table.__struct_fields__ if name != "kind"]


def _times(moments: Iterable[int | None]) -> Any:
    ns = [_NO_TIME if moment is None else moment for moment in moments]
    found = pandas.Series(ns, dtype="int64").astype("datetime64[ns]")
    return found.dt.tz_localize("UTC")


def _values(table: Table) -> Any:
    kind = _TYPES[table.kind]
    if None in table.value:
        kind = _WITH_GAPS.get(kind, kind)
    return pandas.Series(table.value, dtype=kind)
