"""Counts how often what runs was changed: the project, and each of its channels.

The journal keeps it, so that a start with the same settings counts nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from pichannels import clock
from pichannels.errors import JournalError
from pichannels.journal import Journal
from pichannels.reload.definition import ChannelDefinition, ProjectDefinition
from pichannels.values import format_ticks

__all__ = ["Revision", "Revisions"]

logger: Final = logging.getLogger("pichannels.reload")

_SPACE: Final = "revisions"
_PROJECT: Final = "project"
_CHANNEL: Final = "channel:"


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """How often a channel was changed.

    Attributes:
        number: 1 for as it was first.
        since: when it was changed last, ISO 8601.
        apply: by which apply of settings; starts with changed settings count, too.
    """

    number: int
    since: str
    apply: int


class _Kept(msgspec.Struct, kw_only=True):
    """What the journal keeps of a channel, or of the project."""

    number: int
    since: int
    apply: int
    digest: str


class Revisions:
    """The revisions of an instance."""

    def __init__(self) -> None:
        self._journal: Journal | None = None
        self._kept: dict[str, _Kept] = {}
        self._names: list[str] = []

    @property
    def apply(self) -> int:
        """The number of the last apply that changed something; 0 before the first."""
        kept = self._kept.get(_PROJECT)
        return kept.number if kept is not None else 0

    def of_channels(self) -> dict[str, Revision]:
        """The revisions of the channels that run."""
        found = {name: self._kept.get(_CHANNEL + name) for name in self._names}
        return {
            name: Revision(
                number=one.number, since=format_ticks(one.since), apply=one.apply
            )
            for name, one in found.items()
            if one is not None
        }

    async def open(self, journal: Journal, running: ProjectDefinition) -> None:
        """Take up what the last run has counted, and compare it with what runs.

        Raises:
            JournalError: the journal cannot be read.
        """
        self._journal = journal
        self._kept = _read(await journal.saved(_SPACE))
        await self.note(running)

    async def note(self, running: ProjectDefinition) -> None:
        """This runs from now on; what differs from before is a new revision."""
        digests = await asyncio.to_thread(_digests, running)
        self._names = [channel.name for channel in running.channels]
        changed = [
            key
            for key, digest in digests.items()
            if key not in self._kept or self._kept[key].digest != digest
        ]
        apply = self.apply + bool(changed)
        now = clock.now()
        for key in changed:
            before = self._kept.get(key)
            number = 1 if before is None else before.number + 1
            self._keep(
                key, _Kept(number=number, since=now, apply=apply, digest=digests[key])
            )

    def _keep(self, key: str, kept: _Kept) -> None:
        self._kept[key] = kept
        assert self._journal is not None
        try:
            self._journal.save(_SPACE, key, msgspec.msgpack.encode(kept))
        except JournalError as exc:
            logger.error("revision %d of %s is not kept: %s", kept.number, key, exc)


def _read(saved: Mapping[str, Any]) -> dict[str, _Kept]:
    found: dict[str, _Kept] = {}
    for key, data in saved.items():
        try:
            found[key] = msgspec.msgpack.decode(data, type=_Kept)
        except (msgspec.DecodeError, TypeError) as exc:
            logger.error("revisions of %s begin anew: %s", key, exc)
    return found


def _digests(running: ProjectDefinition) -> dict[str, str]:
    found = {_CHANNEL + one.name: _digest(one) for one in running.channels}
    settings = {name: fact.digest for name, fact in running.settings.items()}
    return {**found, _PROJECT: _hashed([settings, found])}


def _digest(channel: ChannelDefinition) -> str:
    facts = {name: fact.digest for name, fact in channel.facts.items()}
    return _hashed([facts, channel.tags])


def _hashed(value: Any) -> str:
    data = msgspec.json.encode(value, order="sorted")
    return hashlib.sha256(data).hexdigest()[:32]
