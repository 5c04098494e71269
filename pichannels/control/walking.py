"""Searching stores of all kinds for a bounded time: what is found by then, and where to
go on.

A store is asked for what it has an index of; all else is looked at a page at a time, in
the order of time, in all stores beside each other.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections import deque
from collections.abc import Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from pichannels import clock
from pichannels.control.fitting import (
    LIVE,
    MessagesWanted,
    entry_test,
    near_event,
    near_uuid,
)
from pichannels.control.frames import event_id_of
from pichannels.control.history import channels_with_store
from pichannels.control.masking import Mask, masked_text
from pichannels.errors import (
    DecodeError,
    MessageNotFound,
    PichannelsError,
    UsageError,
)
from pichannels.piwebasync import webids
from pichannels.project import Project
from pichannels.query import Query, plain_words
from pichannels.states import Entry
from pichannels.store import MessageStore, PageReader
from pichannels.values import format_ticks

__all__ = ["Search", "Spot", "Walked", "walk"]

_PREVIEW: Final = 200
_FIRST_PAGE: Final = 16
_LARGEST_PAGE: Final = 2000
_QUICK, _SLOW = 0.1, 0.3
"""Seconds for a page: then the next one is larger, or smaller."""
_HEAVY: Final = 16 * 2**20
"""Bytes that a page may be of, about."""
_EACH: Final = 200
"""Bytes of one value in a payload, about."""
_LEAST: Final = 0.05


class Search(MessagesWanted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of stored messages, found in a bounded time.

    Attributes:
        seconds: then what is found is the answer, and it tells where to go on.
        elsewhere: not in stores that share the journal.
        mask_fields, mask_texts: what is hidden, and not found, either; see `Mask`.
    """

    seconds: Annotated[float, msgspec.Meta(gt=0, le=60)] = 5.0
    elsewhere: bool = False
    mask_fields: list[str] = []
    mask_texts: list[str] = []


class Walked(msgspec.Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        messages: each in short: `id`, `channel`, `state`, `timestamp`, `uuid`, `lane`,
            `attempts`, `node`, `error` and the beginning of its `payload`.
        next: where to go on, or None where there is no more.
        complete: False where the time was over before the page was full.
        scanned: how many messages were looked at.
        missing: stores that could not be read, and why.
    """

    messages: list[dict[str, Any]]
    next: str | None = None
    complete: bool = True
    scanned: int = 0
    missing: list[str] = []


class Spot(NamedTuple):
    """A message in the order of time, over all stores; `text` is its cursor."""

    ticks: int
    channel: str
    id: str

    @property
    def text(self) -> str:
        """As it is given to who goes on from here."""
        data = msgspec.json.encode(self)
        return base64.urlsafe_b64encode(data).decode().rstrip("=")

    @staticmethod
    def of(text: str) -> Spot:
        """What `text` has made.

        Raises:
            UsageError: it has not.
        """
        try:
            data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            return msgspec.json.decode(data, type=Spot)
        except (binascii.Error, ValueError, msgspec.DecodeError) as exc:
            raise UsageError(f"cursor {text!r} is of no page before") from exc


async def walk(project: Project, wanted: Search) -> Walked:
    """A page of messages in the order of time, the newest first unless said otherwise.

    Raises:
        UsageError: a condition is not of its kind, or there is no such channel.
    """
    if wanted.event_id is not None:
        event = event_id_of(wanted.event_id)
        wanted = msgspec.convert(
            near_event(wanted, event), Search, from_attributes=True
        )
    wanted = near_uuid(wanted)
    plan = _Plan(wanted)
    found = [
        (channel.name, store)
        for channel, store in channels_with_store(project, wanted.channel)
        if not (wanted.elsewhere and store.shares_journal)
    ]
    sources = [_Source(name, store, plan) for name, store in sorted(found, key=_name)]
    return await _Walk(sources, plan).run()


def _name(item: tuple[str, MessageStore]) -> str:
    return item[0]


class _Plan:
    """What is searched for, checked."""

    def __init__(self, wanted: Search) -> None:
        self.wanted = wanted
        self.mask = _mask(wanted)
        self.is_reversed = not wanted.oldest_first
        self.after = None if wanted.cursor is None else Spot.of(wanted.cursor)
        if wanted.json_value is not None and wanted.json_path is None:
            raise UsageError("json_value is for a json_path")
        self.fits = entry_test(wanted, self.mask)
        bounds = Query.of(start_dt=wanted.start, end_dt=wanted.end, state=wanted.state)
        self.first, self.end = bounds.first, bounds.end
        self.until = clock.monotonic() + wanted.seconds

    def place(self, spot: Spot) -> tuple[int, str]:
        """What grows from a message to the next one, over all stores."""
        return (-spot.ticks if self.is_reversed else spot.ticks), spot.channel

    def hints(self, store: MessageStore) -> dict[str, Any]:
        """What a store itself finds without reading all; that, and perhaps more."""
        wanted, found = self.wanted, dict[str, Any]()
        if store.indexes_texts and not self.mask:
            found["text"] = wanted.text
            if wanted.regex is not None and plain_words(wanted.regex):
                found["rtext"] = wanted.regex
        if store.indexes_tags and wanted.tag and _is_web_id(wanted.tag):
            found["tag"] = wanted.tag
        if store.indexes_facts:
            found["meta"] = self._facts() or None
        return {name: value for name, value in found.items() if value is not None}

    def _facts(self) -> dict[str, Any]:
        wanted = self.wanted
        said = "" if self.mask else wanted.error
        facts = {
            "exact_error": wanted.error_class,
            "text_node": wanted.node,
            "text_err_msg": said if wanted.error else None,
            "start_attempts": wanted.attempts or None,
        }
        return {name: value for name, value in facts.items() if value is not None}

    def row(self, channel: str, entry: Entry) -> dict[str, Any]:
        """A message in short, without what is hidden."""
        msg, facts = entry["message"], entry["meta"]
        text = masked_text(msg.payload, self.mask)
        error = str(facts.get("err_msg", ""))
        if self.mask:
            error = self.mask.applied(error)
        attempts = facts.get("attempts")
        return {
            "id": entry["id"],
            "channel": channel,
            "state": entry["state"],
            "timestamp": format_ticks(msg.ticks),
            "uuid": msg.uuid,
            "lane": str(msg.meta.get("lane", LIVE)),
            "attempts": attempts if isinstance(attempts, int) else 0,
            "node": str(facts.get("node") or ""),
            "error": error,
            "payload": text if len(text) <= _PREVIEW else f"{text[:_PREVIEW]}...",
        }


def _mask(wanted: Search) -> Mask | None:
    try:
        mask = Mask(wanted.mask_fields, wanted.mask_texts)
    except re.error as exc:
        raise UsageError(f"mask_texts has no regular expression: {exc}") from exc
    return mask if mask else None


def _is_web_id(tag: str) -> bool:
    try:
        webids.decode(tag)
    except DecodeError:
        return False
    return True


class _Source:
    """One store, a page at a time.

    Attributes:
        rows: what was found and is not given yet.
        reached: the last message that was looked at.
        is_done: there is no more.
    """

    def __init__(self, channel: str, store: MessageStore, plan: _Plan) -> None:
        self.channel = channel
        self.rows: deque[tuple[Spot, dict[str, Any]]] = deque()
        self.reached: Spot | None = None
        self.is_done = False
        self._store = store
        self._plan = plan
        self._hints = plan.hints(store)
        self._reader: PageReader | None = None
        self._last: str | None = None
        self._first, self._end = plan.first, plan.end
        if plan.after is not None:
            self._go_behind(plan.after)

    def _go_behind(self, spot: Spot) -> None:
        if spot.channel == self.channel:
            self._last = spot.id
        # Of one instant, channels before that one are done, and others to be done.
        self._bound(spot.ticks, is_with=spot.channel <= self.channel)

    def _bound(self, ticks: int, *, is_with: bool) -> None:
        if self._plan.is_reversed:
            self._end = min(self._end, ticks + is_with)
        else:
            self._first = max(self._first, ticks + (not is_with))

    async def fill(self, size: int) -> tuple[int, int, float]:
        """Look at a page: how many messages, about how many bytes, and how long.

        Raises:
            PichannelsError, OSError: the store cannot be read.
            UsageError: a regular expression takes too long.
        """
        entries, begun = await self._page(size)
        self.is_done = len(entries) < size
        if entries:
            last = entries[-1]
            self._last = last["id"]
            self.reached = Spot(last["message"].ticks, self.channel, last["id"])
        self.rows += await asyncio.to_thread(self._fitting, entries)
        took = clock.monotonic() - begun
        return len(entries), sum(map(_weight, entries)), took

    async def _page(self, size: int) -> tuple[list[Entry], float]:
        """The next ones, and when they were asked for."""
        begun = clock.monotonic()
        if self._hints:
            left = max(_LEAST, self._plan.until - begun)
            try:
                async with asyncio.timeout(left / 2):
                    return await self._read(size), begun
            except TimeoutError:
                # What it finds by itself may be far away: so on step by step.
                self._hints, self._reader = {}, None
                begun = clock.monotonic()
        return await self._read(size), begun

    async def _read(self, size: int) -> list[Entry]:
        try:
            self._reader = self._reader or self._store.reader(self._query())
            return await self._reader.read(size)
        except MessageNotFound:
            # It was deleted meanwhile: then its time tells where to go on.
            spot = self.reached or self._plan.after
            assert spot is not None
            self._last = None
            self._bound(spot.ticks, is_with=False)
            self._reader = self._store.reader(self._query())
            return await self._reader.read(size)

    def _query(self) -> Query:
        plan = self._plan
        found = Query.of(
            order_by="-timestamp" if plan.is_reversed else "timestamp",
            state=plan.wanted.state,
            start_id=self._last,
            **self._hints,
        )
        return msgspec.structs.replace(found, first=self._first, end=self._end)

    def _fitting(self, entries: Sequence[Entry]) -> list[tuple[Spot, dict[str, Any]]]:
        fits, plan, channel = self._plan.fits, self._plan, self.channel
        return [
            (Spot(each["message"].ticks, channel, each["id"]), plan.row(channel, each))
            for each in entries
            if fits is None or fits(each)
        ]


def _weight(entry: Entry) -> int:
    payload = entry["message"].payload
    if isinstance(payload, str | bytes | bytearray):
        return len(payload)
    return _EACH * len(payload) if isinstance(payload, list | dict | tuple) else _EACH


class _Walk:
    """Goes through several stores in the order of time."""

    def __init__(self, sources: list[_Source], plan: _Plan) -> None:
        self._sources = sources
        self._plan = plan
        self._found: list[tuple[Spot, dict[str, Any]]] = []
        self._scanned = 0
        self._missing: list[str] = []
        self._rest = 0.0
        most = plan.wanted.count + 1
        size = most // max(1, len(sources)) if plan.fits is None else 0
        self._size = min(most, max(size, _FIRST_PAGE))

    async def run(self) -> Walked:
        """Find a page, or what there is of it until the time is over."""
        while True:
            live = [each for each in self._sources if not each.is_done]
            behind = min(live, key=self._order, default=None)
            self._take(behind)
            if behind is None or len(self._found) > self._plan.wanted.count:
                return self._told(None)
            if behind.reached and clock.monotonic() >= self._plan.until:
                return self._told(behind.reached)
            await self._fill(behind)

    def _order(self, source: _Source) -> tuple[bool, tuple[int, str]]:
        spot = source.reached
        return (True, self._plan.place(spot)) if spot else (False, (0, source.channel))

    def _take(self, behind: _Source | None) -> None:
        """Take all that no store can have another message before."""
        place, ready = self._plan.place, list[tuple[Spot, dict[str, Any]]]()
        if behind is not None and behind.reached is None:
            return
        end = place(behind.reached) if behind and behind.reached else None
        for each in self._sources:
            while each.rows and (end is None or place(each.rows[0][0]) <= end):
                ready.append(each.rows.popleft())
        self._found += sorted(ready, key=lambda item: place(item[0]))

    async def _fill(self, source: _Source) -> None:
        # What the instance is for comes first.
        await asyncio.sleep(self._rest)
        try:
            count, size, took = await source.fill(self._size)
        except UsageError:
            raise
        except (PichannelsError, OSError) as exc:
            if len(self._sources) == 1:
                raise
            source.is_done = True
            self._missing.append(f"{source.channel}: {exc}")
            return
        self._scanned += count
        self._pace(took, size / max(1, count))

    def _pace(self, took: float, weight: float) -> None:
        """How many to look at next, and when."""
        size = self._size
        if self._plan.fits is not None:
            size = size * 2 if took < _QUICK else size // 4 if took > _SLOW else size
            left = self._plan.until - clock.monotonic()
            self._rest = max(0.0, min(took, left))
        most = min(_LARGEST_PAGE, int(_HEAVY / max(1.0, weight)))
        self._size = max(1, min(size, most))

    def _told(self, horizon: Spot | None) -> Walked:
        count = self._plan.wanted.count
        place = self._found[count - 1][0] if len(self._found) > count else horizon
        return Walked(
            messages=[row for _, row in self._found[:count]],
            next=None if place is None else place.text,
            complete=horizon is None,
            scanned=self._scanned,
            missing=self._missing,
        )
