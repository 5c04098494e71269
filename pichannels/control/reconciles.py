"""Comparing the archive with what was delivered, on request."""

from __future__ import annotations

from typing import Any

import msgspec

from pichannels.channels.reconciling import ReconcileReport, Reconciling
from pichannels.control.arguments import ticks_of
from pichannels.errors import UsageError
from pichannels.project import Project

__all__ = ["ReconcileWanted", "reconcile"]


class ReconcileWanted(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """What is to be compared.

    Attributes:
        channel: full name.
        tags: names, paths or keys; `*` and `?` stand for others.
        start, end: ISO 8601; the whole hours between are compared.
    """

    channel: str
    tags: list[str]
    start: str
    end: str


async def reconcile(project: Project, wanted: ReconcileWanted) -> ReconcileReport:
    """Compare whole hours; those of which an event is missing become holes.

    Raises:
        UsageError: no such channel or tags, a time is none; the channel does not run,
            or keeps no messages in the journal.
        PIWebAsyncException, DecodeError, NotConnected: the archive does not answer.
        JournalError: the journal cannot be read.
    """
    channel: Any = project.channel(wanted.channel)
    found: Reconciling | None = getattr(channel, "reconciling", None)
    if found is None:
        raise UsageError(f"channel {wanted.channel!r} reads nothing from an archive")
    if not channel.keeps:
        raise UsageError(
            f"nothing is kept of what {wanted.channel!r} has delivered;"
            " it needs a message store that shares the journal"
        )
    start, end = ticks_of("start", wanted.start), ticks_of("end", wanted.end)
    return await found.run(wanted.tags, start, end)
