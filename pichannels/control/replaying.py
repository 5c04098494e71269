"""Stored messages processed again: all of the way, from a node on, or to one sink."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, Final

import msgspec

from pichannels import clock
from pichannels.channels.aiming import Aim
from pichannels.control.history import Place, Selection, by_id, by_search
from pichannels.delivery import Outcome
from pichannels.errors import ChannelPaused, UsageError
from pichannels.journal import Journal
from pichannels.project import Project
from pichannels.states import replayed
from pichannels.store import Entry, State
from pichannels.values import TICKS_PER_SECOND, format_ticks

__all__ = ["Replay", "ReplayReport", "Ticket", "replay"]

_FAILURES_SHOWN: Final = 20
_TOLD: Final = 0.5
_TICKETS: Final = "replays"
_MONTH: Final = 30 * 86400 * TICKS_PER_SECOND


class Replay(Selection, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which stored messages run again, and where to.

    Attributes:
        from_node: only the sinks from this node on get them.
        to_sink: only this sink does.
    """

    from_node: str | None = None
    to_sink: str | None = None

    @property
    def is_aimed(self) -> bool:
        """Whether some sinks are not to be touched."""
        return self.from_node is not None or self.to_sink is not None


class ReplayReport(msgspec.Struct, kw_only=True):
    """What a replay did.

    Attributes:
        selected: how many messages the selection holds.
        replayed: how many ran again; then how many ended in each way.
        stored: how many wait until their channel, which is paused, goes on.
        passed_by: how many of those that were replayed came to none of the sinks that
            were chosen.
        failures: the first that failed or were not found, each with its cause.
    """

    selected: int = 0
    replayed: int = 0
    processed: int = 0
    dropped: int = 0
    rejected: int = 0
    failed: int = 0
    stored: int = 0
    passed_by: int = 0
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


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a replay: how far it is, whether it has ended, and since when."""

    place: Place | None
    is_done: bool
    time: str


class Ticket:
    """Remembers in the journal how far a replay is, so that it can go on.

    Args:
        journal: where it is kept, for a month.
        name: of the replay.
    """

    def __init__(self, journal: Journal, name: str) -> None:
        self._journal = journal
        self._name = name
        self._place: Place | None = None

    async def begin(self) -> None:
        """It begins: forget those of long ago.

        Raises:
            JournalError: the journal cannot be read.
        """
        since = format_ticks(clock.now() - _MONTH)
        for name, kept in (await self._journal.saved(_TICKETS)).items():
            if kept["time"] < since:
                self._journal.forget(_TICKETS, name)

    async def resume(self) -> bool:
        """Whether there may be something left to be done.

        Raises:
            JournalError: the journal cannot be read.
        """
        found = await self._journal.restore(_TICKETS, self._name, None)
        if found is None:
            return True
        kept = msgspec.convert(found, _Kept)
        self._place = kept.place
        return not kept.is_done

    @property
    def place(self) -> Place | None:
        """The last message that was done; None before the first one."""
        return self._place

    def note(self, place: Place) -> None:
        """So far it is; durable no sooner than what was done by then."""
        self._place = place
        self._save(is_done=False)

    def end(self) -> None:
        """All is done."""
        self._save(is_done=True)

    def _save(self, *, is_done: bool) -> None:
        time = format_ticks(clock.now())
        kept = _Kept(place=self._place, is_done=is_done, time=time)
        self._journal.save(_TICKETS, self._name, msgspec.to_builtins(kept))


async def replay(
    project: Project,
    wanted: Selection,
    *,
    dry_run: bool = False,
    progress: Callable[[ReplayReport], None] | None = None,
    ticket: Ticket | None = None,
    resume: bool = False,
) -> ReplayReport:
    """Process stored messages again, one after the other, oldest first.

    Each runs as a new message that is marked as a replay of the original.

    Args:
        wanted: which ones; what is stored after the call is not among them.
        dry_run: only count them.
        progress: called now and then with how far it is.
        ticket: remembers how far it is, until it has ended.
        resume: go on where the replay of this ticket was cut. The message that was
            under way then may run twice.

    Raises:
        ChannelPaused: a channel processes nothing just now, and sinks were chosen.
        ChannelStopped: a channel takes no messages.
        MessageNotFound: one of the ids is in no store; nothing was replayed then.
        UsageError: nothing is selected, a condition is not of its kind, or there is
            no such node or sink.
    """
    chosen = wanted if isinstance(wanted, Replay) else Replay(**_fields(wanted))
    if _says_nothing(chosen):
        raise UsageError(
            "say which messages: ids, a state, a time range, a text or a regex"
        )
    if chosen.is_aimed and not (chosen.channel or chosen.ids):
        raise UsageError("name the channel of the node or sink")
    run = _Run(project, chosen, progress, ticket)
    after = None
    if ticket is not None and resume:
        if not await ticket.resume():
            return run.report
        after = ticket.place
    elif ticket is not None and not dry_run:
        await ticket.begin()
    async for page in _pages(project, chosen, after):
        await run.take(page, dry_run=dry_run)
    if ticket is not None and not dry_run:
        ticket.end()
    return run.report


def _fields(wanted: Selection) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in Selection.__struct_fields__}


def _says_nothing(wanted: Replay) -> bool:
    return not any(v for name, v in _fields(wanted).items() if name != "channel")


async def _pages(
    project: Project, wanted: Replay, after: Place | None
) -> AsyncIterator[list[tuple[str, Entry]]]:
    if not wanted.ids:
        # A replay is stored too: without an end it would find itself.
        end = wanted.end or format_ticks(clock.now() + 1)
        wanted = msgspec.structs.replace(wanted, end=end)
        async for page in by_search(project, wanted, after):
            yield page
        return
    async for page in by_id(project, wanted):
        places = [(name, entry["id"]) for name, entry in page]
        done = 0
        if after is not None and (after.channel, after.id) in places:
            done = places.index((after.channel, after.id)) + 1
        yield page[done:]


class _Run:
    """One call of `replay`."""

    def __init__(
        self,
        project: Project,
        wanted: Replay,
        progress: Callable[[ReplayReport], None] | None,
        ticket: Ticket | None,
    ) -> None:
        self.report = ReplayReport()
        self._project = project
        self._wanted = wanted
        self._progress = progress
        self._ticket = ticket
        self._aims: dict[str, Aim] = {}
        self._told = clock.monotonic()
        if wanted.channel and wanted.is_aimed:
            self._aim(wanted.channel)

    async def take(
        self, page: Iterable[tuple[str, Entry]], *, dry_run: bool = False
    ) -> None:
        """Run a page of messages, or count them."""
        items = list(page)
        self.report.selected += len(items)
        if self._wanted.is_aimed:
            # A node that is not there is told before the first one runs.
            for name in {name for name, _ in items}:
                self._aim(name)
        if not dry_run:
            for name, entry in items:
                await self._run_again(name, entry)
                self._note(name, entry)
        self._tell()

    def _aim(self, channel: str) -> Aim:
        if channel not in self._aims:
            wanted = self._wanted
            self._aims[channel] = Aim(
                self._project.channel(channel), wanted.from_node, wanted.to_sink
            )
        return self._aims[channel]

    async def _run_again(self, name: str, entry: Entry) -> None:
        report, id = self.report, entry["id"]
        if "part_of" in entry["meta"]:
            hint = "samples that were set aside; `pichannels dead redrive` runs them"
            report.note(name, id, hint)
            return
        msg = replayed(entry)
        if self._wanted.is_aimed:
            await self._run_aimed(self._aim(name), name, id, msg)
            return
        try:
            outcome = await self._project.channel(name).run(msg)
        except ChannelPaused as exc:
            if not exc.is_stored:
                raise
            report.stored += 1
        else:
            report.count(name, id, outcome)

    async def _run_aimed(self, aim: Aim, name: str, id: str, msg: Any) -> None:
        before = aim.touched
        for fact in ("from_node", "to_sink"):
            if value := getattr(self._wanted, fact):
                msg.meta[f"replay_{fact}"] = value
        outcome = await aim.run(msg)
        self.report.count(name, id, outcome)
        self.report.passed_by += aim.touched == before
        if outcome.state is not State.ERROR and outcome.sample_errors:
            told = f"{outcome.sample_errors} samples failed, and are no dead letters"
            self.report.note(name, id, told)

    def _note(self, name: str, entry: Entry) -> None:
        if self._ticket is not None:
            time = format_ticks(entry["message"].ticks)
            self._ticket.note(Place(channel=name, id=entry["id"], time=time))
        if clock.monotonic() - self._told > _TOLD:
            self._tell()

    def _tell(self) -> None:
        self._told = clock.monotonic()
        if self._progress is not None:
            self._progress(self.report)
