"""Tables look the same, whoever draws them."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from hypothesis import given, strategies as st
from rich.console import Console
from rich.table import Table

from pichannels.cli.output import say_table

TEXTS = st.sampled_from(
    ["", "a", "\u65e5\u672c", "x  y ", " lead", "\u00e9", "ab" * 20]
)
CELLS = TEXTS | st.integers(0, 10**7) | st.booleans() | st.floats(0, 9)
ROWS = st.integers(1, 4).flatmap(
    lambda width: st.lists(st.tuples(*[CELLS] * width), min_size=1, max_size=4)
)


def drawn(columns: list[str], rows: list[tuple[Any, ...]]) -> str:
    """The table as rich draws it."""
    table = Table(box=None, pad_edge=False)
    for number, column in enumerate(columns):
        numbers = all(isinstance(row[number], int | float) for row in rows)
        table.add_column(column, justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(shown(cell) for cell in row))
    found = StringIO()
    Console(file=found, width=160, markup=False, highlight=False).print(table)
    return found.getvalue()


def shown(cell: Any) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


@given(ROWS)
def test_a_table_that_is_not_folded_is_as_rich_draws_it(
    rows: list[tuple[Any, ...]],
) -> None:
    columns = [f"column {number}" for number in range(len(rows[0]))]
    with pytest.MonkeyPatch.context() as patch:
        found = StringIO()
        patch.setattr("sys.stdout", found)
        say_table(columns, rows)
    assert found.getvalue() == drawn(columns, rows)


def test_a_wide_table_is_folded(capsys: pytest.CaptureFixture[str]) -> None:
    say_table(["text"], [["word " * 50]])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and max(map(len, lines)) <= 160
