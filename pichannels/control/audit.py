"""The audit log: who did what, when, and what came of it. It only grows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from pichannels import clock
from pichannels.private_files import PrivateDatabase
from pichannels.values import format_ticks

__all__ = ["Actor", "Audit", "Entry", "Found", "Who", "kept"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS action (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ticks INTEGER NOT NULL,
    user TEXT NOT NULL,
    role TEXT NOT NULL,
    way TEXT NOT NULL,
    address TEXT NOT NULL,
    instance TEXT NOT NULL,
    action TEXT NOT NULL,
    arguments TEXT NOT NULL,
    result TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS action_stays BEFORE UPDATE ON action
BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
CREATE TRIGGER IF NOT EXISTS action_remains BEFORE DELETE ON action
BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
"""
_LONGEST: Final = 4000
_WINDOW: Final = 20_000
"""Actions that one query looks at, at most."""
_PATIENCE: Final = 2.0
_UNKEPT: Final = ("payload", "changes", "messages", "meta", "text", "regex", "error")
_COLUMNS: Final = (
    "id, ticks, user, role, way, address, instance, action, arguments, result, detail"
)


class Who(Protocol):
    """Who did something: its name, what it may do, and how and from where it came."""

    @property
    def name(self) -> str: ...

    @property
    def role(self) -> str: ...

    @property
    def way(self) -> str: ...

    @property
    def address(self) -> str: ...


class Actor(NamedTuple):
    """Somebody who is no user of the pages.

    Attributes:
        name: of the user of the operating system, or how it came.
        role: what it may do.
        way: how it came, such as `terminal`.
        address: where the request came from, or "".
    """

    name: str
    role: str
    way: str
    address: str


def kept(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments as they are kept; of those that hold data, that they were given."""
    given = {k: v for k, v in arguments.items() if v is not None}
    return {k: "(given)" if k in _UNKEPT else v for k, v in given.items()}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One action.

    Attributes:
        id: its number.
        time: ISO 8601.
        user, role, way, address: who. The way is `session` or `token` of a user,
            `password` at a login, `start` for the token of the start, `terminal`,
            or `token` for who shows that of the control server.
        instance: where; "" for what concerns no instance.
        action: what, such as `stop-channel`.
        arguments: as JSON.
        result: `asked` before it is done, then `done`, `failed` or `refused`.
        detail: the error, or what the command told, as JSON.
    """

    id: int
    time: str
    user: str
    role: str
    way: str
    address: str
    instance: str
    action: str
    arguments: str
    result: str
    detail: str


class Found(msgspec.Struct, frozen=True):
    """A page of actions, and where the next one begins.

    Attributes:
        entries: the newest first.
        next: `before` of the next page, or None.
        complete: False where the time was over before the page was full; `next` goes
            on.
    """

    entries: list[Entry]
    next: int | None = None
    complete: bool = True


class Audit:
    """The log in a file of its own; its methods are for threads.

    Args:
        path: of the file; the folder is made.
    """

    def __init__(self, path: Path) -> None:
        self._file = PrivateDatabase(path, _SCHEMA, "the audit log")

    def note(
        self,
        who: Who,
        action: str,
        arguments: Any = None,
        *,
        instance: str = "",
        result: str = "done",
        detail: str = "",
    ) -> None:
        """Add an action; it is durable when this returns.

        Raises:
            PichannelsError: it cannot be written.
        """
        text = msgspec.json.encode(arguments or {}, enc_hook=str).decode()
        row = (
            clock.now(),
            *(who.name, str(who.role), who.way, who.address),
            *(instance, action, text[:_LONGEST], result, detail[:_LONGEST]),
        )
        marks = ", ".join("?" * len(row))
        columns = _COLUMNS.removeprefix("id, ")
        self._file.run(f"INSERT INTO action ({columns}) VALUES ({marks})", row)

    def find(
        self,
        *,
        user: str | None = None,
        action: str | None = None,
        instance: str | None = None,
        start: int | None = None,
        end: int | None = None,
        before: int | None = None,
        count: int = 100,
        seconds: float = _PATIENCE,
    ) -> Found:
        """A page of actions, the newest first.

        Args:
            user, action, instance: only of these.
            start, end: ticks.
            before: only those with a lower number.
            count: how many at most.
            seconds: for which is looked; there may be very many that do not fit.

        Raises:
            PichannelsError: the file cannot be read.
        """
        conditions = {
            "user = ?": user,
            "action = ?": action,
            "instance = ?": instance,
            "ticks >= ?": start,
            "ticks < ?": end,
        }
        wanted = {
            text: value for text, value in conditions.items() if value is not None
        }
        where = " AND ".join(("id >= ?", "id < ?", *wanted))
        sql = f"SELECT {_COLUMNS} FROM action WHERE {where} ORDER BY id DESC LIMIT ?"
        ((newest,),) = self._file.run("SELECT coalesce(max(id), 0) FROM action", ())
        top = newest + 1 if before is None else min(before, newest + 1)
        until = clock.monotonic() + seconds
        rows: list[Any] = []
        # Between two windows there is room for what is to be noted.
        while top > 1 and len(rows) <= count:
            low = max(1, top - _WINDOW)
            given = (low, top, *wanted.values(), count + 1 - len(rows))
            rows += self._file.run(sql, given)
            top = low
            if len(rows) <= count and top > 1 and clock.monotonic() >= until:
                return Found([_entry(row) for row in rows], top, complete=False)
        entries = [_entry(row) for row in rows[:count]]
        return Found(entries, entries[-1].id if len(rows) > count else None)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _entry(row: tuple[Any, ...]) -> Entry:
    id_, ticks, *rest = row
    names = _COLUMNS.split(", ")[2:]
    return Entry(
        id=id_, time=format_ticks(ticks), **dict(zip(names, rest, strict=True))
    )
