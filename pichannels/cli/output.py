"""What the commands say, as tables, JSON or CSV; plain lines are in `options`."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click
import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from pichannels.cli.options import complain, say, say_styled
from pichannels.errors import harmless
from pichannels.probes import Finding
from pichannels.values import DigitalState, Sample, ValueFailure

__all__ = [
    "WIDTH_OF_FILES",
    "complain",
    "duration",
    "readable",
    "say",
    "say_bytes",
    "say_csv",
    "say_findings",
    "say_json",
    "say_line",
    "say_styled",
    "say_table",
    "short_time",
    "value_text",
]

WIDTH_OF_FILES: Final = 160
"""How wide lines are where the output is no terminal."""
_BETWEEN: Final = "  "


def say_bytes(data: bytes) -> None:
    """Bytes as they are."""
    click.echo(data, nl=False)


def say_json(value: Any) -> None:
    """A value for programs."""
    data = msgspec.json.encode(value, enc_hook=str)
    click.echo(msgspec.json.format(data, indent=2))


def say_line(value: Any) -> None:
    """A value for programs, on one line."""
    click.echo(msgspec.json.encode(value, enc_hook=str))


def say_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows under headings; numbers to the right."""
    cells = [list(row) for row in rows]
    to_right = [
        bool(cells) and all(isinstance(row[number], int | float) for row in cells)
        for number in range(len(columns))
    ]
    texts = [[_text(cell) for cell in row] for row in cells]
    if not sys.stdout.isatty() and _say_plainly([list(columns), *texts], to_right):
        return
    table = Table(box=None, pad_edge=False)
    for column, is_number in zip(columns, to_right, strict=True):
        justify: Any = "right" if is_number else "left"
        table.add_column(column, justify=justify, overflow="fold")
    for row in texts:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else WIDTH_OF_FILES
    Console(width=width, markup=False, highlight=False).print(table)


def _say_plainly(rows: Sequence[Sequence[str]], to_right: Sequence[bool]) -> bool:
    """The same table, much quicker; False where a row has to be folded."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    if sum(widths) + len(_BETWEEN) * (len(widths) - 1) > WIDTH_OF_FILES:
        return False
    if not all(text.isprintable() for row in rows for text in row):
        return False
    lines = (_BETWEEN.join(map(_padded, row, widths, to_right)) for row in rows)
    click.echo("\n".join(lines))
    return True


def _padded(text: str, width: int, to_right: bool) -> str:
    space = " " * (width - cell_len(text))
    return space + text if to_right else text + space


def say_csv(rows: Iterable[Sequence[object]]) -> None:
    """Rows of comma-separated values."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    click.echo(text.getvalue(), nl=False)


def say_findings(findings: Iterable[Finding]) -> None:
    """What was looked at, one line each; what is wrong is marked."""
    for finding in findings:
        mark = "ok" if finding.ok else "!!"
        say(f"  {mark}  {finding.what:<12}  {finding.text}")


def readable(sample: Sample) -> str:
    """One line for a sample: time, tag, value, and what is unusual about it."""
    units = "" if isinstance(sample.value, DigitalState) else sample.units
    marks = [] if sample.good else ["bad"]
    flags = ("questionable", "substituted", "annotated")
    marks += [name for name in flags if getattr(sample, name)]
    shown = f"{value_text(sample.value)} {units}".rstrip()
    more = f"  ({', '.join(marks)})" if marks else ""
    return f"{sample.iso:<28}  {sample.tag.name:<24}  {shown}{more}"


def value_text(value: Any) -> Any:
    """The value of a sample, and the name of a state or the words of a failure."""
    if isinstance(value, DigitalState):
        return value.name
    return value.message if isinstance(value, ValueFailure) else value


def short_time(time: str) -> str:
    """An instant in ISO 8601 to the millisecond."""
    return f"{time.removesuffix('Z'):.23}Z"


def duration(seconds: float) -> str:
    """A length of time in its two largest units."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{number}{unit}" for number, unit in parts[:2])


def _text(cell: object) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return f"{cell:,}" if isinstance(cell, int) else harmless(str(cell))
