"""The commands for single channels of an instance."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from pichannels.channels import BaseChannel
from pichannels.channels.kept_pauses import pause_sink
from pichannels.control.figures import sink_of
from pichannels.control.reports import ChannelReport, SinkState, sink_state
from pichannels.errors import UsageError
from pichannels.lifecycle import Status
from pichannels.reporting import Reporting

__all__ = ["Commanding"]

_RUNNING: Final = (Status.STARTING, Status.WAITING, Status.PROCESSING)


class Commanding(Reporting, ABC):
    """The part of the engine that starts, stops and pauses single channels."""

    @abstractmethod
    async def start_one(self, channel: BaseChannel) -> None:
        """Start a channel.

        Raises:
            StartError: it did not start.
            JournalError: the journal does not work.
        """

    async def start_channel(self, name: str) -> ChannelReport:
        """Start a channel that is stopped; one that runs goes on.

        Raises:
            StartError: it did not start.
            UsageError: there is no such channel, it is a sub-channel, or it is paused.
        """
        channel = self._own_channel(name)
        if channel.status is Status.PAUSED:
            raise UsageError(f"channel {name!r} is paused; `resume` lets it go on")
        if channel.status not in _RUNNING:
            await self.start_one(channel)
        return self._report(channel)

    async def stop_channel(self, name: str) -> ChannelReport:
        """Stop a channel; the others run on.

        Raises:
            UsageError: there is no such channel, or it is a sub-channel.
        """
        channel = self._own_channel(name)
        await channel.stop()
        return self._report(channel)

    async def restart_channel(self, name: str) -> ChannelReport:
        """Stop a channel, and start it again; one that is stopped is started.

        Raises:
            StartError: it did not start again.
            UsageError: there is no such channel, or it is a sub-channel.
        """
        channel = self._own_channel(name)
        await channel.stop()
        await self.start_one(channel)
        return self._report(channel)

    async def pause_channel(self, name: str) -> ChannelReport:
        """Let a channel store what comes, and process nothing; also after a restart.

        Raises:
            JournalError: that cannot be kept; the channel is paused all the same.
            UsageError: there is no such channel, or it is a sub-channel.
        """
        channel = self._own_channel(name)
        await channel.pause()
        return self._report(channel)

    async def resume_channel(self, name: str) -> ChannelReport:
        """Let a channel process what it has stored while it was paused, and go on.

        Raises:
            JournalError: that cannot be kept; the channel goes on all the same.
            UsageError: there is no such channel, or it is a sub-channel.
        """
        channel = self._own_channel(name)
        await channel.resume()
        return self._report(channel)

    async def pause_sink(self, name: str) -> SinkState:
        """Let messages wait for a sink, while the others go on; also after a restart.

        Args:
            name: the full name of the sink.

        Raises:
            JournalError: that cannot be kept; the sink is paused all the same.
            UsageError: there is no such sink.
        """
        return await self._set_sink(name, paused=True)

    async def resume_sink(self, name: str) -> SinkState:
        """Let a sink have what has waited for it, and go on.

        Raises:
            JournalError: that cannot be kept; the sink goes on all the same.
            UsageError: there is no such sink.
        """
        return await self._set_sink(name, paused=False)

    async def _set_sink(self, name: str, *, paused: bool) -> SinkState:
        if self._state != "running":
            raise UsageError(f"the instance is {self._state}")
        channel, node = sink_of(self.project, name)
        await pause_sink(channel, node, paused)
        return sink_state(node)

    def _own_channel(self, name: str) -> BaseChannel:
        channel = self.project.channel(name)
        if channel.parent is not None:
            raise UsageError(f"{name!r} runs as a part of {channel.parent.name!r}")
        if self._state != "running":
            raise UsageError(f"the instance is {self._state}")
        return channel
