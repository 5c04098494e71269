"""What can be looked at, as far as the role of who looks allows.

The pages call this in their own process, the API by its routes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec

from pichannels.control.archive import Archived, ArchiveWanted
from pichannels.control.chosen import Chosen, Grouped, Listed
from pichannels.control.failure_groups import FailureGroup
from pichannels.control.frames import (
    MessageSamples,
    SamplesWanted,
    page_of,
)
from pichannels.control.masking import Mask
from pichannels.errors import (
    CodecError,
    JournalError,
    PichannelsError,
    UsageError,
    nearest,
)
from pichannels.journal.reader import read_record
from pichannels.journal.records import Record
from pichannels.message import Message
from pichannels.ui.content import (
    MessageView,
    hidden_error,
    masked_message,
    view_of,
)
from pichannels.ui.failures import (
    GroupsFound,
    LettersFound,
    LettersWanted,
    groups_in,
    hidden_group,
    letters_in,
)
from pichannels.ui.links import Link
from pichannels.ui.reading import Timed
from pichannels.ui.roles import Principal, Role
from pichannels.ui.searches import Searches
from pichannels.ui.tag_values import (
    LatestWanted,
    Values,
    ValuesWanted,
    latest,
    values_of,
)

__all__ = ["InstanceRow", "NoSuchChannel", "ReadModel"]

T = TypeVar("T")

_OPEN: Final = Mask()
_READ_HERE: Final = {
    *("channel", "node", "error", "group", "start", "end"),
    *("skip", "count", "cursor"),
}
"""Conditions on dead letters that are looked at here; the instance knows all."""


class NoSuchChannel(PichannelsError):
    """The instance has no channel of this name."""


class InstanceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One instance.

    Attributes:
        name: how it is called here.
        connected: whether it answers.
        error: why it does not.
        project, version, state, is_ready: what it tells of itself, where it answers.
        has_journal: whether its messages are read here; else it is asked for them.
    """

    name: str
    connected: bool
    error: str = ""
    project: str = ""
    version: str = ""
    state: str = ""
    is_ready: bool = False
    has_journal: bool = False


class ReadModel(Searches):
    """Reads journals for a bounded time, and asks the instances for all else.

    All methods raise `NotAllowed` where the role is not enough, `NoSuchInstance`,
    `OverBudget`, and `NoInstance`, `NotConnected` or `CommandFailed` where the instance
    does not answer or refuses.

    Args:
        links: the instances.
        budget: what searches may take.
        mask: what only administrators see.
    """

    # Instances

    async def instances(self, who: Principal) -> list[InstanceRow]:
        """All instances, also those that do not answer."""
        who.need(Role.VIEW)
        return await asyncio.gather(*(_row(link) for link in self._links.all()))

    async def status(self, who: Principal, instance: str) -> dict[str, Any]:
        """The status of an instance; see `StatusReport`."""
        who.need(Role.VIEW)
        found = await self._links.get(instance).status()
        mask = self.mask_for(who)
        sinks = [{**s, "error": hidden_error(s["error"], mask)} for s in found["sinks"]]
        return {**found, "sinks": sinks}

    async def channel(self, who: Principal, instance: str, name: str) -> dict[str, Any]:
        """The status of a channel; see `ChannelReport`.

        Raises:
            NoSuchChannel: there is none.
        """
        channels = (await self.status(who, instance))["channels"]
        known = {each["name"]: each for each in channels}
        if name not in known:
            hint = nearest(name, known)
            raise NoSuchChannel(f"there is no channel {name!r}{hint}")
        found: dict[str, Any] = known[name]
        return found

    async def graph(
        self, who: Principal, instance: str, channel: str | None = None
    ) -> dict[str, Any]:
        """Boxes and arrows; see `GraphReport`."""
        who.need(Role.VIEW)
        found: dict[str, Any] = await self._fresh(
            instance, 1.0, "graph", channel=channel
        )
        return found

    async def stores(self, who: Principal, instance: str) -> list[dict[str, Any]]:
        """The message stores: `channel`, `store`, `messages`, `journal`."""
        who.need(Role.VIEW)
        found: list[dict[str, Any]] = await self._fresh(instance, 5.0, "stores")
        return found

    async def settings(self, who: Principal, instance: str) -> dict[str, Any]:
        """What holds; see `SettingsReport`."""
        who.need(Role.VIEW)
        found: dict[str, Any] = await self._fresh(instance, 1.0, "settings")
        return found

    # Messages

    async def message(
        self, who: Principal, instance: str, id: str, channel: str | None = None
    ) -> MessageView:
        """One stored message, whole.

        Raises:
            MessageNotFound: there is none.
        """
        who.need(Role.VIEW)
        mask = self.mask_for(who)
        record = await self._record(self._links.get(instance), id, channel)
        if record is not None:
            return await asyncio.to_thread(view_of, record, mask)
        found = await self._links.get(instance).command("show", id=id, channel=channel)
        return masked_message(msgspec.convert(found, MessageView), mask)

    async def samples(
        self, who: Principal, instance: str, wanted: SamplesWanted
    ) -> MessageSamples:
        """The samples of a message with their event ids, also of documents of PI.

        Raises:
            MessageNotFound: there is no such message.
        """
        who.need(Role.DATA)
        mask, link = self.mask_for(who) or _OPEN, self._links.get(instance)
        record = await self._record(link, wanted.id, wanted.channel)
        if record is not None:
            return await asyncio.to_thread(_samples, record.message, wanted, mask)
        found = await link.command("show", id=wanted.id, channel=wanted.channel)
        text = msgspec.json.encode(found["message"]).decode()
        return await asyncio.to_thread(
            _samples, lambda: Message.from_json(text), wanted, mask
        )

    async def _record(self, link: Link, id: str, channel: str | None) -> Record | None:
        """The message in the journal; None where another store may have it."""
        if link.journal is None or not _is_number(id):
            return None
        if await self._is_elsewhere(link, channel):
            return None

        def read(timed: Timed) -> Record | None:
            return read_record(timed.conn, channel, int(id))

        return await link.journal.run(read, self._budget.search_seconds)

    # Dead letters

    async def dead_letters(
        self, who: Principal, instance: str, wanted: Listed
    ) -> list[dict[str, Any]]:
        """A page of dead letters, the newest first.

        Raises:
            JournalError: none was found in the time for one search.
        """
        asked = LettersWanted(**msgspec.structs.asdict(wanted))
        found = await self.letters(who, instance, asked)
        if not (found.letters or found.is_complete):
            raise JournalError("reading took too long; ask for less")
        return found.letters

    async def letters(
        self, who: Principal, instance: str, wanted: LettersWanted
    ) -> LettersFound:
        """A page of dead letters, the newest first, and where the next one begins."""
        who.need(Role.DATA if wanted.error else Role.VIEW)
        link, mask = self._links.get(instance), self.mask_for(who)
        with self._budget.search() as seconds:
            given = {k for k, v in msgspec.structs.asdict(wanted).items() if v}
            if link.journal is not None and given <= _READ_HERE:
                page = await link.journal.run(
                    lambda timed: letters_in(timed, wanted, mask), seconds
                )
                if not page.letters and wanted.channel:
                    await self._check_channel(link, wanted.channel)
                return page
            _check_error(wanted, mask)
            return await _asked_letters(link, wanted, mask)

    async def dead_groups(
        self, who: Principal, instance: str, wanted: Grouped
    ) -> GroupsFound:
        """Dead letters that are alike, the largest groups first."""
        who.need(Role.DATA if wanted.error else Role.VIEW)
        link, mask = self._links.get(instance), self.mask_for(who)
        with self._budget.search() as seconds:
            if link.journal is not None and not wanted.ids:
                groups = await link.journal.run(
                    lambda timed: groups_in(timed, wanted, mask), seconds
                )
                if not groups.groups and wanted.channel:
                    await self._check_channel(link, wanted.channel)
                return groups
            _check_error(wanted, mask)
            rows = await link.command("dead-groups", **msgspec.structs.asdict(wanted))
        found = [
            hidden_group(each, mask)
            for each in msgspec.convert(rows, list[FailureGroup])
        ]
        scanned = sum(each.count for each in found)
        is_complete = scanned < wanted.count
        return GroupsFound(groups=found, scanned=scanned, complete=is_complete)

    async def parked(
        self, who: Principal, instance: str, channel: str | None = None
    ) -> list[dict[str, Any]]:
        """The tags that wait behind dead letters; see `Parked`."""
        who.need(Role.VIEW)
        found: list[dict[str, Any]] = await self._fresh(
            instance, 2.0, "dead-parked", channel=channel
        )
        return found

    async def dead_letter(
        self, who: Principal, instance: str, id: str
    ) -> dict[str, Any]:
        """One dead letter, whole."""
        who.need(Role.DATA)
        found = await self._links.get(instance).command("dead-show", id=id)
        shown: dict[str, Any] = (self.mask_for(who) or _OPEN).applied(found)
        return shown

    # Tags

    async def tags(self, who: Principal, instance: str, channel: str) -> dict[str, Any]:
        """The tags of a channel; see `TagsReport`."""
        who.need(Role.VIEW)
        found: dict[str, Any] = await self._fresh(
            instance, 5.0, "tags", channel=channel
        )
        return found

    async def latest(
        self, who: Principal, instance: str, channel: str, tags: Sequence[str] = ()
    ) -> Values:
        """The last values of the tags of a channel, or of some by WebID."""
        wanted = LatestWanted(channel=channel, tags=list(tags))
        return await self._values(who, instance, lambda timed: latest(timed, wanted))

    async def values(
        self, who: Principal, instance: str, wanted: ValuesWanted
    ) -> Values:
        """The values of a tag in a range, as they were received.

        Raises:
            UsageError: a time is none.
        """
        who.need(Role.DATA)
        key = await self._tag_key(self._links.get(instance), wanted.tag)
        asked = msgspec.structs.replace(wanted, tag=key)
        return await self._values(who, instance, lambda timed: values_of(timed, asked))

    async def archive(
        self, who: Principal, instance: str, wanted: ArchiveWanted
    ) -> Archived:
        """What PI itself holds of a tag, as it is drawn."""
        who.need(Role.DATA)
        given = msgspec.structs.asdict(wanted)
        found = await self._fresh(instance, 30.0, "archive", **given)
        shown = (self.mask_for(who) or _OPEN).applied(found)
        return msgspec.convert(shown, Archived)

    async def _values(
        self, who: Principal, instance: str, read: Callable[[Timed], Values]
    ) -> Values:
        who.need(Role.DATA)
        link = self._links.get(instance)
        if link.journal is None:
            raise JournalError(f"the journal of {instance} is on another machine")
        with self._budget.search() as seconds:
            found = await link.journal.run(read, seconds)
        mask = self.mask_for(who)
        if not mask:
            return found
        rows = mask.applied(msgspec.to_builtins(found))
        return msgspec.convert(rows, Values)


async def _row(link: Link) -> InstanceRow:
    has_journal = link.journal is not None
    try:
        status = await link.status()
    except PichannelsError as exc:
        return InstanceRow(
            name=link.name, connected=False, error=str(exc), has_journal=has_journal
        )
    return InstanceRow(
        name=link.name,
        connected=True,
        project=status["project"],
        version=status["version"],
        state=status["state"],
        is_ready=status["is_ready"],
        has_journal=has_journal,
    )


def _check_error(wanted: Chosen, mask: Mask | None) -> None:
    """Refuse what the instance would look for in errors as they are, not masked."""
    if mask and wanted.error:
        raise UsageError("what is masked cannot be searched in this way")


async def _asked_letters(
    link: Link, wanted: LettersWanted, mask: Mask | None
) -> LettersFound:
    """Dead letters of a journal that only the instance can read."""
    skip = wanted.skip if wanted.cursor is None else _number(wanted.cursor)
    asked = msgspec.structs.asdict(wanted)
    del asked["cursor"]
    asked |= {"skip": skip, "count": wanted.count + 1}
    rows = await link.command("dead-list", **asked)
    letters = [_hidden(row, ("error", "payload"), mask) for row in rows]
    is_more = len(letters) > wanted.count
    after = str(skip + wanted.count) if is_more else None
    return LettersFound(letters[: wanted.count], after)


def _number(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
        raise UsageError(f"cursor {cursor!r} is of no page before")
    return int(cursor)


def _samples(
    read: Callable[[], Message], wanted: SamplesWanted, mask: Mask
) -> MessageSamples:
    try:
        return page_of(read(), wanted, mask)
    except CodecError:
        # One that cannot be read has none.
        return MessageSamples(samples=[], total=0)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


def _hidden(
    row: dict[str, Any], names: tuple[str, ...], mask: Mask | None
) -> dict[str, Any]:
    if mask is None:
        return {**row, **dict.fromkeys(names)}
    return {**row, **{name: mask.applied(row[name]) for name in names}}
