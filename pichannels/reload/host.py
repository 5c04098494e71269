"""What a reload needs of the engine."""

from __future__ import annotations

from typing import Protocol

from pichannels.channels import BaseChannel
from pichannels.events import EventBus
from pichannels.journal import Journal
from pichannels.project import Project

__all__ = ["Host"]


class Host(Protocol):
    """The instance whose channels change."""

    project: Project
    journal: Journal
    events: EventBus

    def attach(self, channel: BaseChannel) -> None:
        """Let a channel join the instance, before its start."""

    async def start_one(self, channel: BaseChannel) -> None:
        """Start a channel.

        Raises:
            StartError: it did not start.
            JournalError: the journal does not work.
        """
