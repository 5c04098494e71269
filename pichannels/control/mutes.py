"""What is muted of groups of dead letters, and what is muted no more.

A muted group is counted and shown as before; only lamps do not tell it. It is kept in
the journal, so that all who look see the same, also after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from pichannels import codecs
from pichannels.control.failure_groups import FailureGroup, Muting
from pichannels.errors import CodecError
from pichannels.journal import Journal
from pichannels.values import parse_ticks

__all__ = ["NAMESPACE", "Mute", "Mutes", "judge", "mutes", "read_mutes"]

NAMESPACE: Final = "mutes"
"""Where the journal keeps them."""

_OFTEN: Final = 5
"""Letters of an hour up to which twice as many are no change."""


class Mute(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a muted group.

    Attributes:
        who: has muted it.
        made: when (ISO 8601).
        until: up to when, or None.
        until_change: whether it ends with another cause, or when they come more often.
        causes: fingerprints of the causes that it had.
        recent: how many came in the hour before.
    """

    who: str
    made: str
    until: str | None
    until_change: bool
    causes: list[str]
    recent: int


Mutes = Mapping[str, Mute]


async def mutes(journal: Journal) -> Mutes:
    """What is muted, by group.

    Raises:
        JournalError: the journal cannot be read.
    """
    found = await journal.saved(NAMESPACE)
    return {group: msgspec.convert(each, Mute) for group, each in found.items()}


def read_mutes(saved: Mapping[str, bytes]) -> Mutes:
    """The same of what the file of a journal has."""
    found: dict[str, Mute] = {}
    for group, data in saved.items():
        try:
            found[group] = msgspec.convert(codecs.decode(data), Mute)
        except (CodecError, msgspec.ValidationError):
            # One that another version has written mutes nothing.
            continue
    return found


# What is muted, and what is no more


def judge(groups: list[FailureGroup], known: Mutes, now: int) -> None:
    """Tell of each group whether it is muted, and otherwise why it is no more."""
    for group in groups:
        one = known.get(group.id)
        if one is not None:
            group.muted = _judged(group, one, now)


def _judged(group: FailureGroup, one: Mute, now: int) -> Muting:
    ended: Literal["", "time", "cause", "rate"] = ""
    if one.until is not None and parse_ticks(one.until) <= now:
        ended = "time"
    elif one.until_change and not set(group.causes) <= set(one.causes):
        ended = "cause"
    elif one.until_change and group.recent > 2 * max(one.recent, _OFTEN):
        ended = "rate"
    return Muting(
        who=one.who,
        made=one.made,
        until=one.until,
        until_change=one.until_change,
        ended=ended,
    )
