"""The commands of the control server: a name, what it takes, what it does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, Protocol

import msgspec

from pichannels.channels.backfilling import Backfilling
from pichannels.channels.job_reports import JobReport
from pichannels.channels.jobs import JobPriority
from pichannels.control import (
    backfills,
    deadletters,
    history,
    keeping,
    reconciles,
    sending,
)
from pichannels.control.archive import ArchiveWanted, archived
from pichannels.control.backfills import BackfillWanted, JobsWanted
from pichannels.control.budgets import BudgetWanted, change_budget
from pichannels.control.chosen import Chosen, Grouped, Listed
from pichannels.control.coverage import coverage_report
from pichannels.control.coverage_reports import CoverageWanted
from pichannels.control.keeping import Export, Import, Prune
from pichannels.control.muting import MuteWanted, mute, unmute
from pichannels.control.parked import list_parked
from pichannels.control.pictures import GraphWanted, graph_report
from pichannels.control.reconciles import ReconcileWanted
from pichannels.control.replaying import Replay, Ticket, replay
from pichannels.control.reports import ChannelReport, SinkState, StatusReport
from pichannels.control.sending import Fetch, Give
from pichannels.control.settings import settings_report
from pichannels.control.tags import TagsChange, change_tags
from pichannels.control.taps import Taps, TapWanted
from pichannels.control.walking import Search, walk
from pichannels.errors import UsageError, nearest
from pichannels.events import EventBus
from pichannels.journal import Journal
from pichannels.loglines import LogRing, LogWanted
from pichannels.piwebasync.limiting import Limiters
from pichannels.project import Project
from pichannels.reload import ReloadReport

__all__ = ["COMMANDS", "Command", "Instance", "run_command"]


class Instance(Protocol):
    """What the control server needs of the engine."""

    project: Project
    journal: Journal
    events: EventBus
    limiters: Limiters
    log: LogRing
    taps: Taps

    def status(self) -> StatusReport: ...

    def request_stop(self, *, now: bool = False) -> None: ...

    async def start_channel(self, name: str) -> ChannelReport: ...

    async def stop_channel(self, name: str) -> ChannelReport: ...

    async def restart_channel(self, name: str) -> ChannelReport: ...

    async def pause_channel(self, name: str) -> ChannelReport: ...

    async def resume_channel(self, name: str) -> ChannelReport: ...

    async def pause_sink(self, name: str) -> SinkState: ...

    async def resume_sink(self, name: str) -> SinkState: ...

    async def reload(self, *, dry_run: bool = False) -> ReloadReport: ...


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """No arguments."""


class _Channel(msgspec.Struct, forbid_unknown_fields=True):
    """A channel by its full name."""

    channel: str


class _Sink(msgspec.Struct, forbid_unknown_fields=True):
    """A sink by its full name."""

    sink: str


class _Stop(msgspec.Struct, forbid_unknown_fields=True):
    """`now`: without draining."""

    now: bool = False


class _Replay(Replay, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`dry_run`: only count the selected messages; `ticket`: names it in events.

    `resume`: go on where the one with this ticket was cut.
    """

    dry_run: bool = False
    ticket: str = ""
    resume: bool = False


class _Reload(msgspec.Struct, forbid_unknown_fields=True):
    """`dry_run`: only tell what would change."""

    dry_run: bool = False


class _Parked(msgspec.Struct, forbid_unknown_fields=True):
    """`channel`: only of this one."""

    channel: str | None = None


class _Show(msgspec.Struct, forbid_unknown_fields=True):
    """One stored message."""

    id: str
    channel: str | None = None


class _Backup(msgspec.Struct, forbid_unknown_fields=True):
    """`path`: a new file on the instance's machine."""

    path: str


class _Redrive(Chosen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`dry_run`: only count the dead letters; `ticket`: names it in events.

    `resume`: leave out ids that are no dead letters any more.
    """

    dry_run: bool = False
    ticket: str = ""
    resume: bool = False


class _Discard(Chosen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`reason` is kept with each; `dry_run`: only count them; `resume` as above."""

    reason: str = ""
    dry_run: bool = False
    resume: bool = False


class _Letter(msgspec.Struct, forbid_unknown_fields=True):
    """One dead letter."""

    id: str


class _Group(msgspec.Struct, forbid_unknown_fields=True):
    """One group of dead letters, by its fingerprint."""

    group: str


class _Job(msgspec.Struct, forbid_unknown_fields=True):
    """One backfill job."""

    id: str


class _Log(LogWanted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`wait`: so many seconds at most, until there is a line behind `after`."""

    wait: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.0


class _Prioritised(msgspec.Struct, forbid_unknown_fields=True):
    """One backfill job, and what it is to go before or after."""

    id: str
    priority: JobPriority


class _Edit(msgspec.Struct, forbid_unknown_fields=True):
    """`changes`: of its `payload`, `meta`, `ctx` or `content_type`."""

    id: str
    changes: dict[str, Any]


class Command(NamedTuple):
    """What a command takes, and what it does."""

    request: type[msgspec.Struct]
    run: Callable[[Instance, Any], Awaitable[Any]]


async def _start_channel(instance: Instance, request: _Channel) -> Any:
    return await instance.start_channel(request.channel)


async def _stop_channel(instance: Instance, request: _Channel) -> Any:
    return await instance.stop_channel(request.channel)


async def _restart_channel(instance: Instance, request: _Channel) -> Any:
    return await instance.restart_channel(request.channel)


async def _pause_channel(instance: Instance, request: _Channel) -> Any:
    return await instance.pause_channel(request.channel)


async def _resume_channel(instance: Instance, request: _Channel) -> Any:
    return await instance.resume_channel(request.channel)


async def _pause_sink(instance: Instance, request: _Sink) -> Any:
    return await instance.pause_sink(request.sink)


async def _resume_sink(instance: Instance, request: _Sink) -> Any:
    return await instance.resume_sink(request.sink)


async def _stop(instance: Instance, request: _Stop) -> Any:
    instance.request_stop(now=request.now)
    return {"stopping": True}


async def _stores(instance: Instance, request: history.StoresWanted) -> Any:
    return await history.stores(instance.project, count=request.count)


async def _search(instance: Instance, request: Search) -> Any:
    return await walk(instance.project, request)


async def _show(instance: Instance, request: _Show) -> Any:
    return await history.show(instance.project, request.id, request.channel)


async def _replay(instance: Instance, request: _Replay) -> Any:
    values = {name: getattr(request, name) for name in Replay.__struct_fields__}
    ticket = Ticket(instance.journal, request.ticket) if request.ticket else None
    return await replay(
        instance.project,
        Replay(**values),
        dry_run=request.dry_run,
        progress=_telling(instance, "replay.progress", request.ticket),
        ticket=ticket,
        resume=request.resume,
    )


def _telling(
    instance: Instance, event: str, ticket: str
) -> Callable[[msgspec.Struct], None]:
    """Tells in an event how far something is that was given a ticket."""

    def tell(report: msgspec.Struct) -> None:
        if ticket:
            facts = msgspec.structs.asdict(report)
            del facts["failures"]
            instance.events.fire(event, ticket=ticket, **facts)

    return tell


async def _graph(instance: Instance, request: GraphWanted) -> Any:
    return graph_report(instance.project, request)


async def _settings(instance: Instance, request: _Nothing) -> Any:
    found = await asyncio.to_thread(settings_report, instance.project)
    return msgspec.structs.replace(found, apply=instance.status().apply)


async def _reload(instance: Instance, request: _Reload) -> Any:
    return await instance.reload(dry_run=request.dry_run)


async def _backup(instance: Instance, request: _Backup) -> Any:
    return await history.back_up(instance.journal, Path(request.path))


async def _export(instance: Instance, request: Export) -> Any:
    return await keeping.export_messages(instance.project, request)


async def _import(instance: Instance, request: Import) -> Any:
    return await keeping.import_messages(instance.project, request)


async def _fetch(instance: Instance, request: Fetch) -> Any:
    return await sending.fetch(instance.project, request)


async def _give(instance: Instance, request: Give) -> Any:
    return await sending.give(instance.project, request)


async def _prune(instance: Instance, request: Prune) -> Any:
    return await keeping.prune(instance.project, request)


async def _tags(instance: Instance, request: TagsChange) -> Any:
    return await change_tags(instance.project, request)


async def _tap(instance: Instance, request: TapWanted) -> Any:
    return await instance.taps.read(request)


async def _archive(instance: Instance, request: ArchiveWanted) -> Any:
    return await archived(instance.project, request)


async def _verify(instance: Instance, request: _Nothing) -> Any:
    return {"problems": await instance.journal.verify()}


async def _coverage(instance: Instance, request: CoverageWanted) -> Any:
    return await coverage_report(instance.project, instance.journal, request)


async def _dead_list(instance: Instance, request: Listed) -> Any:
    return await deadletters.list_letters(instance.journal, request)


async def _dead_groups(instance: Instance, request: Grouped) -> Any:
    return await deadletters.group_letters(instance.journal, request)


async def _dead_mute(instance: Instance, request: MuteWanted) -> Any:
    return await mute(instance.journal, request)


async def _dead_unmute(instance: Instance, request: _Group) -> Any:
    return await unmute(instance.journal, request.group)


async def _dead_parked(instance: Instance, request: _Parked) -> Any:
    return list_parked(instance.project, request.channel)


async def _dead_show(instance: Instance, request: _Letter) -> Any:
    return await deadletters.show_letter(instance.journal, request.id)


async def _dead_redrive(instance: Instance, request: _Redrive) -> Any:
    return await deadletters.redrive(
        instance.project,
        instance.journal,
        await _chosen(instance, request),
        dry_run=request.dry_run,
        progress=_telling(instance, "redrive.progress", request.ticket),
    )


async def _dead_edit(instance: Instance, request: _Edit) -> Any:
    return await deadletters.edit(instance.journal, request.id, request.changes)


async def _dead_discard(instance: Instance, request: _Discard) -> Any:
    return await deadletters.discard(
        instance.project,
        instance.journal,
        await _chosen(instance, request),
        reason=request.reason,
        dry_run=request.dry_run,
    )


async def _reconcile(instance: Instance, request: ReconcileWanted) -> Any:
    return await reconciles.reconcile(instance.project, request)


async def _backfill_create(instance: Instance, request: BackfillWanted) -> Any:
    return backfills.create_job(instance.project, request)


async def _backfill_list(instance: Instance, request: JobsWanted) -> Any:
    return await backfills.list_jobs(instance.project, instance.journal, request)


async def _backfill_show(instance: Instance, request: _Job) -> Any:
    return await backfills.show_job(instance.project, instance.journal, request.id)


async def _backfill_pause(instance: Instance, request: _Job) -> Any:
    return backfills.change_job(instance.project, request.id, Backfilling.pause)


async def _backfill_resume(instance: Instance, request: _Job) -> Any:
    return backfills.change_job(instance.project, request.id, Backfilling.resume)


async def _backfill_cancel(instance: Instance, request: _Job) -> Any:
    return backfills.change_job(instance.project, request.id, Backfilling.cancel)


async def _backfill_priority(instance: Instance, request: _Prioritised) -> Any:
    def change(backfilling: Backfilling, number: int) -> JobReport:
        return backfilling.prioritise(number, request.priority)

    return backfills.change_job(instance.project, request.id, change)


async def _log(instance: Instance, request: _Log) -> Any:
    if not request.after:
        # A channel that is followed may be taken away meanwhile.
        instance.log.check(request)
    if request.wait:
        await instance.log.wait(request.after, request.wait)
    return instance.log.read(request)


async def _pi_budget(instance: Instance, request: BudgetWanted) -> Any:
    return change_budget(instance.project, instance.limiters, request)


async def _chosen(instance: Instance, request: _Redrive | _Discard) -> Chosen:
    values = {name: getattr(request, name) for name in Chosen.__struct_fields__}
    if request.resume and request.ids:
        values["ids"] = await deadletters.still_letters(instance.journal, request.ids)
    return Chosen(**values)


COMMANDS: Final[Mapping[str, Command]] = {
    "archive": Command(ArchiveWanted, _archive),
    "backfill-cancel": Command(_Job, _backfill_cancel),
    "backfill-create": Command(BackfillWanted, _backfill_create),
    "backfill-list": Command(JobsWanted, _backfill_list),
    "backfill-pause": Command(_Job, _backfill_pause),
    "backfill-priority": Command(_Prioritised, _backfill_priority),
    "backfill-resume": Command(_Job, _backfill_resume),
    "backfill-show": Command(_Job, _backfill_show),
    "backup": Command(_Backup, _backup),
    "coverage": Command(CoverageWanted, _coverage),
    "dead-discard": Command(_Discard, _dead_discard),
    "dead-edit": Command(_Edit, _dead_edit),
    "dead-groups": Command(Grouped, _dead_groups),
    "dead-list": Command(Listed, _dead_list),
    "dead-mute": Command(MuteWanted, _dead_mute),
    "dead-parked": Command(_Parked, _dead_parked),
    "dead-redrive": Command(_Redrive, _dead_redrive),
    "dead-show": Command(_Letter, _dead_show),
    "dead-unmute": Command(_Group, _dead_unmute),
    "export": Command(Export, _export),
    "fetch": Command(Fetch, _fetch),
    "give": Command(Give, _give),
    "graph": Command(GraphWanted, _graph),
    "import": Command(Import, _import),
    "log": Command(_Log, _log),
    "pause-channel": Command(_Channel, _pause_channel),
    "pause-sink": Command(_Sink, _pause_sink),
    "pi-budget": Command(BudgetWanted, _pi_budget),
    "prune": Command(Prune, _prune),
    "reconcile": Command(ReconcileWanted, _reconcile),
    "reload": Command(_Reload, _reload),
    "replay": Command(_Replay, _replay),
    "restart-channel": Command(_Channel, _restart_channel),
    "resume-channel": Command(_Channel, _resume_channel),
    "resume-sink": Command(_Sink, _resume_sink),
    "search": Command(Search, _search),
    "settings": Command(_Nothing, _settings),
    "show": Command(_Show, _show),
    "start-channel": Command(_Channel, _start_channel),
    "stop": Command(_Stop, _stop),
    "stop-channel": Command(_Channel, _stop_channel),
    "stores": Command(history.StoresWanted, _stores),
    "tags": Command(TagsChange, _tags),
    "tap": Command(TapWanted, _tap),
    "verify": Command(_Nothing, _verify),
}


async def run_command(instance: Instance, name: str, body: bytes) -> bytes:
    """Run a command with its JSON arguments; what it gives as JSON.

    Raises:
        UsageError: no such command, or not its arguments.
        PichannelsError: whatever the command fails with.
    """
    command = COMMANDS.get(name)
    if command is None:
        raise UsageError(f"there is no command {name!r}{nearest(name, COMMANDS)}")
    try:
        request = msgspec.json.decode(body or b"{}", type=command.request)
    except msgspec.DecodeError as exc:
        raise UsageError(f"{name}: {exc}") from exc
    return msgspec.json.encode(await command.run(instance, request))
