"""Groups of dead letters that somebody knows of are muted, and unmuted."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from pichannels import clock
from pichannels.control.chosen import Grouped
from pichannels.control.deadletters import group_letters
from pichannels.control.failure_groups import FailureGroup
from pichannels.control.mutes import NAMESPACE, Mute, judge, mutes
from pichannels.errors import MessageNotFound, UsageError
from pichannels.journal import Journal
from pichannels.values import TICKS_PER_SECOND, format_ticks, parse_ticks

__all__ = ["MuteWanted", "mute", "unmute"]

_LONGEST: Final = 366 * 86400.0
_KEPT: Final = 86400 * TICKS_PER_SECOND
"""So long it is told why a group is muted no more."""


class MuteWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which group to mute, and for how long: both ends may be given.

    Attributes:
        group: its fingerprint.
        seconds: for so long.
        until_change: until there is another cause, or they come more often.
        who: mutes it, for others to see.
    """

    group: str
    seconds: Annotated[float, msgspec.Meta(gt=0, le=_LONGEST)] | None = None
    until_change: bool = False
    who: str = ""


async def mute(journal: Journal, wanted: MuteWanted) -> FailureGroup:
    """Mute a group; one that is muted is muted anew.

    Raises:
        MessageNotFound: there is no such group.
        UsageError: nothing says when it ends.
    """
    if wanted.seconds is None and not wanted.until_change:
        raise UsageError("say when it ends: after some time, or until it changes")
    found = await group_letters(journal, Grouped(group=wanted.group))
    if not found:
        told = (
            f"there is no group {wanted.group!r}; `pichannels dead groups` shows them"
        )
        raise MessageNotFound("", wanted.group, told)
    now = clock.now()
    until = None
    if wanted.seconds is not None:
        until = format_ticks(now + int(wanted.seconds * TICKS_PER_SECOND))
    made = Mute(
        who=wanted.who,
        made=format_ticks(now),
        until=until,
        until_change=wanted.until_change,
        causes=found[0].causes,
        recent=found[0].recent,
    )
    saved = journal.save(NAMESPACE, wanted.group, msgspec.structs.asdict(made))
    await _forget_old(journal, now)
    await saved
    judge(found, {wanted.group: made}, now)
    return found[0]


async def _forget_old(journal: Journal, now: int) -> None:
    for group, one in (await mutes(journal)).items():
        if one.until is not None and parse_ticks(one.until) < now - _KEPT:
            journal.forget(NAMESPACE, group)


async def unmute(journal: Journal, group: str) -> dict[str, bool]:
    """Mute a group no longer: `unmuted`, whether it was."""
    known = await mutes(journal)
    if group in known:
        await journal.forget(NAMESPACE, group)
    return {"unmuted": group in known}
