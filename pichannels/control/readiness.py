"""Whether an instance does its work, and otherwise what of it does not, and why.

Sources tell by themselves whether they are connected. Many sinks connect when they
have something to write, so they are looked at (`probe`) when somebody asks, in the
background and not often: an answer never waits long for it, and those who ask often
find out no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final, NamedTuple

from pichannels import clock
from pichannels.control.reports import STORE_WAITING, StatusReport, Unready
from pichannels.lifecycle import Status
from pichannels.node import BaseNode
from pichannels.project import Project

__all__ = ["Readiness", "paused_parts"]

_KEPT: Final = 30.0
"""Seconds for which a sink that was there is believed to be."""
_KEPT_BAD: Final = 5.0
_PATIENCE: Final = 5.0
"""Seconds that a sink has to answer."""
_FIRST: Final = 2.0
"""Seconds that who asks waits for sinks that were away, or never looked at."""
_AT_ONCE: Final = 8


class _Seen(NamedTuple):
    """What was found when a sink was looked at.

    Attributes:
        why: it is not there; "" where it is.
        at: when, by the monotonic clock.
        was_connected: whether it said so by itself.
        failed: when it had failed last, ticks.
    """

    why: str
    at: float
    was_connected: bool
    failed: int


class Readiness:
    """Looks at the sinks of a project, and remembers what it saw."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._looking: asyncio.Task[None] | None = None

    async def look(self, project: Project) -> None:
        """Look at sinks that were not looked at for a while.

        Returns soon, and at once where the sinks were there when last looked at. What
        is not known then counts as not being there.
        """
        self.begin(project)
        if self._looking is not None and not self._were_there(project):
            await asyncio.wait([self._looking], timeout=_FIRST)

    def begin(self, project: Project) -> None:
        """The same for who does not wait: what is seen is told to who asks next."""
        if self._looking is None and (due := list(self._due(project))):
            self._looking = asyncio.create_task(self._look(due), name="readiness")
            self._looking.add_done_callback(self._looked)

    async def close(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    def _looked(self, task: asyncio.Task[None]) -> None:
        self._looking = None

    def _due(self, project: Project) -> Iterator[BaseNode]:
        now = clock.monotonic()
        for sink in _sinks(project):
            seen = self._seen.get(sink.fullpath())
            if seen is None or now - seen.at >= _good_for(sink, seen):
                yield sink

    async def _look(self, due: list[BaseNode]) -> None:
        room = asyncio.Semaphore(_AT_ONCE)

        async def look(sink: BaseNode) -> None:
            async with room:
                failed, was_connected = sink.tally.error_ticks, _is_connected(sink)
                why = await _trouble(sink)
                seen = _Seen(why, clock.monotonic(), was_connected, failed)
                self._seen[sink.fullpath()] = seen

        await asyncio.gather(*map(look, due))

    def troubles(self, project: Project, status: StatusReport) -> list[Unready]:
        """What does not work, as far as that is known.

        Args:
            project: what runs.
            status: of its instance, now.
        """
        sinks = [
            Unready(sink.fullpath(), "sink", seen.why)
            for sink in _sinks(project)
            if (seen := self._seen.get(sink.fullpath())) is not None
            and seen.why
            and not _is_connected(sink)
        ]
        return [*_of_instance(status), *_of_channels(status), *sinks]

    def all_troubles(self, project: Project, status: StatusReport) -> list[Unready]:
        """The same, with the sinks of which nothing is known yet; after `look`."""
        unknown = [
            Unready(name, "sink", "it has not answered yet")
            for name in self._unknown(project)
        ]
        return self.troubles(project, status) + unknown

    def _were_there(self, project: Project) -> bool:
        seen = [self._seen.get(sink.fullpath()) for sink in _sinks(project)]
        return all(one is not None and not one.why for one in seen)

    def _unknown(self, project: Project) -> list[str]:
        names = (sink.fullpath() for sink in _sinks(project))
        return [name for name in names if name not in self._seen]


def paused_parts(status: StatusReport) -> list[str]:
    """Channels and sinks that are paused on command, or until a message has gone."""
    if status.state != "running":
        # Those that drain go on with nothing new, which nobody has asked for.
        return []
    channels = [c.name for c in status.channels if c.state == Status.PAUSED.label]
    return [*channels, *(sink.name for sink in status.sinks if sink.is_paused)]


def _sinks(project: Project) -> Iterator[BaseNode]:
    """Those of channels that run."""
    for channel in project.all_channels():
        if not channel.is_stopped():
            yield from (
                node
                for node in channel.own_nodes()
                if node.is_sink and not node.is_replaced
            )


def _is_connected(sink: BaseNode) -> bool:
    """Whether it says so by itself; most connect when there is something to write."""
    return bool(sink.statistics().get("connected"))


def _good_for(sink: BaseNode, seen: _Seen) -> float:
    """Seconds for which what was seen of a sink is believed."""
    if seen.was_connected and not _is_connected(sink):
        return 0.0
    has_failed = sink.tally.error_ticks != seen.failed
    return _KEPT_BAD if seen.why or has_failed else _KEPT


async def _trouble(sink: BaseNode) -> str:
    """Why a sink is not there; "" where it is."""
    if _is_connected(sink):
        return ""
    why = await _probed(sink)
    is_waiting = "connected" in sink.statistics() and not _is_connected(sink)
    if why or sink.is_paused or not (is_waiting and sink.tally.in_flight):
        return why
    return "it answers, and is not connected yet; messages wait for it"


async def _probed(sink: BaseNode) -> str:
    """Why its other side is not there; "" where it is."""
    try:
        async with asyncio.timeout(_PATIENCE):
            findings = await sink.probe()
    except TimeoutError:
        return f"no answer within {_PATIENCE:g} s"
    except Exception as exc:
        return f"{type(exc).__name__}: {exc}"
    return "; ".join(f"{each.what}: {each.text}" for each in findings if not each.ok)


def _of_instance(status: StatusReport) -> Iterator[Unready]:
    if status.state != "running":
        yield Unready("instance", "instance", f"it is {status.state}")
    if status.lease is not None and not status.lease.is_held:
        yield Unready("instance", "instance", "the lease is lost")
    if status.journal is not None and status.journal.is_full:
        yield Unready("journal", "journal", "it is full")


def _of_channels(status: StatusReport) -> Iterator[Unready]:
    for channel in status.channels:
        if channel.state in ("stopped", "starting", "stopping"):
            yield Unready(channel.name, "channel", f"it is {channel.state}")
        elif channel.state == STORE_WAITING:
            yield Unready(channel.name, "channel", "its message store is away")
        elif not channel.is_ready:
            why = channel.source.get("trouble") or "not connected"
            yield Unready(channel.name, "source", str(why))
