"""Reading the message stores of a project, and replaying from them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from pichannels import clock, codecs
from pichannels.channels import BaseChannel
from pichannels.delivery import Outcome
from pichannels.errors import ChannelPaused, CodecError, MessageNotFound, UsageError
from pichannels.journal import Journal, payload_text
from pichannels.project import Project
from pichannels.states import replayed
from pichannels.store import Entry, MessageStore, State
from pichannels.values import format_ticks

__all__ = [
    "ReplayReport",
    "Search",
    "Selection",
    "back_up",
    "channels_with_store",
    "replay",
    "search",
    "show",
    "stores",
]

_PAGE: Final = 200
_PREVIEW: Final = 200
_FAILURES_SHOWN: Final = 20


class Selection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which stored messages are meant.

    Attributes:
        channel: of this one; of all channels with a store when empty.
        ids: only these; no other condition but a state goes with them.
        start, end: made at or after, and before (ISO 8601).
        state: only messages in this state.
        text, regex: what the text of the payload contains, or matches.
    """

    channel: str | None = None
    ids: list[str] | None = None
    start: str | None = None
    end: str | None = None
    state: str | None = None
    text: str | None = None
    regex: str | None = None

    def filters(self) -> dict[str, Any]:
        """The arguments for `MessageStore.search`."""
        return {
            "start_dt": self.start,
            "end_dt": self.end,
            "state": self.state,
            "text": self.text,
            "rtext": self.regex,
        }


class Search(Selection, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A page of stored messages; see `MessageStore.search`."""

    skip: int = 0
    count: int = 20
    order_by: str = "-timestamp"


class ReplayReport(msgspec.Struct, kw_only=True):
    """What a replay did.

    Attributes:
        selected: how many messages the selection holds.
        replayed: how many ran again; then how many ended in each way.
        stored: how many wait until their channel, which is paused, goes on.
        failures: the first that failed or were not found, each with its cause.
    """

    selected: int = 0
    replayed: int = 0
    processed: int = 0
    dropped: int = 0
    rejected: int = 0
    failed: int = 0
    stored: int = 0
    failures: list[dict[str, str]] = msgspec.field(default_factory=list)

    def count(self, channel: str, id: str, outcome: Outcome) -> None:
        """One message ran again."""
        self.replayed += 1
        if outcome.state is State.PROCESSED:
            self.processed += 1
        elif outcome.state is State.DROPPED:
            self.dropped += 1
        else:
            self.rejected += outcome.state is State.REJECTED
            self.failed += outcome.state is State.ERROR
            self.note(channel, id, str(outcome.error))

    def note(self, channel: str, id: str, error: str) -> None:
        """Remember why a message failed; the first ones are told."""
        if len(self.failures) < _FAILURES_SHOWN:
            self.failures.append({"channel": channel, "id": id, "error": error})


def channels_with_store(
    project: Project, name: str | None = None
) -> list[tuple[BaseChannel, MessageStore]]:
    """The channels, and sub-channels, that keep their messages.

    Raises:
        UsageError: the named channel does not exist or has no store.
    """
    if name is None:
        channels = project.all_channels()
    else:
        channels = [project.channel(name)]
    found = [(c, c.message_store) for c in channels if c.message_store is not None]
    if name is not None and not found:
        raise UsageError(f"channel {name!r} has no message store")
    return found


async def stores(project: Project) -> list[dict[str, Any]]:
    """Each store: its channel, its kind and how many messages it holds.

    `journal` says whether they are in the journal of the instance.
    """
    return [
        {
            "channel": channel.name,
            "store": type(store).__name__,
            "messages": await store.total(),
            "journal": store.shares_journal,
        }
        for channel, store in channels_with_store(project)
    ]


async def search(project: Project, wanted: Search) -> list[dict[str, Any]]:
    """A page of stored messages, each in short.

    Raises:
        UsageError: a condition is not of its kind, or there is no such channel.
    """
    if wanted.ids:
        found = [item async for page in _by_id(project, wanted) for item in page]
        return [_in_short(*item) for item in found]
    pages: list[tuple[str, Entry]] = []
    for channel, store in channels_with_store(project, wanted.channel):
        # Each store may hold all of the page.
        entries = await store.search(
            0, wanted.skip + wanted.count, wanted.order_by, **wanted.filters()
        )
        pages += [(channel.name, entry) for entry in entries]
    _sort(pages, wanted.order_by)
    return [_in_short(*item) for item in pages[wanted.skip :][: wanted.count]]


def _sort(pages: list[tuple[str, Entry]], order_by: str) -> None:
    def key(item: tuple[str, Entry]) -> tuple[str, int]:
        state = item[1]["state"] if "state" in order_by else ""
        return state, item[1]["message"].ticks

    pages.sort(key=key, reverse=order_by.startswith("-"))


async def show(project: Project, id: str, channel: str | None) -> dict[str, Any]:
    """One stored message, whole.

    Raises:
        MessageNotFound: no store holds it.
        UsageError: several do, or there is no such channel.
    """
    name, entry = await _one(project, id, channel)
    msg = entry["message"]
    try:
        content = msgspec.json.decode(codecs.encode_json(msg.to_dict()))
    except CodecError:
        content = {"uuid": msg.uuid, "payload": repr(msg.payload)}
    return {
        "id": entry["id"],
        "channel": name,
        "state": entry["state"],
        "outcome": _plain(entry["meta"]),
        "message": content,
    }


async def _one(project: Project, id: str, channel: str | None) -> tuple[str, Entry]:
    found: list[tuple[str, Entry]] = []
    holders = channels_with_store(project, channel)
    for holder, store in holders:
        with contextlib.suppress(MessageNotFound):
            found.append((holder.name, await store.get(id)))
    if not found:
        said = "" if channel else f"no store of this project holds message {id!r}"
        raise MessageNotFound(channel or "", id, said)
    if len(found) > 1:
        names = ", ".join(name for name, _ in found)
        raise UsageError(f"several stores hold a message {id!r}: {names}; name one")
    return found[0]


def _in_short(channel: str, entry: Entry) -> dict[str, Any]:
    msg = entry["message"]
    text = payload_text(msg.payload)
    return {
        "id": entry["id"],
        "channel": channel,
        "state": entry["state"],
        "timestamp": format_ticks(msg.ticks),
        "uuid": msg.uuid,
        "lane": msg.meta.get("lane", ""),
        "error": entry["meta"].get("err_msg", ""),
        "payload": text if len(text) <= _PREVIEW else f"{text[:_PREVIEW]}...",
    }


def _plain(value: Any) -> Any:
    try:
        return msgspec.json.decode(codecs.encode_json(value))
    except CodecError:
        return repr(value)


# Replay


async def replay(
    project: Project,
    wanted: Selection,
    *,
    dry_run: bool = False,
    progress: Callable[[ReplayReport], None] | None = None,
) -> ReplayReport:
    """Process stored messages again, one after the other, oldest first.

    Each runs as a new message that is marked as a replay of the original.

    Args:
        wanted: which ones; what is stored after the call is not among them.
        dry_run: only count them.
        progress: called now and then with how far it is.

    Raises:
        ChannelStopped: a channel takes no messages.
        MessageNotFound: one of the ids is in no store; nothing was replayed then.
        UsageError: nothing is selected, or a condition is not of its kind.
    """
    if wanted == Selection(channel=wanted.channel):
        raise UsageError(
            "say which messages: ids, a time range, or a state (and a channel)"
        )
    report = ReplayReport()
    if wanted.ids:
        pages = _by_id(project, wanted)
    else:
        # A replay is stored too: without an end it would find itself.
        end = wanted.end or format_ticks(clock.now() + 1)
        pages = _by_search(project, msgspec.structs.replace(wanted, end=end))
    async for page in pages:
        report.selected += len(page)
        if not dry_run:
            await _run_again(project, page, report)
        if progress is not None:
            progress(report)
    return report


async def _run_again(
    project: Project, page: Iterable[tuple[str, Entry]], report: ReplayReport
) -> None:
    for name, entry in page:
        if "part_of" in entry["meta"]:
            hint = "samples that were set aside; `pichannels dead redrive` runs them"
            report.note(name, entry["id"], hint)
            continue
        try:
            outcome = await project.channel(name).run(replayed(entry))
        except ChannelPaused as exc:
            if not exc.is_stored:
                raise
            report.stored += 1
        else:
            report.count(name, entry["id"], outcome)


async def _by_search(
    project: Project, wanted: Selection
) -> AsyncIterator[list[tuple[str, Entry]]]:
    for channel, store in channels_with_store(project, wanted.channel):
        filters = wanted.filters()
        skip = 0
        while entries := await store.search(skip, _PAGE, "timestamp", **filters):
            yield [(channel.name, entry) for entry in entries]
            # Going on from the last instant stays right, and quick, where old
            # messages are deleted meanwhile.
            last = entries[-1]["message"].ticks
            same = sum(entry["message"].ticks == last for entry in entries)
            is_new = filters["start_dt"] != format_ticks(last)
            skip = same if is_new else skip + same
            filters["start_dt"] = format_ticks(last)


async def _by_id(
    project: Project, wanted: Selection
) -> AsyncIterator[list[tuple[str, Entry]]]:
    if wanted.start or wanted.end or wanted.text or wanted.regex:
        raise UsageError("with ids no other condition but a state is possible")
    found = [await _one(project, id, wanted.channel) for id in wanted.ids or ()]
    yield [item for item in found if wanted.state in (None, item[1]["state"])]


# The journal file


async def back_up(journal: Journal, target: Path) -> dict[str, Any]:
    """Copy the journal as it is now to a new file.

    Raises:
        JournalError: the copy cannot be written.
        UsageError: the path is not absolute, or the file exists.
    """
    if not target.is_absolute():
        raise UsageError(f"{target} is no absolute path")
    if await asyncio.to_thread(target.exists):
        raise UsageError(f"{target} exists; name a new file")
    await journal.backup(target)
    size = (await asyncio.to_thread(target.stat)).st_size
    return {"path": str(target), "bytes": size}
