"""What the commands say, as tables, JSON or CSV; plain lines are in `options`."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

import click
import msgspec
from rich.console import Console
from rich.table import Table

from pichannels.cli.options import complain, say
from pichannels.probes import Finding
from pichannels.values import DigitalState, Sample, ValueFailure

__all__ = [
    "complain",
    "duration",
    "readable",
    "say",
    "say_bytes",
    "say_csv",
    "say_findings",
    "say_json",
    "say_line",
    "say_table",
    "value_text",
]

_WIDTH_OF_FILES: Final = 160


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
    table = Table(box=None, pad_edge=False)
    cells = [list(row) for row in rows]
    for number, column in enumerate(columns):
        is_number = all(isinstance(row[number], int | float) for row in cells)
        justify: Any = "right" if is_number and cells else "left"
        table.add_column(column, justify=justify, overflow="fold")
    for row in cells:
        table.add_row(*(_text(cell) for cell in row))
    width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
    Console(width=width, markup=False, highlight=False).print(table)


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
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
