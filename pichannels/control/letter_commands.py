"""The commands for dead letters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from pichannels.control import deadletters
from pichannels.control.chosen import Chosen, Grouped, Listed
from pichannels.control.instance import Command, Instance, telling
from pichannels.control.muting import MuteWanted, mute, unmute
from pichannels.control.parked import list_parked

__all__ = ["LETTER_COMMANDS"]


class _Parked(msgspec.Struct, forbid_unknown_fields=True):
    """`channel`: only of this one."""

    channel: str | None = None


class _Redrive(Chosen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`dry_run`: only count the dead letters; `ticket`: names it in events.

    `resume`: leave out ids that are no dead letters any more.
    """

    dry_run: bool = False
    ticket: str = ""
    resume: bool = False


class _Discard(Chosen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`reason` is kept with each; `dry_run`: only count them; `resume` as above."""

    reason: str = ""
    dry_run: bool = False
    resume: bool = False


class _Letter(msgspec.Struct, forbid_unknown_fields=True):
    """One dead letter."""

    id: str


class _Group(msgspec.Struct, forbid_unknown_fields=True):
    """One group of dead letters, by its fingerprint."""

    group: str


class _Edit(msgspec.Struct, forbid_unknown_fields=True):
    """`changes`: of its `payload`, `meta`, `ctx` or `content_type`."""

    id: str
    changes: dict[str, Any]


async def _list(instance: Instance, request: Listed) -> Any:
    return await deadletters.list_letters(instance.journal, request)


async def _groups(instance: Instance, request: Grouped) -> Any:
    return await deadletters.group_letters(instance.journal, request)


async def _mute(instance: Instance, request: MuteWanted) -> Any:
    return await mute(instance.journal, request)


async def _unmute(instance: Instance, request: _Group) -> Any:
    return await unmute(instance.journal, request.group)


async def _parked(instance: Instance, request: _Parked) -> Any:
    return list_parked(instance.project, request.channel)


async def _show(instance: Instance, request: _Letter) -> Any:
    return await deadletters.show_letter(instance.journal, request.id)


async def _redrive(instance: Instance, request: _Redrive) -> Any:
    return await deadletters.redrive(
        instance.project,
        instance.journal,
        await _chosen(instance, request),
        dry_run=request.dry_run,
        progress=telling(instance, "redrive.progress", request.ticket),
    )


async def _edit(instance: Instance, request: _Edit) -> Any:
    return await deadletters.edit(instance.journal, request.id, request.changes)


async def _discard(instance: Instance, request: _Discard) -> Any:
    return await deadletters.discard(
        instance.project,
        instance.journal,
        await _chosen(instance, request),
        reason=request.reason,
        dry_run=request.dry_run,
    )


async def _chosen(instance: Instance, request: _Redrive | _Discard) -> Chosen:
    values = {name: getattr(request, name) for name in Chosen.__struct_fields__}
    if request.resume and request.ids:
        values["ids"] = await deadletters.still_letters(instance.journal, request.ids)
    return Chosen(**values)


LETTER_COMMANDS: Final[Mapping[str, Command]] = {
    "dead-discard": Command(_Discard, _discard),
    "dead-edit": Command(_Edit, _edit),
    "dead-groups": Command(Grouped, _groups),
    "dead-list": Command(Listed, _list),
    "dead-mute": Command(MuteWanted, _mute),
    "dead-parked": Command(_Parked, _parked),
    "dead-redrive": Command(_Redrive, _redrive),
    "dead-show": Command(_Letter, _show),
    "dead-unmute": Command(_Group, _unmute),
}
