"""A folder of messages: one file each, with its time and state in the name.

    YYYY/MM/DD/HHMMSS.fffffff-<arrival>-<run>.<state>.json
    YYYY/MM/DD/HHMMSS.fffffff-<arrival>-<run>.facts.json

A file is written beside its place, brought to the disk, and then given its name; a
state is changed by giving it another name. So a crash leaves a message as it was
before or after, never half of one. Everything here blocks; it is called in threads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote
from zlib import crc32

from pichannels import clock
from pichannels.errors import MessageNotFound
from pichannels.holding import remove, replace
from pichannels.retention import Outline, Retention
from pichannels.states import State
from pichannels.values import TICKS_PER_SECOND, datetime_from_ticks, parse_ticks

__all__ = ["Folder", "Stored", "folder_name"]

_ID: Final = re.compile(
    r"(\d{4})(\d\d)(\d\d)-(\d{6}\.\d{7}-[0-9a-f]{16}-[0-9a-f]{6})", re.ASCII
)
_FILE: Final = re.compile(
    r"(\d\d)(\d\d)(\d\d)(\.\d{7})-[0-9a-f]{16}-[0-9a-f]{6}\.([a-z_]+)\.json", re.ASCII
)
_STATES: Final = {str(state): state for state in State}
# Windows takes no file of these names, whatever their ending.
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
_LONGEST_NAME: Final = 120


class Stored(NamedTuple):
    """A message as its file's name tells it."""

    id: str
    ticks: int
    state: State
    path: Path


def folder_name(store_id: str) -> str:
    """The name of a folder for any text, different for each, on any system."""
    name = quote(store_id, safe=" ()+,;=@[]{}~!#$&'", errors="backslashreplace")
    if _RESERVED.match(name) or name.startswith((".", " ")):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if name.endswith((".", " ")):
        name = f"{name[:-1]}%{ord(name[-1]):02X}"
    if name != name.lower() or not name or len(name) > _LONGEST_NAME:
        # Upper and lower case are the same on some systems.
        check = crc32(store_id.encode("utf-8", "surrogatepass"))
        name = f"{name[:_LONGEST_NAME]}~{check:08x}"
    return name


class Folder:
    """The messages of one store.

    Args:
        path: the folder; made when it is opened.
        store_id: for errors.
        fsync: what was written is on the disk when a method returns.
    """

    def __init__(self, path: Path, store_id: str, fsync: bool) -> None:
        self.path = path
        self._store_id = store_id
        self._fsync = fsync
        self._drafts = path / "drafts"
        self._run = os.urandom(3).hex()
        self._arrival = 0
        self._known: Path | None = None

    def open(self) -> None:
        """Make the folder, and delete what a crash has left unfinished.

        Raises:
            OSError: it cannot be made.
        """
        self._make(self._drafts)
        for draft in self._drafts.iterdir():
            remove(draft)

    def new_id(self, ticks: int) -> str:
        """An id for a message that was made at `ticks`; called one at a time."""
        self._arrival = max(self._arrival + 1, clock.now())
        seconds, rest = divmod(ticks, TICKS_PER_SECOND)
        moment = datetime_from_ticks(seconds * TICKS_PER_SECOND)
        text = moment.isoformat()[:19].translate({ord("-"): None, ord(":"): None})
        day, _, time = text.partition("T")
        return f"{day}-{time}.{rest:07d}-{self._arrival:016x}-{self._run}"

    def write(self, id: str, data: bytes) -> None:
        """Keep a message, pending.

        Raises:
            OSError: it cannot be written; nothing was kept.
        """
        base = self._base(id)
        self._make(base.parent)
        self._put(data, self._file(base, State.PENDING))

    def read(self, id: str) -> tuple[State, bytes, bytes | None]:
        """The state, the message and the facts about its outcome.

        Raises:
            MessageNotFound: there is no such message.
            OSError: it cannot be read.
        """
        base = self._base(id)
        for _ in range(len(State)):
            state = self.state_of(id)
            with suppress(FileNotFoundError):
                data = self._file(base, state).read_bytes()
                return state, data, _content(_facts(base))
            # Its state was changed in between.
        raise MessageNotFound(self._store_id, id)

    def state_of(self, id: str) -> State:
        """The state of a message.

        Raises:
            MessageNotFound: there is no such message.
        """
        base = self._base(id)
        for state in State:
            if self._file(base, state).exists():
                return state
        raise MessageNotFound(self._store_id, id)

    def change(self, id: str, state: State, facts: bytes | None) -> None:
        """Give a message another state, and facts where there are some.

        Raises:
            MessageNotFound: there is no such message.
            OSError: it cannot be changed.
        """
        base, before = self._base(id), self.state_of(id)
        if facts is not None:
            self._put(facts, _facts(base))
        if state is not before:
            replace(self._file(base, before), self._file(base, state))
            self._sync(base.parent)

    def facts(self, id: str) -> bytes | None:
        """What is known of the outcome of a message.

        Raises:
            OSError: it cannot be read.
        """
        return _content(_facts(self._base(id)))

    def delete(self, id: str) -> None:
        """Forget a message.

        Raises:
            MessageNotFound: there is no such message.
            OSError: it cannot be deleted.
        """
        base = self._base(id)
        remove(self._file(base, self.state_of(id)))
        remove(_facts(base))
        self._sync(base.parent)

    def messages(
        self,
        first: int | None = None,
        end: int | None = None,
        *,
        newest: bool = False,
        after: str | None = None,
    ) -> Iterator[Stored]:
        """The messages in order; only those made from `first` to before `end`.

        Args:
            newest: the other way round.
            after: only those behind this id.
        """
        first, end = _narrowed(first, end, newest, after)
        for day in self._days(first, end, newest):
            found = sorted(_files(day), reverse=newest)
            for name in found:
                stored = _stored(day, name)
                if stored is None or (first is not None and stored.ticks < first):
                    continue
                if end is not None and stored.ticks >= end:
                    continue
                if after is None or _is_behind(stored.id, after, newest):
                    yield stored

    def prune(self, retention: Retention, dry_run: bool) -> int:
        """Delete what is not to be kept; how many messages.

        Raises:
            OSError: something cannot be deleted.
        """
        gone = retention.expired(self._outlines())
        if dry_run:
            return len(gone)
        for id in gone:
            with suppress(MessageNotFound):
                self.delete(id)
        for day in {self._base(id).parent for id in gone}:
            self._remove_empty(day)
        return len(gone)

    def _outlines(self) -> Iterator[Outline[str]]:
        for stored in self.messages():
            with suppress(FileNotFoundError):
                size = stored.path.stat().st_size
                yield Outline(stored.id, stored.ticks, stored.state, size)

    def _remove_empty(self, day: Path) -> None:
        # Not the days of now: somebody may be about to write there.
        if day == self._known or any(_files(day)):
            return
        for folder in (day, day.parent, day.parent.parent):
            try:
                folder.rmdir()
            except OSError:
                return

    def _base(self, id: str) -> Path:
        found = _ID.fullmatch(id)
        if found is None:
            raise MessageNotFound(self._store_id, id)
        year, month, day, name = found.groups()
        return self.path / year / month / day / name

    @staticmethod
    def _file(base: Path, state: State) -> Path:
        return base.with_name(f"{base.name}.{state}.json")

    def _days(self, first: int | None, end: int | None, newest: bool) -> Iterator[Path]:
        low = "" if first is None else _day_of(first)
        high = "9999/99/99" if end is None else _day_of(end)
        for year in _numbered(self.path, 4, newest):
            for month in _numbered(year, 2, newest):
                for day in _numbered(month, 2, newest):
                    if low <= f"{year.name}/{month.name}/{day.name}" <= high:
                        yield day

    def _make(self, folder: Path) -> None:
        if folder == self._known:
            return
        if not folder.is_dir():
            if folder.parent != folder:
                self._make(folder.parent)
            folder.mkdir(exist_ok=True)
            self._sync(folder.parent)
        self._known = folder

    def _put(self, data: bytes, path: Path) -> None:
        draft = self._drafts / path.name
        try:
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                if self._fsync:
                    os.fsync(file.fileno())
            replace(draft, path)
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise
        self._sync(path.parent)

    def _sync(self, folder: Path) -> None:
        # Windows opens no folders; it keeps their entries with the files.
        if not self._fsync or os.name == "nt":
            return
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _facts(base: Path) -> Path:
    return base.with_name(f"{base.name}.facts.json")


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _day_of(ticks: int) -> str:
    try:
        return datetime_from_ticks(ticks).isoformat()[:10].replace("-", "/")
    except OverflowError:
        return "9999/99/99" if ticks > 0 else ""


def _ticks_of(id: str) -> int:
    """When the message was made, in ticks."""
    day, time = id[:8], id[9:23]
    date = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    return parse_ticks(f"{date}T{time[:2]}:{time[2:4]}:{time[4:]}Z")


def _narrowed(
    first: int | None, end: int | None, newest: bool, after: str | None
) -> tuple[int | None, int | None]:
    """The range of time in which there is something behind an id."""
    if after is None:
        return first, end
    ticks = _ticks_of(after)
    if newest:
        return first, ticks + 1 if end is None else min(end, ticks + 1)
    return ticks if first is None else max(first, ticks), end


def _is_behind(id: str, after: str, newest: bool) -> bool:
    # Ids begin with the time and go on with the order of arrival.
    return id < after if newest else id > after


def _numbered(folder: Path, digits: int, newest: bool) -> list[Path]:
    """The folders in a folder whose names are numbers, in order."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [name for name in names if name.isdecimal() and len(name) == digits]
    return [folder / name for name in sorted(found, reverse=newest)]


def _files(day: Path) -> list[str]:
    try:
        return [name for name in os.listdir(day) if name.endswith(".json")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _stored(day: Path, name: str) -> Stored | None:
    found = _FILE.fullmatch(name)
    state = _STATES.get(found[5]) if found else None
    if found is None or state is None:
        return None
    year, month, number = day.parent.parent.name, day.parent.name, day.name
    time = f"{found[1]}:{found[2]}:{found[3]}{found[4]}"
    ticks = parse_ticks(f"{year}-{month}-{number}T{time}Z")
    id = f"{year}{month}{number}-{name.removesuffix(f'.{state}.json')}"
    return Stored(id, ticks, state, day / name)
