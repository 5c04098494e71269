"""Tables from YAML and CSV files: key -> row, with errors that name the line."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from pichannels.errors import SettingsError
from pichannels.message import isolate

__all__ = ["KINDS", "Row", "Table", "read_table", "table_of"]

Row = dict[str, Any]
KINDS: Final = (".csv", ".yaml", ".yml")


class Table:
    """Rows by key; upper and lower case are the same where no key is exact.

    Attributes:
        rows: the rows by exact key.
        is_flat: whether no row holds anything that could be changed inside.
    """

    __slots__ = ("_folded", "is_flat", "rows")

    def __init__(self, rows: Mapping[Any, Row]) -> None:
        self.rows = dict(rows)
        self._folded = {
            key.casefold(): row for key, row in rows.items() if isinstance(key, str)
        }
        values = [value for row in rows.values() for value in row.values()]
        self.is_flat = not any(isinstance(value, list | dict) for value in values)

    def get(self, key: Any) -> Row | None:
        """The row with this key, or None."""
        try:
            row = self.rows.get(key)
        except TypeError:
            return None
        if row is None and type(key) is str:
            return self._folded.get(key.casefold())
        return row

    def facts(self, row: Row) -> Row:
        """A copy of a row, which its owner may change."""
        return row.copy() if self.is_flat else {k: isolate(v) for k, v in row.items()}


def table_of(rows: Mapping[Any, Any]) -> Table:
    """The table of rows given in the settings.

    Raises:
        SettingsError: a row is no mapping.
    """
    return Table({key: _facts(row, f"row {key!r}") for key, row in rows.items()})


def read_table(
    path: Path,
    column: str | None,
    types: Mapping[str, Callable[[str], Any]],
    delimiter: str,
) -> Table:
    """The table in a file.

    Args:
        path: YAML (a mapping of keys to rows, or a list of rows) or CSV with a
            header line, as its suffix says.
        column: which one holds the key; by default the first.
        types: what turns the text of a CSV column into its value.
        delimiter: between the cells of a CSV file.

    Raises:
        SettingsError: the file cannot be read or does not hold a table.
    """
    try:
        if path.suffix.lower() == ".csv":
            return _from_csv(path, column, types, delimiter)
        return _from_yaml(path, column)
    except OSError as exc:
        reason = exc.strerror or str(exc)
        raise SettingsError(f"cannot be read: {reason}", file=str(path)) from exc
    except UnicodeDecodeError as exc:
        raise SettingsError(f"is not UTF-8: {exc.reason}", file=str(path)) from exc


def _from_csv(
    path: Path,
    column: str | None,
    types: Mapping[str, Callable[[str], Any]],
    delimiter: str,
) -> Table:
    rows: dict[Any, Row] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter, strict=True)
        try:
            names = reader.fieldnames or ()
            key = _key_column(path, names, column)
            _check_columns(path, names, types)
            for cells in reader:
                where = _line(path, reader.line_num)
                _add(rows, _converted(cells, types, where), key, where)
        except csv.Error as exc:
            where = _line(path, reader.line_num)
            raise SettingsError(f"is not CSV: {exc}", file=where) from exc
    return Table(rows)


def _line(path: Path, number: int) -> str:
    return f"{path}, line {number}"


def _key_column(path: Path, names: Any, column: str | None) -> str:
    if not names:
        raise SettingsError("has no header line", file=_line(path, 1))
    if column is not None and column not in names:
        raise SettingsError(
            "there is no such column",
            file=_line(path, 1),
            found=column,
            allowed=", ".join(names),
        )
    return column or str(names[0])


def _check_columns(path: Path, names: Any, wanted: Mapping[str, Any]) -> None:
    for column in wanted:
        _key_column(path, names, column)


def _converted(
    cells: Mapping[str | None, Any],
    types: Mapping[str, Callable[[str], Any]],
    where: str,
) -> Row:
    row: Row = {}
    for name, text in cells.items():
        if name is None or text is None:
            raise SettingsError("has more or fewer cells than the header", file=where)
        row[name] = _cell(name, text.strip(), types.get(name), where)
    return row


def _cell(
    name: str, text: str, convert: Callable[[str], Any] | None, where: str
) -> Any:
    if convert is None:
        return text
    if not text:
        return None
    try:
        return convert(text)
    except (ValueError, ArithmeticError) as exc:
        raise SettingsError(str(exc), file=where, key=name, found=text) from exc


def _add(rows: dict[Any, Row], row: Row, key: str, where: str) -> None:
    """Add a row under the value of its key, which does not stay in the row."""
    value = row.pop(key, None)
    if value is None or value == "":
        raise SettingsError("the key is empty", file=where, key=key)
    if value in rows:
        raise SettingsError("the key is there twice", file=where, key=key, found=value)
    rows[value] = row


def _from_yaml(path: Path, column: str | None) -> Table:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        where = _line(path, mark.line + 1) if mark else str(path)
        problem = getattr(exc, "problem", None) or exc
        raise SettingsError(f"is not YAML: {problem}", file=where) from exc
    if isinstance(document, dict) and column is None:
        return Table(
            {key: _facts(row, f"{path}, key {key!r}") for key, row in document.items()}
        )
    if isinstance(document, list):
        return _from_list(path, document, column)
    wanted = f"a list of rows with {column!r}" if column else "a mapping of keys"
    raise SettingsError(f"does not hold {wanted}", file=str(path))


def _from_list(path: Path, document: list[Any], column: str | None) -> Table:
    rows: dict[Any, Row] = {}
    for number, item in enumerate(document, 1):
        where = f"{path}, row {number}"
        row = dict(_facts(item, where))
        key = column or next(iter(row), "")
        _add(rows, row, key, where)
    return Table(rows)


def _facts(row: Any, where: str) -> Row:
    if not isinstance(row, dict):
        raise SettingsError("is no mapping of names to facts", file=where, found=row)
    return row
