"""Results as a table for people, and as JSON."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from benchmarks.measure import Aim, Basis, Result, Row

__all__ = ["as_data", "as_table", "missed"]


def as_table(result: Result) -> Table:
    """One line for each case: rates, ratios and aims."""
    benchmark = result.benchmark
    table = Table(
        title=benchmark.title,
        caption="\n".join((_basis_text(benchmark.basis), *benchmark.notes)),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("case")
    for heading in (
        f"{benchmark.unit}/s, wall",
        f"{benchmark.unit}/s, core",
        "x floor",
        "x peer",
    ):
        table.add_column(heading, justify="right")
    for row in result.rows:
        table.add_row(*_cells(row, benchmark.basis))
    return table


def _basis_text(basis: Basis) -> str:
    return f"Ratios by {'CPU time of the process' if basis == 'cpu' else 'wall time'}."


def _cells(row: Row, basis: Basis) -> list[str]:
    return [
        row.case.name,
        f"{row.rate('wall'):,.0f}",
        f"{row.rate('cpu'):,.0f}",
        _compared(row.ratio(row.floor, basis), row.case.floor),
        _compared(row.ratio(row.peer, basis), row.case.peer),
    ]


def _compared(ratio: float | None, aim: Aim | None) -> str:
    if ratio is None or aim is None:
        return ""
    text = f"{ratio:.2f}" if ratio < 10 else f"{ratio:,.0f}"
    if aim.ratio is None:
        return text
    return f"{text} (aim {aim.ratio:g}{'' if ratio >= aim.ratio else ', missed'})"


def missed(result: Result) -> list[str]:
    """The names of the cases that miss an aim."""
    basis = result.benchmark.basis
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
        "basis": benchmark.basis,
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
