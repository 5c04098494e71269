"""CSV, read and written with the number of the row where something is wrong."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, cast

from pichannels.errors import CodecError, DecodeError, SettingsError, nearest

__all__ = ["Layout", "rows_of", "written"]

_QUOTING: Final = {
    "minimal": csv.QUOTE_MINIMAL,
    "all": csv.QUOTE_ALL,
    "nonnumeric": csv.QUOTE_NONNUMERIC,
    "none": csv.QUOTE_NONE,
}

_Row = list[Any]


class Layout:
    """How fields are told apart.

    Args:
        delimiter: one character.
        quoting: a word, a constant of the module csv, or None for `minimal`.

    Raises:
        SettingsError: one of them is not usable.
    """

    def __init__(self, delimiter: str, quoting: int | str | None) -> None:
        if (
            not isinstance(delimiter, str)
            or len(delimiter) != 1
            or delimiter in '\r\n"'
        ):
            raise SettingsError(
                "not one character",
                key="delimiter",
                found=delimiter,
                allowed="',', ';'",
            )
        self.delimiter = delimiter
        self.quoting = cast(Literal[0, 1, 2, 3], _quoting(quoting))

    def reader(self, text: str) -> Any:
        """What reads rows from a text."""
        return csv.reader(
            io.StringIO(text, newline=""),
            delimiter=self.delimiter,
            quoting=self.quoting,
            strict=True,
        )

    def writer(self, stream: io.StringIO, newline: str) -> Any:
        """What writes rows to a stream."""
        return csv.writer(
            stream,
            delimiter=self.delimiter,
            quoting=self.quoting,
            lineterminator=newline,
            escapechar="\\" if self.quoting == csv.QUOTE_NONE else None,
        )


def _quoting(found: Any) -> int:
    if found is None:
        return csv.QUOTE_MINIMAL
    if isinstance(found, str) and found in _QUOTING:
        return _QUOTING[found]
    if found in _QUOTING.values() and not isinstance(found, bool):
        return int(found)
    raise SettingsError(
        f"no such way to quote{nearest(str(found), _QUOTING)}",
        key="quoting",
        found=found,
        allowed=", ".join(_QUOTING),
    )


def rows_of(
    text: str,
    layout: Layout,
    *,
    headers: bool,
    fieldnames: Sequence[str] | None,
    to_dict: bool,
) -> list[Any]:
    """The rows of a text.

    Raises:
        DecodeError: one is wrong; with its number, as in a spreadsheet.
    """
    rows = _numbered(layout.reader(text.removeprefix("\ufeff")))
    names = fieldnames
    if headers:
        _, first = next(rows, (1, []))
        names = names or [str(name) for name in first]
        if to_dict:
            _refuse_twice(names)
    found: list[Any] = []
    for number, row in rows:
        if names is not None and len(row) != len(names):
            told = f"row {number} has {len(row)} fields, and not {len(names)}"
            raise DecodeError("CSV", told)
        found.append(dict(zip(names or (), row, strict=True)) if to_dict else row)
    return found


def _numbered(reader: Any) -> Iterator[tuple[int, _Row]]:
    number = 0
    while True:
        number += 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except (csv.Error, ValueError) as exc:
            raise DecodeError("CSV", f"row {number}: {exc}") from exc
        if row:
            yield number, row


def _refuse_twice(names: Sequence[str]) -> None:
    twice = [name for n, name in enumerate(names) if name in names[:n]]
    if twice:
        raise DecodeError("CSV", f"two fields are called {twice[0]!r}")


def written(
    rows: Any,
    layout: Layout,
    *,
    header: bool,
    fieldnames: Sequence[str] | None,
    newline: str,
) -> str:
    """Rows (dicts or lists) as a text.

    Raises:
        CodecError: one cannot be written; with its number.
    """
    if isinstance(rows, str | bytes | Mapping) or not hasattr(rows, "__iter__"):
        kind = type(rows).__name__
        raise CodecError(f"CSV is written from a list of rows, not {kind}")
    found = list(rows)
    names = fieldnames
    if names is None and found and isinstance(found[0], Mapping):
        names = list(found[0])
    stream = io.StringIO(newline="")
    writer = layout.writer(stream, newline)
    if header and names is not None:
        writer.writerow(names)
    for number, row in enumerate(found, 1):
        try:
            writer.writerow(_fields(row, names))
        except (csv.Error, CodecError) as exc:
            raise CodecError(f"row {number} cannot be written: {exc}") from exc
    return stream.getvalue()


def _fields(row: Any, names: Sequence[str] | None) -> Sequence[Any]:
    if isinstance(row, Mapping):
        known = names or ()
        others = [str(key) for key in row if key not in known]
        if others:
            raise CodecError(f"no field is called {others[0]!r}")
        return [row.get(name) for name in known]
    if isinstance(row, str | bytes) or not isinstance(row, Sequence):
        raise CodecError(f"it is {type(row).__name__}, and no dict or list")
    if names is not None and len(row) != len(names):
        raise CodecError(f"it has {len(row)} fields, and not {len(names)}")
    return row
