"""The commands of the control server: a name, what it takes, what it does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from pichannels.control import history, keeping, sending
from pichannels.control.archive_commands import ARCHIVE_COMMANDS
from pichannels.control.instance import Command, Instance, telling
from pichannels.control.keeping import Export, Import, Prune
from pichannels.control.letter_commands import LETTER_COMMANDS
from pichannels.control.pictures import GraphWanted, graph_report
from pichannels.control.replaying import Replay, Ticket, replay
from pichannels.control.sending import Fetch, Give
from pichannels.control.settings import settings_report
from pichannels.control.taps import TapWanted
from pichannels.control.walking import Search, walk
from pichannels.errors import UsageError, nearest
from pichannels.loglines import LogWanted

__all__ = ["COMMANDS", "run_command"]


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


class _Show(msgspec.Struct, forbid_unknown_fields=True):
    """One stored message."""

    id: str
    channel: str | None = None


class _Backup(msgspec.Struct, forbid_unknown_fields=True):
    """`path`: a new file on the instance's machine."""

    path: str


class _Log(LogWanted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`wait`: so many seconds at most, until there is a line behind `after`."""

    wait: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.0


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
        progress=telling(instance, "replay.progress", request.ticket),
        ticket=ticket,
        resume=request.resume,
    )


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


async def _tap(instance: Instance, request: TapWanted) -> Any:
    return await instance.taps.read(request)


async def _verify(instance: Instance, request: _Nothing) -> Any:
    return {"problems": await instance.journal.verify()}


async def _log(instance: Instance, request: _Log) -> Any:
    if not request.after:
        # A channel that is followed may be taken away meanwhile.
        instance.log.check(request)
    if request.wait:
        await instance.log.wait(request.after, request.wait)
    return instance.log.read(request)


COMMANDS: Final[Mapping[str, Command]] = {
    **ARCHIVE_COMMANDS,
    **LETTER_COMMANDS,
    "backup": Command(_Backup, _backup),
    "export": Command(Export, _export),
    "fetch": Command(Fetch, _fetch),
    "give": Command(Give, _give),
    "graph": Command(GraphWanted, _graph),
    "import": Command(Import, _import),
    "log": Command(_Log, _log),
    "pause-channel": Command(
        _Channel, lambda it, given: it.pause_channel(given.channel)
    ),
    "pause-sink": Command(_Sink, lambda it, given: it.pause_sink(given.sink)),
    "prune": Command(Prune, _prune),
    "reload": Command(_Reload, _reload),
    "replay": Command(_Replay, _replay),
    "restart-channel": Command(
        _Channel, lambda it, given: it.restart_channel(given.channel)
    ),
    "resume-channel": Command(
        _Channel, lambda it, given: it.resume_channel(given.channel)
    ),
    "resume-sink": Command(_Sink, lambda it, given: it.resume_sink(given.sink)),
    "search": Command(Search, _search),
    "settings": Command(_Nothing, _settings),
    "show": Command(_Show, _show),
    "start-channel": Command(
        _Channel, lambda it, given: it.start_channel(given.channel)
    ),
    "stop": Command(_Stop, _stop),
    "stop-channel": Command(_Channel, lambda it, given: it.stop_channel(given.channel)),
    "stores": Command(history.StoresWanted, _stores),
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
