"""Channels take the place of others while the rest of the instance runs on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pichannels.channels import BaseChannel
from pichannels.channels.listening import share_endpoints
from pichannels.channels.pi import PIWebChannel
from pichannels.errors import JournalError, PichannelsError
from pichannels.project import Project
from pichannels.reload.definition import (
    ChannelDefinition,
    ProjectDefinition,
    store_key,
)
from pichannels.reload.host import Host
from pichannels.reload.plan import ChannelChange, ReloadReport

__all__ = ["Swap"]

logger: Final = logging.getLogger("pichannels.reload")

_OF_THE_CHAIN: Final = {
    "drain_timeout",
    "key",
    "lanes",
    "message_store_factory",
    "raise_dropped",
    "retry",
    "steps",
    "tags",
    "window",
    "window_bytes",
}
"""Options of a channel that its source does not depend on."""

_COUNTS: Final = ("processed", "dropped", "rejected", "failed")


class Swap:
    """One reload: the channels that run, and the definitions they are made from.

    Args:
        host: the engine.
        running: what runs.
        new: what is to run.
    """

    def __init__(
        self, host: Host, running: ProjectDefinition, new: ProjectDefinition
    ) -> None:
        self._host = host
        self._old = {each.name: each for each in running.channels}
        self._new = {each.name: each for each in new.channels}
        self._settings = new.settings
        self._channels: list[BaseChannel] = []

    async def apply(self, project: Project, report: ReloadReport) -> ProjectDefinition:
        """Make the changes of the report; tells in it what failed and what is left.

        Returns:
            What runs now. A channel that could not be changed is as it was.
        """
        fresh = {channel.name: channel for channel in project.channels}
        self._channels = self._host.project.channels
        names = set(_names(self._channels))
        _share_stores(self._channels, fresh.values())
        share_endpoints(fresh.values(), self._channels)
        # From here on this list tells what runs, at any moment.
        project.channels = self._channels
        self._host.project = project
        now = dict(self._old)
        for change in report.channels:
            try:
                await self._apply(change, fresh)
            except Exception as exc:
                # One that cannot be changed must not keep the others from it.
                is_ours = isinstance(exc, PichannelsError)
                logger.error("%s: %s", change.name, exc, exc_info=not is_ours)
                report.failures.append(f"{change.name}: {exc or type(exc).__name__}")
            else:
                _note(now, change.name, self._new.get(change.name))
        order = {name: place for place, name in enumerate(self._new)}
        self._channels.sort(key=lambda channel: order.get(channel.name, len(order)))
        report.unsettled = self._left(names)
        return ProjectDefinition(
            self._settings, [now[channel.name] for channel in self._channels]
        )

    async def _apply(
        self, change: ChannelChange, fresh: Mapping[str, BaseChannel]
    ) -> None:
        name = change.name
        if change.kind == "added":
            await self._add(fresh[name])
            return
        old = next(each for each in self._channels if each.name == name)
        if change.kind == "removed":
            await old.stop()
            self._channels.remove(old)
        elif change.kind == "changed":
            await self._replace(old, fresh[name], await self._keeps_source(old, fresh))
        elif not await self._update_tags(old, fresh[name]):
            await self._replace(old, fresh[name], keeps_source=False)

    async def _add(self, channel: BaseChannel) -> None:
        self._host.attach(channel)
        self._channels.append(channel)
        try:
            await self._host.start_one(channel)
        except BaseException:
            self._channels.remove(channel)
            raise

    async def _update_tags(self, old: BaseChannel, new: BaseChannel) -> bool:
        """Whether a running channel could change its tags; else it is replaced."""
        if not (isinstance(old, PIWebChannel) and isinstance(new, PIWebChannel)):
            return False
        if old.is_stopped():
            return False
        try:
            await old.update_tags(new.tags)
        except PichannelsError as exc:
            logger.warning("%s: starts anew with its tags: %s", old.name, exc)
            return False
        return True

    async def _keeps_source(
        self, old: BaseChannel, fresh: Mapping[str, BaseChannel]
    ) -> bool:
        """Whether the source that runs is as the new channel wants it."""
        before, after = self._old[old.name], self._new[old.name]
        if old.is_stopped() or not _same_source(before, after):
            return False
        return before.tags == after.tags or await self._update_tags(
            old, fresh[old.name]
        )

    async def _replace(
        self, old: BaseChannel, new: BaseChannel, keeps_source: bool
    ) -> None:
        """Let `new` take the place of `old`, which comes back where that fails."""
        was_stopped = old.is_stopped()
        if not was_stopped:
            if keeps_source:
                await new.take_source_from(old)
            await old.stop()
        try:
            _carry_counts(old, new)
            self._host.attach(new)
            self._put(old, new)
            if not was_stopped:
                await self._host.start_one(new)
        except Exception:
            if not was_stopped:
                await self._go_back(old, new)
            raise

    async def _go_back(self, old: BaseChannel, new: BaseChannel) -> None:
        await old.take_source_from(new)
        self._put(new, old)
        try:
            await self._host.start_one(old)
        except Exception:
            # Nobody is there who could take what comes.
            await old.stop_source()
            raise

    def _put(self, old: BaseChannel, new: BaseChannel) -> None:
        if old in self._channels:
            self._channels[self._channels.index(old)] = new

    def _left(self, names: set[str]) -> dict[str, int]:
        """Unsettled messages of channels that are no longer there."""
        gone = sorted(names.difference(_names(self._channels)))
        try:
            counts = {name: self._host.journal.count_unsettled(name) for name in gone}
        except JournalError:
            return {}
        return {name: count for name, count in counts.items() if count}


def _same_source(before: ChannelDefinition, after: ChannelDefinition) -> bool:
    return all(
        before.facts.get(place) == after.facts.get(place)
        for place in before.facts.keys() | after.facts.keys()
        if "." not in place and place not in _OF_THE_CHAIN
    )


def _note(
    now: dict[str, ChannelDefinition], name: str, new: ChannelDefinition | None
) -> None:
    if new is None:
        now.pop(name, None)
    else:
        now[name] = new


def _tree(channels: Iterable[BaseChannel]) -> Iterator[BaseChannel]:
    for channel in channels:
        yield channel
        yield from _tree(channel.subchannels())


def _names(channels: Iterable[BaseChannel]) -> Iterator[str]:
    return (channel.name for channel in _tree(channels))


def _share_stores(running: Iterable[BaseChannel], fresh: Iterable[BaseChannel]) -> None:
    """Let new channels use the factories that run: two cannot share one file."""
    known = {
        store_key(channel): channel.message_store_factory for channel in _tree(running)
    }
    for channel in _tree(fresh):
        factory = known.get(store_key(channel))
        if factory is not None:
            channel.message_store_factory = factory
            channel.message_store = factory.get_store(channel.name)


def _carry_counts(old: BaseChannel, new: BaseChannel) -> None:
    """Counts are since the start of the instance."""
    before = {channel.name: channel for channel in _tree([old])}
    for channel in _tree([new]):
        if channel.name in before:
            for count in _COUNTS:
                setattr(channel, count, getattr(before[channel.name], count))
