"""Samples as a table of Polars, which the extra `polars` brings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from pichannels.adapters.tables import MissingExtra, Table, table_of
from pichannels.values import Sample

try:
    import polars
except ImportError:
    polars = None  # type: ignore[assignment,unused-ignore]

__all__ = ["to_polars"]


def to_polars(samples: Iterable[Sample]) -> Any:
    """A `DataFrame` with a row for each sample, in their order.

    Its columns: `tag`, `path`, `timestamp` (`Datetime("ns", "UTC")`, exact to PI's
    100 ns), `value`, `state`, `good`, `questionable`, `substituted`, `annotated`,
    `units`, `error`. The type of `value` follows from what is there: numbers, truth
    values or texts (names of digital states are such). Where they are mixed it has
    the numbers, and a further column `text` what is none. A system state is no value;
    it is null, and its name is in `state`.

    Raises:
        MissingExtra: Polars is not installed.
    """
    if polars is None:
        raise MissingExtra("polars")
    table = table_of(samples)
    text = polars.String
    moments = polars.Series(table.timestamp, dtype=polars.Int64)
    columns: dict[str, Any] = {
        "tag": polars.Series(table.tag, dtype=text),
        "path": polars.Series(table.path, dtype=text),
        "timestamp": moments.cast(polars.Datetime("ns", "UTC")),
        **_values(table),
        "state": polars.Series(table.state, dtype=text),
    }
    for name in ("good", "questionable", "substituted", "annotated"):
        columns[name] = polars.Series(getattr(table, name), dtype=polars.Boolean)
    columns["units"] = polars.Series(table.units, dtype=text)
    columns["error"] = polars.Series(table.error, dtype=text)
    return polars.DataFrame(columns)


def _values(table: Table) -> dict[str, Any]:
    if table.kind == "mixed":
        numbers = [v if type(v) in (int, float) else None for v in table.value]
        return {
            "value": polars.Series(numbers, dtype=polars.Float64, strict=False),
            "text": polars.Series([*map(_text, table.value)], dtype=polars.String),
        }
    kinds = {
        "float": polars.Float64,
        "int": polars.Int64,
        "bool": polars.Boolean,
        "text": polars.String,
    }
    return {"value": polars.Series(table.value, dtype=kinds[table.kind], strict=False)}


def _text(value: Any) -> str | None:
    """What is no number, as text."""
    if value is None or type(value) in (int, float):
        return None
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
