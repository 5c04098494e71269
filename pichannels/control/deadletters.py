"""Dead letters: what was given up, why, and how it gets on its way again.

A dead letter is a message of the journal in state `error`: a whole message, which
runs again from its start, or the samples of one that failed at a node while the
others went on, which run again from that node.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from pichannels import clock, codecs
from pichannels.channels import BaseChannel
from pichannels.channels.parking import Parking, tags_of
from pichannels.channels.recording import Observer, settle
from pichannels.control.chosen import Chosen, Grouped, Listed
from pichannels.control.failure_groups import FailureGroup, FailureGroups
from pichannels.control.mutes import judge, mutes
from pichannels.delivery import Delivery, Outcome
from pichannels.errors import (
    ChannelStopped,
    CodecError,
    MessageNotFound,
    PichannelsError,
    UsageError,
)
from pichannels.journal import Journal, Record, payload_text
from pichannels.message import Message
from pichannels.project import Project
from pichannels.states import State
from pichannels.values import format_ticks

__all__ = [
    "Chosen",
    "Grouped",
    "Listed",
    "RedriveReport",
    "discard",
    "edit",
    "group_letters",
    "list_letters",
    "redrive",
    "show_letter",
    "still_letters",
]

_PAGE: Final = 100
_PREVIEW: Final = 200
_WHICH: Final = "say which dead letters: ids, a channel, node, error, group or time"
_FAILURES_SHOWN: Final = 20


class RedriveReport(msgspec.Struct, kw_only=True):
    """What became of dead letters that ran again.

    Attributes:
        selected: how many are meant.
        settled: how many are none any more.
        failed: how many failed again.
        failures: the first of these, each with its cause.
    """

    selected: int = 0
    settled: int = 0
    failed: int = 0
    failures: list[dict[str, str]] = msgspec.field(default_factory=list)

    def fail(self, id: str, error: object) -> None:
        """One failed again."""
        self.failed += 1
        if len(self.failures) < _FAILURES_SHOWN:
            self.failures.append({"id": id, "error": str(error)})


# Looking


async def list_letters(journal: Journal, wanted: Listed) -> list[dict[str, Any]]:
    """A page of dead letters, each in short.

    Raises:
        MessageNotFound: one of the ids is no dead letter.
        UsageError: a condition is not of its kind.
    """
    found: list[dict[str, Any]] = []
    skip = wanted.skip
    async for page in _pages(journal, wanted, newest_first=True):
        for record in page:
            if skip:
                skip -= 1
            else:
                found.append(_in_short(record))
            if len(found) == wanted.count:
                return found
    return found


async def group_letters(journal: Journal, wanted: Grouped) -> list[FailureGroup]:
    """Dead letters that are alike, the largest groups first.

    Raises:
        MessageNotFound: one of the ids is no dead letter.
        UsageError: a condition is not of its kind.
    """
    groups = FailureGroups()
    async for page in _pages(journal, wanted, newest_first=True):
        groups.take(page[: wanted.count - groups.scanned])
        if groups.scanned >= wanted.count:
            break
    found = groups.groups()
    judge(found, await mutes(journal), clock.now())
    return found


async def show_letter(journal: Journal, id: str) -> dict[str, Any]:
    """One dead letter, whole.

    Raises:
        MessageNotFound: there is none with this id.
    """
    record = await _letter(journal, id)
    try:
        content = msgspec.json.decode(record.message().to_json())
    except CodecError as exc:
        content = {"uuid": record.uuid, "unreadable": str(exc)}
    return {
        "id": id,
        "channel": record.channel,
        "lane": record.lane,
        "outcome": msgspec.json.decode(codecs.encode_json(record.meta)),
        "message": content,
    }


def _in_short(record: Record) -> dict[str, Any]:
    facts = record.meta
    try:
        text = payload_text(record.message().payload)
    except CodecError as exc:
        text = f"unreadable: {exc}"
    return {
        "id": str(record.seq),
        "channel": record.channel,
        "timestamp": format_ticks(record.ticks),
        "uuid": record.uuid,
        "lane": record.lane,
        "node": facts.get("node", ""),
        "error": facts.get("err_msg", ""),
        "attempts": record.attempts,
        "samples": facts.get("sample_error_count", 0) if "part_of" in facts else None,
        "payload": text if len(text) <= _PREVIEW else f"{text[:_PREVIEW]}...",
    }


async def _letter(journal: Journal, id: str) -> Record:
    record = await journal.get(None, int(id)) if id.isascii() and id.isdigit() else None
    if record is None or record.state is not State.ERROR:
        said = f"there is no dead letter {id!r}; `pichannels dead list` shows them"
        raise MessageNotFound("", id, said)
    return record


async def still_letters(journal: Journal, ids: Iterable[str]) -> list[str]:
    """Those of the ids that are dead letters; others may have been some.

    Raises:
        MessageNotFound: none of them is one any more.
    """
    found: list[str] = []
    for id in ids:
        with contextlib.suppress(MessageNotFound):
            await _letter(journal, id)
            found.append(id)
    if not found:
        raise MessageNotFound("", "", "none of them is a dead letter any more")
    return found


async def _pages(
    journal: Journal, wanted: Chosen, *, newest_first: bool = False
) -> AsyncIterator[list[Record]]:
    """The dead letters that are meant, page after page; those there are now."""
    if wanted.ids:
        if wanted.conditions:
            raise UsageError("with ids no other condition is possible")
        yield [await _letter(journal, id) for id in wanted.ids]
        return
    newest, after = journal.last_seq, None
    while True:
        page = await journal.search(
            wanted.channel,
            count=_PAGE,
            order_by="-timestamp" if newest_first else "timestamp",
            start_dt=wanted.start,
            end_dt=wanted.end,
            state="error",
            after=after,
        )
        if not page:
            return
        after = page[-1].position
        yield [one for one in page if one.seq <= newest and wanted.fits(one)]


# On their way again


async def redrive(
    project: Project,
    journal: Journal,
    wanted: Chosen,
    *,
    dry_run: bool = False,
    progress: Callable[[RedriveReport], None] | None = None,
) -> RedriveReport:
    """Run dead letters again, the oldest first; those that settle are none any more.

    They run in order, and as many at a time as sinks take together. What fails
    again stays a dead letter, with its new cause and one attempt more.

    Args:
        dry_run: only count them.
        progress: called now and then with how far it is.

    Raises:
        MessageNotFound: one of the ids is no dead letter; nothing ran then.
        UsageError: nothing is selected, or a condition is not of its kind.
    """
    if wanted.is_all and not wanted.channel:
        raise UsageError(_WHICH)
    report = RedriveReport()
    if dry_run:
        async for page in _pages(journal, wanted):
            report.selected += len(page)
        return report
    again = _Redrive(project, journal, report, progress)
    await again.run_all(wanted)
    while again.has_more and not wanted.ids:
        await again.run_all(wanted)
    return report


class _Redrive:
    """One call of `redrive`."""

    def __init__(
        self,
        project: Project,
        journal: Journal,
        report: RedriveReport,
        progress: Callable[[RedriveReport], None] | None,
    ) -> None:
        self._project = project
        self._journal = journal
        self._report = report
        self._progress = progress
        self._failed: set[tuple[str, str]] = set()
        """Nodes and tags where nothing may follow in this redrive."""
        self._last = 0
        self.has_more = False
        """Whether samples may have been parked meanwhile behind those that ran."""

    async def run_all(self, wanted: Chosen) -> None:
        """Run what is meant and has not run yet."""
        behind, self._last = self._last, self._journal.last_seq
        self.has_more = False
        async for page in _pages(self._journal, wanted):
            new = [one for one in page if behind < one.seq <= self._last]
            if behind:
                # Not what this redrive has set aside again, or what waits behind it.
                new = [one for one in new if not self._held(one) & self._failed]
            self._report.selected += len(new)
            await self._run(new)
            if self._progress is not None:
                self._progress(self._report)

    async def _run(self, page: Iterable[Record]) -> None:
        """Run these; side by side, except where the order of tags is kept."""
        together: list[Record] = []
        for record in page:
            parking = _parking(self._project, record)
            if parking is None:
                together.append(record)
            else:
                self.has_more = True
                await self._run_in_order(record, parking)
        await asyncio.gather(*[self._run_one(record) for record in together])

    def _held(self, record: Record) -> set[tuple[str, str]]:
        """The node and the tags that the dead letter holds up there."""
        if _parking(self._project, record) is None:
            return set()
        node = str(record.meta.get("node"))
        return {(node, tag) for tag in tags_of(record.message().payload)}

    async def _run_in_order(self, record: Record, parking: Parking) -> None:
        held = self._held(record)
        if held & self._failed:
            self._report.fail(str(record.seq), "an earlier sample failed again")
            return
        outcome = await self._run_one(record)
        if outcome is None:
            self._failed |= held
            return
        parking.release(tag for _, tag in held)
        for aside in outcome.aside:
            failed = tags_of(aside.message.payload)
            self._failed |= {(aside.node, tag) for tag in failed}

    async def _run_one(self, record: Record) -> Outcome | None:
        """What became of it; None when it is a dead letter as before."""
        id, report = str(record.seq), self._report
        try:
            channel, node = _place(self._project, record)
            delivery = Delivery()
            delivery.is_redrive = True
            delivery.seq, delivery.attempts = record.seq, record.attempts + 1
            outcome = await channel.run_from(
                record.message(), delivery, node, to_the_end=True
            )
        except PichannelsError as exc:
            report.fail(id, exc)
            return None
        if outcome.state is State.ERROR and isinstance(outcome.error, ChannelStopped):
            # It has not failed again, it has not run.
            report.fail(id, outcome.error)
            return None
        observer = _observer(self._project, record)
        _settle(self._journal, record, delivery, outcome, observer)
        if outcome.state is State.ERROR:
            report.fail(id, outcome.error)
            return None
        if outcome.sample_errors:
            report.fail(id, f"{outcome.sample_errors} samples failed again")
        else:
            report.settled += 1
        return outcome


def _parking(project: Project, record: Record) -> Parking | None:
    """Where the tags of a dead letter are parked, in a channel that keeps the order."""
    if "part_of" not in record.meta:
        return None
    with contextlib.suppress(UsageError):
        channel, node = _place(project, record)
        return channel.root.parkings.get(f"{channel.name}.{node}")
    return None


def _observer(project: Project, record: Record) -> Observer | None:
    """Who wants to know what becomes of the dead letter."""
    with contextlib.suppress(UsageError):
        return project.channel(record.channel).observer
    return None


def _place(project: Project, record: Record) -> tuple[BaseChannel, str | None]:
    """Where a dead letter goes on: a channel, and a node of it or its start.

    Raises:
        UsageError: the channel is no more, or has no such node any more.
    """
    facts = record.meta
    if "part_of" not in facts:
        return project.channel(record.channel), None
    name, _, node = str(facts.get("node", "")).rpartition(".")
    return project.channel(name), node


def _settle(
    journal: Journal,
    record: Record,
    delivery: Delivery,
    outcome: Outcome,
    observer: Observer | None,
) -> None:
    before = record.meta
    kept: dict[str, Any] = {
        name: before[name] for name in ("part_of", "causes") if name in before
    }
    if "part_of" in before and outcome.state is State.ERROR:
        # It goes on where it was set aside, wherever it has failed now.
        kept |= {name: before[name] for name in ("node", "sample_error_count")}
        outcome = Outcome(outcome.state, outcome.message, outcome.error, before["node"])
    delivery.meta = {**(delivery.meta or {}), **kept, "redriven": clock.now()}
    done = settle(journal, record.channel, delivery, outcome, record.manifest)
    if observer is not None and done.state is not State.ERROR:
        observer.settled(record.seq, done.state, done.letters)
        observer.redriven(record.seq)


async def edit(journal: Journal, id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Put a changed message in the place of a dead letter; it does not run yet.

    Args:
        changes: `payload`, `meta`, `ctx` or `content_type`, in the typed JSON that
            `show_letter` gives.

    Returns:
        The `id` of the new dead letter.

    Raises:
        CodecError: the changes describe no message.
        MessageNotFound: there is no dead letter with this id.
        UsageError: something else is to be changed.
    """
    allowed = ("payload", "meta", "ctx", "content_type")
    for name in changes:
        if name not in allowed:
            raise UsageError(f"of a message {', '.join(allowed)} change, not {name!r}")
    if not isinstance(changes.get("content_type", ""), str):
        raise UsageError("content_type is a text, such as application/json")
    record = await _letter(journal, id)
    content = msgspec.json.decode(record.message().to_json())
    text = msgspec.json.encode({**content, **changes}).decode()
    msg = Message.from_json(text)
    ticket = journal.append(
        record.channel, msg, lane=record.lane, manifest=record.manifest
    )
    facts = {**record.meta, "attempts": record.attempts, "edited_from": record.seq}
    journal.settle(ticket.seq, State.ERROR, facts)
    journal.settle(record.seq, State.DROPPED, {"replaced_by": ticket.seq})
    await ticket.written()
    return {"id": str(ticket.seq)}


async def discard(
    project: Project,
    journal: Journal,
    wanted: Chosen,
    *,
    reason: str = "",
    dry_run: bool = False,
) -> dict[str, int]:
    """Give dead letters up for good: they count as dropped from now on.

    Args:
        reason: kept with each.
        dry_run: only count them.

    Raises:
        MessageNotFound: one of the ids is no dead letter; nothing changes then.
        UsageError: nothing is selected, or a condition is not of its kind.
    """
    if wanted.is_all and not wanted.channel:
        raise UsageError(_WHICH)
    count = 0
    async for page in _pages(journal, wanted):
        count += len(page)
        if not dry_run:
            _drop(project, journal, page, reason)
            await journal.flush()
    return {"selected": count, "discarded": 0 if dry_run else count}


def _drop(
    project: Project, journal: Journal, page: Iterable[Record], reason: str
) -> None:
    for record in page:
        parking = _parking(project, record)
        if parking is not None:
            parking.release(tags_of(record.message().payload))
        observer = _observer(project, record)
        if observer is not None:
            observer.discarded(record.seq)
        facts = {**record.meta, "discarded": clock.now()}
        if reason:
            facts["discarded_because"] = reason
        journal.settle(record.seq, State.DROPPED, facts)
