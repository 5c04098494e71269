"""Where coverage ledgers are: in running channels, or in the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from pichannels import clock
from pichannels.channels import BaseChannel
from pichannels.channels.backfilling import Backfilling
from pichannels.channels.hearing import Hearing, Mark
from pichannels.channels.job_reports import JobReport
from pichannels.channels.letters import note_letters
from pichannels.channels.reconciling import Reconciling
from pichannels.channels.resolving import last_found
from pichannels.channels.saved_ledger import in_flight, ledger_key, ledger_namespace
from pichannels.channels.tags import Stream
from pichannels.coverage.claims import restore
from pichannels.coverage.ledger import Ledger, Margins
from pichannels.coverage.reconcile import Reconciled
from pichannels.journal import Journal
from pichannels.states import State

__all__ = ["View", "ledgers", "running_ledgers"]


class View(NamedTuple):
    """A ledger at one moment, and what goes on around it.

    Attributes:
        channel: the full name of the channel.
        ledger: what was delivered, and what was not.
        streams: of its tags, by the ledger's number, where they are known.
        now: the server's time, ticks; our own while the channel does not run.
        is_running: False for what the last run has left.
        reads: of the archive, under way or not settled.
        waiting: tags that wait after a read has failed.
        repaired: samples that were read from the archive and accepted.
        failed_reads: reads that failed.
        not_found: tags of the channel that the server does not have.
        hearing: what was heard of the tags, where silent ones are probed.
        jobs: backfill jobs.
        reconciled: what comparing with the archive has found since the start.
    """

    channel: str
    ledger: Ledger
    streams: Mapping[int, Stream]
    now: int
    is_running: bool = False
    reads: int = 0
    waiting: int = 0
    repaired: int = 0
    failed_reads: int = 0
    not_found: int = 0
    hearing: Hearing | None = None
    jobs: Sequence[JobReport] = ()
    reconciled: Reconciled | None = None

    def name(self, tag: int) -> str:
        """The name of a tag; its key where no more is known."""
        stream = self.streams.get(tag)
        return self.ledger.tags.keys[tag] if stream is None else stream.name

    def path(self, tag: int) -> str:
        """The path of a tag; its key where no more is known."""
        stream = self.streams.get(tag)
        return self.ledger.tags.keys[tag] if stream is None else stream.path

    def mark(self, tag: int) -> Mark | None:
        """What is to be told of a tag."""
        return None if self.hearing is None else self.hearing.mark(tag)

    def marks(self) -> dict[int, Mark]:
        """What is to be told of tags, by number."""
        if self.hearing is None:
            return {}
        return {**self.hearing.quiet, **self.hearing.marks}


class _ServerTime(Protocol):
    def now(self) -> int: ...


class _Planner(Protocol):
    waiting: int

    def __len__(self) -> int: ...


class _Options(Protocol):
    @property
    def margins(self) -> Margins: ...


class _Covering(Protocol):
    """What is needed of the ledger of a channel at work."""

    options: _Options

    ledger: Ledger
    streams: Mapping[int, Stream]
    server: _ServerTime
    planner: _Planner
    hearing: Hearing | None
    is_open: bool


def running_ledgers(channels: Iterable[BaseChannel]) -> Iterator[View]:
    """The ledgers of those channels that keep one just now."""
    for channel in channels:
        view = _running(channel)
        if view is not None:
            yield view


def _running(channel: BaseChannel) -> View | None:
    covering: _Covering | None = getattr(channel, "covering", None)
    if covering is None or not covering.is_open:
        return None
    repairing = getattr(channel, "repairing", None)
    backfilling: Backfilling | None = getattr(channel, "backfilling", None)
    reconciling: Reconciling | None = getattr(channel, "reconciling", None)
    return View(
        channel.name,
        covering.ledger,
        covering.streams,
        covering.server.now(),
        is_running=True,
        reads=len(covering.planner),
        waiting=covering.planner.waiting,
        repaired=getattr(repairing, "samples", 0),
        failed_reads=getattr(repairing, "failures", 0),
        not_found=len(getattr(channel, "unresolved", ())),
        hearing=covering.hearing,
        jobs=backfilling.reports() if backfilling and backfilling.is_open else (),
        reconciled=reconciling.totals if reconciling else None,
    )


async def ledgers(
    channels: Iterable[BaseChannel], journal: Journal, *, named: bool = True
) -> list[View]:
    """The ledgers of channels, as they are or as their last run has left them.

    Args:
        channels: those that keep none are left out.
        journal: has what was left.
        named: whether the names of tags are asked for; without it is quicker.

    Raises:
        JournalError: the journal cannot be read.
        CodecError: what was saved is damaged, or of a newer program.
    """
    views = [_running(one) or await _saved(journal, one, named) for one in channels]
    return [view for view in views if view is not None]


async def _saved(journal: Journal, channel: BaseChannel, named: bool) -> View | None:
    covering: _Covering | None = getattr(channel, "covering", None)
    if covering is None:
        return None
    records = await journal.saved(ledger_namespace(channel.name))
    if not records:
        return None
    unsettled = await journal.manifests(channel.name)
    letters = await journal.search(channel.name, count=1, state=State.ERROR)
    # Where nothing was kept, or by another version, keys have to do for names.
    kept = await last_found(journal, channel.name)
    is_asked = named or bool(unsettled or letters)
    margins, now = covering.options.margins, clock.now()

    def read() -> tuple[Ledger, dict[int, Stream]]:
        ledger = restore(records, [], now, margins)
        numbers = _numbered(ledger, kept.streams()) if is_asked else {}
        if unsettled:
            keys = {one.web_id: ledger.tags.keys[n] for n, one in numbers.items()}
            ledger = restore(records, in_flight(unsettled, keys), now, margins)
        return ledger, numbers

    ledger, numbers = await asyncio.to_thread(read)
    if letters or ledger.dead.messages:
        known = {one.web_id: ledger.tags.keys[n] for n, one in numbers.items()}
        await note_letters(journal, channel.name, ledger, known.get, now)
    return View(channel.name, ledger, numbers, now, not_found=kept.count_unresolved())


def _numbered(ledger: Ledger, streams: Iterable[Stream]) -> dict[int, Stream]:
    """The streams by the ledger's numbers, whatever it calls them."""
    found = {}
    for one in streams:
        number = ledger.tags.get(ledger_key(one))
        number = ledger.tags.get(one.path) if number is None else number
        if number is not None:
            found[number] = one
    return found
