"""Stored messages, found wherever they are kept, as far as one may see them.

The journal of an instance on this machine is read here; other stores are searched by
the instance, which is told for how long, and what must not be found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import msgspec

from pichannels.control.fitting import MessagesWanted
from pichannels.control.frames import event_id_of
from pichannels.control.masking import Mask
from pichannels.control.refusals import NoInstance
from pichannels.control.walking import Search, Spot
from pichannels.errors import (
    NoSuchName,
    NotConnected,
    PichannelsError,
    UsageError,
    nearest,
)
from pichannels.piwebasync.event_tags import key_in
from pichannels.ui.budget import Budget
from pichannels.ui.content import MessageRow, hidden_error, row_of
from pichannels.ui.links import Link, Links
from pichannels.ui.reading import Timed
from pichannels.ui.reports import Reports
from pichannels.ui.roles import Principal, Role
from pichannels.ui.searching import is_known, search_journal
from pichannels.values import parse_ticks

__all__ = ["MessagePage", "Searches", "merged"]

_OPEN: Final = Mask()
_NAMES: Final = 300.0
"""Seconds for which names of tags are known; there may be very many."""
_BOTH: Final = "~"
"""Stands between the cursors of the journal and of other stores."""
_DONE: Final = "-"


class MessagePage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of messages.

    Attributes:
        messages: those that were found.
        next: the cursor of the next page, or None.
        complete: False where the time was over before the page was full; `next` goes
            on.
        scanned: how many messages were looked at, where that is known.
        missing: stores that could not be searched, and why.
    """

    messages: list[MessageRow]
    next: str | None = None
    complete: bool = True
    scanned: int | None = None
    missing: list[str] = []


_Read = Callable[[Link, MessagesWanted, Mask | None, float], Awaitable[MessagePage]]


class Searches(Reports):
    """Searches journals here, and lets instances search their other stores.

    Methods raise as those of `ReadModel`.

    Args:
        links: the instances.
        budget: what searches may take.
        mask: what only administrators see.
    """

    def __init__(self, links: Links, budget: Budget, mask: Mask) -> None:
        super().__init__(links)
        self._budget = budget
        self._mask = mask

    def mask_for(self, who: Principal) -> Mask | None:
        """What is hidden from a user; None: all payloads."""
        if not who.role.may(Role.DATA):
            return None
        return _OPEN if who.role.may(Role.ADMIN) else self._mask

    async def messages(
        self,
        who: Principal,
        instance: str,
        wanted: MessagesWanted,
        *,
        with_values: bool = False,
    ) -> MessagePage:
        """A page of stored messages.

        Args:
            with_values: as for `row_of`, for messages of the journal.

        Raises:
            JournalError: the journal cannot be read.
            UsageError: a condition is not of its kind.
        """
        who.need(Role.DATA if wanted.looks_inside else Role.VIEW)
        link, mask = self._links.get(instance), self.mask_for(who)
        wanted = await self._with_key(link, wanted)
        read = partial(self._read, with_values=with_values)
        with self._budget.search() as seconds:
            if link.journal is None:
                return await self._asked(link, wanted, mask, seconds)
            own, shared = await self._kept_in(link, wanted.channel)
            if not own:
                page = await read(link, wanted, mask, seconds)
                if not page.messages and wanted.channel is not None:
                    await self._check_channel(link, wanted.channel)
                return page
            if not shared:
                return await self._asked(link, wanted, mask, seconds)
            return await self._both(link, wanted, mask, seconds, read)

    async def _kept_in(self, link: Link, channel: str | None) -> tuple[bool, bool]:
        """Whether messages are in stores of their own, and whether in the journal."""
        try:
            found = await self._fresh(link.name, 60.0, "stores", count=False)
        except PichannelsError:
            # It does not run: then there is only the journal.
            return False, True
        stores = [each for each in found if channel in (None, each["channel"])]
        own = any(not each.get("journal", True) for each in stores)
        return own, channel is None or not own

    async def _check_channel(self, link: Link, name: str) -> None:
        """Refuse a name that no channel has, nor one that was there before.

        Raises:
            NoSuchName: this is one.
        """
        try:
            channels = (await link.status())["channels"]
        except PichannelsError:
            # It does not run: nobody knows which channels there are.
            return
        known = [each["name"] for each in channels]
        if name in known or link.journal is None:
            return
        if not await link.journal.run(
            lambda timed: is_known(timed, name), self._budget.search_seconds
        ):
            raise NoSuchName(f"there is no channel {name!r}{nearest(name, known)}")

    async def _is_elsewhere(self, link: Link, channel: str | None) -> bool:
        """Whether the channel keeps its messages in a store of its own."""
        return channel is not None and (await self._kept_in(link, channel))[0]

    async def _read(
        self,
        link: Link,
        wanted: MessagesWanted,
        mask: Mask | None,
        seconds: float,
        *,
        with_values: bool,
    ) -> MessagePage:
        """A page of the journal."""
        assert link.journal is not None

        def look(timed: Timed) -> MessagePage:
            page = search_journal(timed, wanted, mask)
            rows = [row_of(one, mask, with_values=with_values) for one in page.records]
            return MessagePage(
                messages=rows,
                next=page.next,
                complete=page.is_complete,
                scanned=page.scanned,
            )

        return await link.journal.run(look, seconds)

    async def _asked(
        self,
        link: Link,
        wanted: MessagesWanted,
        mask: Mask | None,
        seconds: float,
        *,
        elsewhere: bool = False,
    ) -> MessagePage:
        """A page of stores that only the instance can read."""
        search = Search(
            **msgspec.structs.asdict(wanted),
            seconds=seconds,
            elsewhere=elsewhere,
            mask_fields=mask.fields if mask else [],
            mask_texts=mask.texts if mask else [],
        )
        found = await link.command("search", **msgspec.structs.asdict(search))
        if mask is None:
            for row in found["messages"]:
                row |= {"payload": None, "error": hidden_error(row["error"], None)}
        return msgspec.convert(found, MessagePage)

    # The journal and other stores together

    async def _both(
        self,
        link: Link,
        wanted: MessagesWanted,
        mask: Mask | None,
        seconds: float,
        read: _Read,
    ) -> MessagePage:
        """A page of the journal and of all other stores, in the order of time."""
        here, there = _cursors(wanted.cursor)
        pages: list[MessagePage] = []
        for cursor, search in ((here, read), (there, self._asked_elsewhere)):
            if cursor == _DONE:
                pages.append(MessagePage(messages=[]))
                continue
            part = msgspec.structs.replace(wanted, cursor=cursor or None)
            try:
                pages.append(await search(link, part, mask, seconds / 2))
            except (NotConnected, NoInstance) as exc:
                # What is here is not less for that.
                pages.append(MessagePage(messages=[], missing=[str(exc)]))
        return merged(wanted, pages, (here, there))

    async def _asked_elsewhere(
        self, link: Link, wanted: MessagesWanted, mask: Mask | None, seconds: float
    ) -> MessagePage:
        return await self._asked(link, wanted, mask, seconds, elsewhere=True)

    # Names of tags

    async def _with_key(self, link: Link, wanted: MessagesWanted) -> MessagesWanted:
        """The same with the WebID of its tag, where that is known."""
        if wanted.event_id is not None:
            key = await self._event_key(link, event_id_of(wanted.event_id).key)
            return msgspec.structs.replace(wanted, tag=key)
        if wanted.tag is None:
            return wanted
        key = await self._tag_key(link, wanted.tag)
        return msgspec.structs.replace(wanted, tag=key)

    async def _event_key(self, link: Link, key: str) -> str:
        """The WebID of the tag whose events are identified so; else what was given."""
        known = await self._tag_keys(link)
        if found := known.get(key.upper()):
            return found

        def find() -> str:
            return next((each for each in known.values() if key_in(each) == key), key)

        return await asyncio.to_thread(find)

    async def _tag_key(self, link: Link, tag: str) -> str:
        """The WebID of a tag of this name or path; else what was given."""
        return (await self._tag_keys(link)).get(tag.upper()) or tag

    async def _tag_keys(self, link: Link) -> dict[str, str]:
        """WebIDs by names and paths in capitals; none where nobody tells them."""
        known: dict[str, str] = {}
        try:
            for channel in (await link.status())["channels"]:
                if "tags" in channel["source"]:
                    arguments = {"channel": channel["name"]}
                    found = await self._fresh(link.name, _NAMES, "tags", **arguments)
                    for each in found["streams"]:
                        path = each["tag"].upper()
                        known[path] = known[path.rpartition("\\")[2]] = each["web_id"]
        except PichannelsError:
            # It does not run; WebIDs are found all the same.
            return {}
        return known


def _cursors(text: str | None) -> tuple[str, str]:
    if text is None:
        return "", ""
    here, found, there = text.partition(_BOTH)
    if not found:
        raise UsageError(f"cursor {text!r} is of no page before")
    return here, there


def merged(
    wanted: MessagesWanted, pages: list[MessagePage], before: tuple[str, str]
) -> MessagePage:
    """As many of two pages as nothing can come between, in the order of time.

    Args:
        wanted: what both are pages of.
        pages: of the journal, and of other stores.
        before: the cursors of both.
    """
    sign = 1 if wanted.oldest_first else -1
    ends = [sign * end for page in pages if (end := _reached(page)) is not None]
    horizon = min(ends, default=None)
    rows = sorted(
        (sign * parse_ticks(row.timestamp), side, at)
        for side, page in enumerate(pages)
        for at, row in enumerate(page.messages)
    )
    chosen = [row for row in rows if horizon is None or row[0] <= horizon]
    chosen = chosen[: wanted.count]
    taken = [sum(side == one for _, side, _ in chosen) for one in (0, 1)]
    cursors = [
        _cursor(side, page, taken[side], before[side])
        for side, page in enumerate(pages)
    ]
    is_done = cursors == [_DONE, _DONE]
    found = [(side, pages[side].messages[at]) for _, side, at in chosen]
    # What its store has, too, is in the journal as long as it is not settled, or dead.
    kept = {(row.channel, row.uuid) for row in pages[1].messages}
    return MessagePage(
        messages=[
            row for side, row in found if side or (row.channel, row.uuid) not in kept
        ],
        next=None if is_done else _BOTH.join(cursors),
        complete=all(page.complete for page in pages) or len(chosen) == wanted.count,
        scanned=sum(page.scanned or 0 for page in pages),
        missing=[each for page in pages for each in page.missing],
    )


def _reached(page: MessagePage) -> int | None:
    """Until when a page tells all; None: for ever."""
    if page.next is None:
        return None
    ticks, _, seq = page.next.partition(".")
    return int(ticks) if seq else Spot.of(page.next).ticks


def _cursor(side: int, page: MessagePage, taken: int, before: str) -> str:
    """Where to go on in one of the two, of whose page some were taken."""
    if taken == len(page.messages):
        return page.next or _DONE
    if not taken:
        return before
    last = page.messages[taken - 1]
    ticks = parse_ticks(last.timestamp)
    return Spot(ticks, last.channel, last.id).text if side else f"{ticks}.{last.id}"
