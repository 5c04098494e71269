"""What commands need of the engine, and what a command is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from pichannels.control.reports import ChannelReport, SinkState, StatusReport
from pichannels.control.taps import Taps
from pichannels.events import EventBus
from pichannels.journal import Journal
from pichannels.loglines import LogRing
from pichannels.piwebasync.limiting import Limiters
from pichannels.project import Project
from pichannels.reload import ReloadReport

__all__ = ["Command", "Instance", "telling"]


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


class Command(NamedTuple):
    """What a command takes, and what it does."""

    request: type[msgspec.Struct]
    run: Callable[[Instance, Any], Awaitable[Any]]


def telling(
    instance: Instance, event: str, ticket: str
) -> Callable[[msgspec.Struct], None]:
    """Tells in an event how far something is that was given a ticket."""

    def tell(report: msgspec.Struct) -> None:
        if ticket:
            facts = msgspec.structs.asdict(report)
            del facts["failures"]
            instance.events.fire(event, ticket=ticket, **facts)

    return tell
