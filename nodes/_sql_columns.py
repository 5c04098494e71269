"""What the rows of a table hold: fields of samples and messages, by column."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from nodes._batches import is_batch, no_batch
from nodes._options import function
from pichannels.errors import CodecError, SettingsError, UsageError, nearest
from pichannels.message import Message
from pichannels.values import (
    TICKS_PER_SECOND,
    DigitalState,
    Sample,
    ValueFailure,
    datetime_from_ticks,
    format_ticks,
)

__all__ = ["FIELDS", "Column", "Columns", "Row", "padded"]

Row = tuple[Any, ...]
_OfSample = Callable[[Sample], Any]
_OfMessage = Callable[[Message], Any]
_Values = Callable[[Sequence[Sample], Message], list[Any]]
_NUMBERS: Final = (float, int, bool)
_TYPE: Final = re.compile(r"[A-Za-z][\w (),\[\]]*")


class Column(NamedTuple):
    """One column.

    Attributes:
        kind: `text double bigint integer boolean time`, or "" where `type` tells.
        type: what the settings say, or "".
        field: what it holds, or "" where a function tells.
    """

    name: str
    kind: str = ""
    type: str = ""
    field: str = ""


# What samples and messages have


def _number(sample: Sample) -> float | None:
    value = sample.value
    return float(value) if type(value) in _NUMBERS else None


def _text(sample: Sample) -> str | None:
    value = sample.value
    kind = type(value)
    if value is None or kind in _NUMBERS or kind in (DigitalState, ValueFailure):
        return None
    return value if kind is str else _as_json(value)


def _state(sample: Sample) -> str | None:
    value = sample.value
    return value.name if type(value) is DigitalState else None


def _state_code(sample: Sample) -> int | None:
    value = sample.value
    return value.code if type(value) is DigitalState else None


def _failure(sample: Sample) -> str | None:
    value = sample.value
    return value.message if type(value) is ValueFailure else None


def _units(sample: Sample) -> str:
    return sample.units or sample.tag.units


def _lane(msg: Message) -> str:
    return str(msg.meta.get("lane", "live"))


_SAMPLE_FIELDS: Final[dict[str, tuple[str, _OfSample]]] = {
    "event_id": ("text", attrgetter("event_id")),
    "time": ("time", attrgetter("ticks")),
    "ticks": ("bigint", attrgetter("ticks")),
    "tag": ("text", attrgetter("tag.name")),
    "path": ("text", attrgetter("tag.path")),
    "server": ("text", attrgetter("tag.server")),
    "tag_key": ("text", attrgetter("tag.key")),
    "web_id": ("text", attrgetter("tag.web_id")),
    "value_number": ("double", _number),
    "value_text": ("text", _text),
    "value_state": ("text", _state),
    "state_code": ("integer", _state_code),
    "is_system": ("boolean", attrgetter("is_system")),
    "value_error": ("text", _failure),
    "good": ("boolean", attrgetter("good")),
    "questionable": ("boolean", attrgetter("questionable")),
    "substituted": ("boolean", attrgetter("substituted")),
    "annotated": ("boolean", attrgetter("annotated")),
    "units": ("text", _units),
}
_MESSAGE_FIELDS: Final[dict[str, tuple[str, _OfMessage]]] = {
    "lane": ("text", _lane),
    "deleted": ("boolean", lambda msg: _lane(msg) == "delete"),
    "received_at": ("time", attrgetter("ticks")),
    "uuid": ("text", attrgetter("uuid")),
}
FIELDS: Final = (*_SAMPLE_FIELDS, *_MESSAGE_FIELDS)
"""The names of all fields."""
_NOT_BY_DEFAULT: Final = {"tag_key", "web_id", "uuid"}
_DEFAULT: Final = {name: name for name in FIELDS if name not in _NOT_BY_DEFAULT}


@lru_cache(8192)
def _whole(second: int) -> str:
    return format_ticks(second * TICKS_PER_SECOND)[:-1]


def padded(ticks: int) -> str:
    """ISO 8601 text with all seven digits, whose order is that of time."""
    second, rest = divmod(ticks, TICKS_PER_SECOND)
    return f"{_whole(second)}.{rest:07d}Z"


def _as_json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, OverflowError) as exc:
        raise CodecError(f"SQL and JSON have nothing for it: {exc}") from exc


def _as_text(value: Any) -> str | None:
    return value if value is None or type(value) is str else _as_json(value)


def _as_given(value: Any) -> Any:
    """The value for a column whose type the settings say."""
    return _as_json(value) if type(value) in (dict, list) else value


# The columns of a table


class Columns:
    """The columns of a table, and how messages become rows of it.

    Args:
        columns: column -> field or function of the sample, or names of fields.
        extra: more of them.
        types: SQL types of columns that are not plain fields.
        row: makes the row or rows of a message; `types` names the columns then.
        time: makes of ticks what the database takes as a time.

    Raises:
        SettingsError: a field is not known, a type is none.
        UsageError: something that is neither field nor function.
    """

    def __init__(
        self,
        columns: Mapping[str, Any] | Sequence[str] | None = None,
        extra: Mapping[str, Any] | None = None,
        types: Mapping[str, str] | None = None,
        row: Callable[[Message], Any] | None = None,
        *,
        time: Callable[[int], datetime | str] = datetime_from_ticks,
    ) -> None:
        self._time = time
        self._types = _checked_types(types or {})
        self._row = row
        self._values: list[_Values] = []
        self.columns: list[Column] = []
        if row is not None:
            function("row", row, may_be_async=False)
            self._of_rows(columns or extra)
            return
        for name, source in {**_by_name(columns), **(extra or {})}.items():
            column, values = self._made(name, source)
            self.columns.append(column)
            self._values.append(values)
        self._refuse_unused()

    def _of_rows(self, others: Any) -> None:
        if others:
            raise UsageError("row= makes the whole row; name its columns with types=")
        if not self._types:
            raise SettingsError(
                "row= needs the columns", key="types", allowed="{column: SQL type}"
            )
        self.columns = [Column(name, "", sql) for name, sql in self._types.items()]

    def _refuse_unused(self) -> None:
        for name in self._types:
            if name not in self.names:
                hint = nearest(name, self.names)
                raise SettingsError(f"no such column{hint}", key="types", found=name)

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [column.name for column in self.columns]

    def holding(self, field: str) -> str:
        """The column that holds a field, or ""."""
        found = (c.name for c in self.columns if c.field == field)
        by_name = field if self._row is not None and field in self.names else ""
        return next(found, by_name)

    def _made(self, name: str, source: Any) -> tuple[Column, _Values]:
        sql = self._types.get(name, "")
        if not isinstance(source, str):
            of_sample = function(f"column {name!r}", source, may_be_async=False)
            return Column(name, "" if sql else "text", sql), self._called(
                of_sample, sql
            )
        if source in _SAMPLE_FIELDS:
            kind, get = _SAMPLE_FIELDS[source]
            return Column(name, kind, sql, source), self._each(kind, get)
        if source in _MESSAGE_FIELDS:
            kind, of_message = _MESSAGE_FIELDS[source]
            return Column(name, kind, sql, source), self._same(kind, of_message)
        return Column(name, "" if sql else "text", sql), self._found(source, sql)

    def _each(self, kind: str, get: _OfSample) -> _Values:
        if kind != "time":
            return lambda samples, msg: list(map(get, samples))
        time = self._time
        return lambda samples, msg: [time(s.ticks) for s in samples]

    def _same(self, kind: str, get: _OfMessage) -> _Values:
        time = self._time if kind == "time" else None

        def values(samples: Sequence[Sample], msg: Message) -> list[Any]:
            value = get(msg)
            return [value if time is None else time(value)] * len(samples)

        return values

    def _called(self, get: _OfSample, sql: str) -> _Values:
        fit = _as_given if sql else _as_text
        return lambda samples, msg: [fit(get(sample)) for sample in samples]

    def _found(self, source: str, sql: str) -> _Values:
        """The getter of `meta.NAME`, `ctx.NAME` or `tags.NAME`."""
        place, _, name = source.partition(".")
        fit = _as_given if sql else _as_text
        if not name or place not in ("meta", "ctx", "tags"):
            hint = nearest(source, FIELDS)
            raise SettingsError(
                f"no such field{hint}",
                key="columns",
                found=source,
                allowed=f"{', '.join(FIELDS)}, meta.NAME, ctx.NAME, tags.NAME",
            )
        if place == "tags":
            return lambda samples, msg: [
                fit(fact) for fact in _facts(samples, msg, name)
            ]
        if place == "meta":
            return lambda samples, msg: [fit(msg.meta.get(name))] * len(samples)
        return lambda samples, msg: [fit(_kept(msg, name))] * len(samples)

    def rows(self, msg: Message) -> list[Row]:
        """The rows of a message.

        Raises:
            CodecError: a value that SQL has nothing for, or no row.
            UsageError: no batch, and there is no function that makes the row.
        """
        if self._row is not None:
            return self._rows_made(self._row, msg)
        samples = msg.payload
        if not is_batch(samples):
            raise no_batch("publish to SQL (without row=)", samples)
        try:
            values = [get(samples, msg) for get in self._values]
        except CodecError:
            raise
        except Exception as exc:
            # Functions of the settings may raise anything.
            raise CodecError(f"{type(exc).__name__}: {exc}") from exc
        return list(zip(*values, strict=True))

    def _rows_made(self, row: Callable[[Message], Any], msg: Message) -> list[Row]:
        try:
            made = row(msg)
            rows = [made] if isinstance(made, Mapping) else list(made)
        except Exception as exc:
            # Functions of the settings may raise anything.
            raise CodecError(f"row() failed: {type(exc).__name__}: {exc}") from exc
        return [self._row_made(each) for each in rows]

    def _row_made(self, row: Any) -> Row:
        if not isinstance(row, Mapping):
            raise CodecError(f"row() gave {type(row).__name__}, no mapping")
        for name in row:
            if name not in self._types:
                hint = nearest(str(name), self._types)
                raise CodecError(f"row() gave a column {name!r} that is not{hint}")
        return tuple(_as_given(row.get(name)) for name in self._types)


def _by_name(columns: Mapping[str, Any] | Sequence[str] | None) -> Mapping[str, Any]:
    if columns is None:
        return _DEFAULT
    if isinstance(columns, str):
        raise SettingsError("a list or mapping", key="columns", found=columns)
    if isinstance(columns, Mapping):
        return columns
    return {name: name for name in columns}


def _checked_types(types: Mapping[str, str]) -> dict[str, str]:
    for name, sql in types.items():
        if not isinstance(sql, str) or not _TYPE.fullmatch(sql):
            raise SettingsError("no SQL type", key=f"types: {name}", found=sql)
    return dict(types)


def _facts(samples: Sequence[Sample], msg: Message, name: str) -> list[Any]:
    """What `enrich` nodes know of the tag of each sample."""
    facts = msg.meta.get("tags") or {}
    return [(facts.get(sample.tag.name) or {}).get(name) for sample in samples]


def _kept(msg: Message, name: str) -> Any:
    """The payload that was kept in the context under a name."""
    return (msg.ctx.get(name) or {}).get("payload")
