"""Facts from elsewhere, added to what comes."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from nodes._batches import keep, set_aside
from nodes._options import at_least, one_of
from nodes._pi import PI
from nodes._places import MISSING, place_in, place_of
from nodes._tables import KINDS, Row, Table as Rows, read_table, table_of
from pichannels.errors import (
    Dropped,
    MessageError,
    Rejected,
    SettingsError,
    UsageError,
)
from pichannels.message import Message
from pichannels.node import BaseNode
from pichannels.values import Sample, Tag

__all__ = ["PI", "Table"]

logger: Final = logging.getLogger("pichannels.nodes")

_TAG_KEYS: Final = ("tag.name", "tag.path", "tag.web_id", "tag.key")
_TAGS_KEPT: Final = 100_000


class Table(BaseNode):
    """Add the facts that a table holds for a tag, or for a field of the payload.

    With a batch, `key` is `tag.name` (or `tag.path`, `tag.web_id`, `tag.key`), and
    the facts are put into `meta["tags"]` once for each tag:
    `msg.meta["tags"][sample.tag.name]["area"]`. Samples stay as they are, unless
    `units_from` or `name_from` name the column with other units or another name:
    then they get a tag that says so, the same one for all samples of the tag. Their
    `event_id` never changes.

    With any other key the payload is a dict: `key` is the path of a field in it
    (`device.id`), or in the meta (`meta.filename`), and the facts are merged into
    the payload.

    Args:
        table: a YAML or CSV file, read when the channel starts, or a mapping of
            keys to rows. Where no key is exact, upper and lower case are the same.
        key: what is looked up.
        column: the column of the file that holds the keys; by default the first (for
            YAML: the keys of a mapping, or the first field of each row in a list).
        to: where the facts go: `payload`, `meta`, or a place in one of them such as
            `payload.asset`. For batches always a place in the meta, `meta.tags`.
        missing: what happens where the table has no row: `keep` goes on without,
            `drop` leaves the sample or message out, `reject` refuses the message,
            `fail` sets the sample aside or lets the message fail.
        units_from, name_from: columns, see above.
        types: for CSV, what makes the value of a column: `{"limit": float}`.
        delimiter: for CSV.
        reload: seconds between looks whether the file has changed. A file that is
            wrong then is told in the log, and the rows from before stay.
        options: those of every node.

    Raises:
        SettingsError: at the start, the file cannot be read (with file and line).
    """

    changes: ClassVar = frozenset({"meta", "payload"})

    def __init__(
        self,
        table: str | os.PathLike[str] | Mapping[Any, Row],
        key: str = "tag.name",
        *,
        column: str | None = None,
        to: str | None = None,
        missing: str = "keep",
        units_from: str | None = None,
        name_from: str | None = None,
        types: Mapping[str, Callable[[str], Any]] | None = None,
        delimiter: str = ",",
        reload: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.missing = one_of("missing", missing, MISSING)
        at_least("reload", reload, 0.01)
        self.reload = reload
        self.path, self._table = _source(table)
        self._read_options = (column, dict(types or {}), delimiter)
        self._key = tuple(key.split("."))
        self._field = _tag_field(key)
        self._field_of = attrgetter(self._field or "name")
        self._name_of = attrgetter(f"tag.{self._field or 'name'}")
        self._to = place_of(to, bool(self._field))
        self._rename = _Rename(name_from, units_from)
        if self._rename and not self._field:
            raise SettingsError("only where tags are looked up", key="units_from")
        self._is_simple = len(self._key) == 1 and self._to == ("payload",)
        self._made: dict[Tag, Tag] = {}
        self._version = (0, 0)
        self._watcher: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the file.

        Raises:
            SettingsError: it cannot be read, or holds no table.
        """
        if self.path is None:
            return
        await self._read(self.path)
        if self.reload is not None:
            self._watcher = asyncio.create_task(
                self._watch(self.path, self.reload), name=f"{self.fullpath()}: reload"
            )

    async def stop(self) -> None:
        """Stop looking at the file."""
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)

    async def _watch(self, path: Path, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            if await asyncio.to_thread(_version, path) == self._version:
                continue
            try:
                await self._read(path)
            except SettingsError as exc:
                logger.error("%s keeps the rows it had: %s", self.fullpath(), exc)

    async def _read(self, path: Path) -> None:
        self._version = await asyncio.to_thread(_version, path)
        table = await asyncio.to_thread(read_table, path, *self._read_options)
        self._table = table
        self._made.clear()
        logger.info("%s: %d rows from %s", self.fullpath(), len(table.rows), path)

    def process(self, msg: Message) -> Message:
        table = self._table
        if table is None:
            raise UsageError(f"{self.fullpath()} has not been started")
        if self._field:
            return self._enrich_batch(msg, table)
        payload = msg.payload
        if self._is_simple and table.is_flat and type(payload) is dict:
            try:
                payload.update(table.rows[payload[self._key[0]]])
                return msg
            except (KeyError, TypeError):
                pass
        return self._enrich_dict(msg, table)

    def _enrich_dict(self, msg: Message, table: Rows) -> Message:
        key = self._looked_up(msg)
        row = table.get(key)
        if row is not None:
            place_in(msg, self._to).update(table.facts(row))
            return msg
        if self.missing == "keep":
            return msg
        why = self._why(key)
        if self.missing == "drop":
            raise Dropped(why)
        raise Rejected(why) if self.missing == "reject" else MessageError(why)

    def _looked_up(self, msg: Message) -> Any:
        """What the key names in the payload or the meta; None when there is none."""
        path = self._key
        found: Any = msg.payload
        if path[0] == "meta" and len(path) > 1:
            found, path = msg.meta, path[1:]
        elif not isinstance(found, dict):
            kind = type(found).__name__
            raise UsageError(f"{self.fullpath()} works on a dict, and got {kind}")
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def _why(self, key: Any) -> str:
        return f"no row for {key!r} in {self.path or 'the table'}"

    def _enrich_batch(self, msg: Message, table: Rows) -> Message:
        samples = msg.payload
        names = self._names(samples)
        found = {name: table.get(name) for name in names}
        causes: dict[int, BaseException | str] = {}
        if self.missing != "keep" and None in found.values():
            causes = self._unknown(samples, found)
            samples = [s for s in samples if found[self._name_of(s)] is not None]
        if self._rename:
            self._put_renamed(msg, found, table)
            samples = [_moved(s, self._renamed(s.tag, found)) for s in samples]
        else:
            _put(place_in(msg, self._to), found, table)
        if causes:
            raise set_aside(msg, causes, samples)
        return keep(msg, samples, "no tag has a row in the table")

    def _names(self, samples: Any) -> set[str]:
        """What is looked up for these samples, each once.

        Raises:
            UsageError: the payload is no list of samples.
        """
        try:
            if type(samples) is list:
                return set(map(self._name_of, samples))
        except AttributeError:
            pass
        raise UsageError(
            f"{self.fullpath()} looks up {'.'.join(self._key)!r} for samples, and got"
            f" {type(samples).__name__}; put decode.PI() before it, or name a field of"
            " the payload as key"
        )

    def _unknown(
        self, samples: list[Sample], found: Mapping[str, Row | None]
    ) -> dict[int, BaseException | str]:
        """What becomes of samples without a row: their causes where they fail.

        Raises:
            Rejected: the message is refused for them.
        """
        names = [self._name_of(sample) for sample in samples]
        causes: dict[int, BaseException | str] = {
            index: self._why(name)
            for index, name in enumerate(names)
            if found[name] is None
        }
        if self.missing == "reject":
            raise Rejected(str(next(iter(causes.values()))))
        return causes if self.missing == "fail" else {}

    def _put_renamed(
        self, msg: Message, found: Mapping[str, Row | None], table: Rows
    ) -> None:
        """Put the facts under what the tags are called from now on."""
        tags = {sample.tag for sample in msg.payload}
        after = {
            self._field_of(self._renamed(tag, found)): found[self._field_of(tag)]
            for tag in tags
        }
        _put(place_in(msg, self._to), after, table)

    def _renamed(self, tag: Tag, found: Mapping[str, Row | None]) -> Tag:
        """The tag that samples get; remembered until the next reload."""
        known = self._made.get(tag)
        if known is None:
            if len(self._made) >= _TAGS_KEPT:
                self._made.clear()
            row = found[self._field_of(tag)]
            known = self._made[tag] = self._rename.of(tag, row)
        return known


class _Rename:
    """Which columns hold the name and the units that a tag gets."""

    def __init__(self, name_from: str | None, units_from: str | None) -> None:
        self._columns = [
            (field, column)
            for field, column in (("name", name_from), ("units", units_from))
            if column is not None
        ]

    def __bool__(self) -> bool:
        return bool(self._columns)

    def of(self, tag: Tag, row: Row | None) -> Tag:
        """The tag as the row wants it; the same one where it wants nothing."""
        changes: dict[str, Any] = {
            field: str(row[column])
            for field, column in self._columns
            if row and row.get(column)
        }
        return msgspec.structs.replace(tag, **changes) if changes else tag


def _moved(sample: Sample, tag: Tag) -> Sample:
    """The same event under another tag."""
    old = sample.tag
    if tag is old:
        return sample
    units = sample.units if tag.units == old.units else tag.units
    if old.key or old.path:
        # The name is no part of the event id then, which need not be made.
        return msgspec.structs.replace(sample, tag=tag, units=units)
    return sample.with_(tag=tag, units=units)


def _source(table: Any) -> tuple[Path | None, Rows | None]:
    if isinstance(table, Mapping):
        return None, table_of(table)
    if not isinstance(table, str | os.PathLike):
        raise UsageError(f"enrich.Table takes a file or a mapping, not {table!r}")
    path = Path(table)
    if path.suffix.lower() not in KINDS:
        raise SettingsError(
            "not a kind of table",
            key="table",
            found=str(table),
            allowed=f"files that end in {', '.join(KINDS)}",
        )
    return path, None


def _tag_field(key: str) -> str:
    """Which field of a tag the key names; empty when it is none of a tag."""
    if not key.startswith("tag."):
        return ""
    return one_of("key", key, _TAG_KEYS).removeprefix("tag.")


def _put(place: dict[Any, Any], found: Mapping[str, Row | None], table: Rows) -> None:
    """Put a copy of each row under its name, added to what is there."""
    for name, row in found.items():
        if row is not None:
            before = place.get(name)
            facts = table.facts(row)
            place[name] = facts if before is None else {**before, **facts}


def _version(path: Path) -> tuple[int, int]:
    try:
        facts = path.stat()
    except OSError:
        return 0, 0
    return facts.st_mtime_ns, facts.st_size
