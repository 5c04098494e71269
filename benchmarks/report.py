"""Results as a table for people, and as JSON."""

from __future__ import annotations

from typing import Any, Final

from rich.table import Table

from benchmarks.measure import Aim, Basis, Benchmark, Result, Row

__all__ = ["as_data", "as_table", "missed"]


_PER: Final[dict[Basis, str]] = {"wall": "wall", "cpu": "core"}


def as_table(result: Result) -> Table:
    """One line for each case: rates, ratios and aims."""
    benchmark = result.benchmark
    table = Table(
        title=benchmark.title,
        caption="\n".join(benchmark.notes) or None,
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("case")
    for heading in (
        *_headings(benchmark),
        *(f"x floor, {_PER[basis]}" for basis in benchmark.bases),
        f"x peer, {_PER[benchmark.bases[0]]}",
    ):
        table.add_column(heading, justify="right")
    for row in result.rows:
        table.add_row(*_cells(row, benchmark))
    if not any(row.peer for row in result.rows):
        table.columns.pop()
    return table


def _headings(benchmark: Benchmark) -> list[str]:
    if benchmark.shows == "each":
        return [*(f"s {per}" for per in _PER.values()), "MiB"]
    return [f"{benchmark.unit}/s {per}" for per in _PER.values()]


def _numbers(row: Row, benchmark: Benchmark) -> list[str]:
    if benchmark.shows == "each":
        memory = f"{row.memory / 2**20:,.0f}" if row.memory else ""
        return [*(f"{row.each(basis):.2f}" for basis in _PER), memory]
    return [f"{row.rate(basis):,.0f}" for basis in _PER]


def _cells(row: Row, benchmark: Benchmark) -> list[str]:
    case = row.case
    first, *others = benchmark.bases
    return [
        case.name,
        *_numbers(row, benchmark),
        _compared(row.ratio(row.floor, first), case.floor),
        *(_number(row.ratio(row.floor, basis)) for basis in others),
        _compared(row.ratio(row.peer, first), case.peer),
    ]


def _number(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:,.0f}"


def _compared(ratio: float | None, aim: Aim | None) -> str:
    text = _number(ratio)
    if ratio is None or aim is None or aim.ratio is None:
        return text
    return f"{text} (aim {aim.ratio:g}{'' if ratio >= aim.ratio else ', missed'})"


def missed(result: Result) -> list[str]:
    """The names of the cases that miss an aim."""
    basis = result.benchmark.bases[0]
    return [
        row.case.name
        for row in result.rows
        if _is_missed(row.ratio(row.floor, basis), row.case.floor)
        or _is_missed(row.ratio(row.peer, basis), row.case.peer)
    ]


def _is_missed(ratio: float | None, aim: Aim | None) -> bool:
    if ratio is None or aim is None or aim.ratio is None:
        return False
    return ratio < aim.ratio


def as_data(result: Result) -> dict[str, Any]:
    """All of it as plain data."""
    benchmark = result.benchmark
    return {
        "name": benchmark.name,
        "title": benchmark.title,
        "unit": benchmark.unit,
        "bases": benchmark.bases,
        "notes": list(benchmark.notes),
        "missed": missed(result),
        "cases": [_row_data(row) for row in result.rows],
    }


def _row_data(row: Row) -> dict[str, Any]:
    case = row.case
    return {
        "name": case.name,
        "count": case.count,
        "wall": [run.wall for run in row.runs],
        "cpu": [run.cpu for run in row.runs],
        "memory": [run.memory for run in row.runs],
        "per_second": row.rate("wall"),
        "per_core": row.rate("cpu"),
        "floor": _aim_data(row, row.floor, case.floor),
        "peer": _aim_data(row, row.peer, case.peer),
    }


def _aim_data(row: Row, other: Row | None, aim: Aim | None) -> dict[str, Any] | None:
    if other is None or aim is None:
        return None
    return {
        "case": aim.case,
        "aim": aim.ratio,
        "wall": row.ratio(other, "wall"),
        "cpu": row.ratio(other, "cpu"),
    }
