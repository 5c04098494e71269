"""The table that rows go to: how it is made, checked and written, as SQL text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from nodes._sql_columns import Column, Columns
from pichannels.errors import SettingsError, nearest

__all__ = ["Dialect", "Found", "Table", "quoted"]


class Dialect(NamedTuple):
    """What differs between databases.

    Attributes:
        types: kind of column -> the type that a new table has.
        fitting: kind of column -> the types that a table found may have.
        has_schemas: whether a point in a name separates schema and table.
        has_cases: whether upper and lower case differ in names of columns.
    """

    types: Mapping[str, str]
    fitting: Mapping[str, frozenset[str]]
    has_schemas: bool
    has_cases: bool


class Found(NamedTuple):
    """What the database says about a table.

    Attributes:
        columns: column -> its type.
        required: columns that need a value and have no default.
        unique: the columns of each unique index that covers all rows.
    """

    columns: Mapping[str, str]
    required: frozenset[str]
    unique: Sequence[frozenset[str]]


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


class Table:
    """A table with these columns, in which the key names each row once.

    Args:
        name: of the table, in PostgreSQL perhaps `schema.table`.
        columns: what its rows hold.
        key: the columns that make a row the same row.
        dialect: of the database.

    Raises:
        SettingsError: the name is none, or a column of the key is missing.
    """

    def __init__(
        self, name: str, columns: Columns, key: Sequence[str], dialect: Dialect
    ) -> None:
        parts = name.split(".") if dialect.has_schemas else [name]
        if not all(parts) or len(parts) > 2 or "\0" in name:
            raise SettingsError("not the name of a table", key="table", found=name)
        self.name = name
        self.quoted = ".".join(map(quoted, parts))
        self.columns: Sequence[Column] = columns.columns
        self.names: Final = columns.names
        self.key = [key] if isinstance(key, str) else list(key)
        self.schema = quoted(parts[0]) if len(parts) == 2 else ""
        self.places = [self._place(name) for name in self.key]
        self._time = columns.holding("time")
        self._tag = columns.holding("tag")
        self.tag_place = self.names.index(self._tag) if self._tag else None
        self._dialect = dialect

    def _place(self, name: str) -> int:
        if name not in self.names:
            hint = nearest(name, self.names)
            raise SettingsError(
                f"this column is not among the columns{hint}", key="key", found=name
            )
        return self.names.index(name)

    def create(self) -> list[str]:
        """The statements that make the table where it is not there."""
        columns = [f"{quoted(c.name)} {self._type_of(c)}" for c in self.columns]
        key = ", ".join(map(quoted, self.key))
        made = [
            f"CREATE TABLE IF NOT EXISTS {self.quoted}"
            f" ({', '.join(columns)}, PRIMARY KEY ({key}))"
        ]
        if self._tag and self._time:
            index = quoted(f"{self.name.rpartition('.')[2]}_by_tag")
            pair = f"{quoted(self._tag)}, {quoted(self._time)}"
            made.append(f"CREATE INDEX IF NOT EXISTS {index} ON {self.quoted} ({pair})")
        return made

    def _type_of(self, column: Column) -> str:
        sql = column.type or self._dialect.types[column.kind]
        return f"{sql} NOT NULL" if column.name in self.key else sql

    def insert(self, source: str, mode: str) -> str:
        """The statement that writes the rows of `source`.

        Args:
            source: `VALUES ...` or `SELECT ...`.
            mode: `update` or `ignore`: what happens to rows that are there.
        """
        names = ", ".join(map(quoted, self.names))
        key = ", ".join(map(quoted, self.key))
        others = [quoted(name) for name in self.names if name not in self.key]
        action = "DO NOTHING"
        if mode == "update" and others:
            changes = ", ".join(f"{name} = excluded.{name}" for name in others)
            action = f"DO UPDATE SET {changes}"
        return (
            f"INSERT INTO {self.quoted} ({names}) {source} ON CONFLICT ({key}) {action}"
        )

    def delete(self, marks: Sequence[str]) -> str:
        """The statement that removes the row of a key; `marks` stand for its values."""
        where = [
            f"{quoted(k)} = {mark}" for k, mark in zip(self.key, marks, strict=True)
        ]
        return f"DELETE FROM {self.quoted} WHERE {' AND '.join(where)}"

    def problems(self, found: Found) -> Iterator[str]:
        """Why rows would not fit into a table that is there."""
        known = {self._folded(name): kind for name, kind in found.columns.items()}
        names = {self._folded(name) for name in self.names}
        for column in self.columns:
            sql = known.get(self._folded(column.name))
            if sql is None:
                hint = nearest(column.name, found.columns)
                yield f"it has no column {column.name!r}{hint}"
            elif not self._fits(column, sql):
                wanted = self._dialect.types[column.kind]
                yield f"column {column.name!r} is {sql}, and {wanted} is needed"
        for name in sorted(found.required):
            if self._folded(name) not in names:
                yield f"column {name!r} needs a value and gets none"
        key = frozenset(map(self._folded, self.key))
        if key not in [frozenset(map(self._folded, each)) for each in found.unique]:
            yield f"it has no unique index on ({', '.join(self.key)})"

    def _fits(self, column: Column, sql: str) -> bool:
        fitting = self._dialect.fitting.get(column.kind)
        return bool(column.type) or fitting is None or sql in fitting

    def _folded(self, name: str) -> str:
        return name if self._dialect.has_cases else name.lower()
