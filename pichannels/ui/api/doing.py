"""Routes that change something in instances."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from pichannels.control import replaying
from pichannels.control.chosen import Chosen
from pichannels.control.failure_groups import FailureGroup
from pichannels.control.history import Selection
from pichannels.control.keeping import Prune
from pichannels.control.reports import ChannelReport
from pichannels.control.tags import TagsReport
from pichannels.testing.golden import TestFiles
from pichannels.ui.api.acting import (
    Counted,
    begin_action,
    given_by,
    preview_action,
    run_action,
)
from pichannels.ui.api.routing import Ask, Routes
from pichannels.ui.failures import hidden_group
from pichannels.ui.operations import Operation
from pichannels.ui.roles import Role
from pichannels.ui.settings_files import Applied
from pichannels.ui.tracing import WayReport

__all__ = ["routes"]

routes = Routes("commands", "/instances/{instance}")

Count = Annotated[int, msgspec.Meta(ge=0)] | None
_OPERATE, _ADMIN = Role.OPERATE, Role.ADMIN
_CHANNEL: Final = ("start", "stop", "restart", "pause", "resume")


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages are durable.

    Attributes:
        accepted: how many.
    """

    accepted: int


class Injected(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A message for a channel: its payload, and what else it is to have.

    Attributes:
        payload: any JSON.
        content_type: of the payload.
        meta: facts beside the payload.
    """

    payload: Any
    content_type: str = "application/text"
    meta: dict[str, Any] = {}


class Tags(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Tags to add and to remove; `refresh` evaluates searches again.

    Attributes:
        add: names, paths or searches, as in the settings.
        remove: such as were added.
        refresh: evaluate searches again.
    """

    add: list[str] = []
    remove: list[str] = []
    refresh: bool = False


class Replay(replaying.Replay, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which messages to replay; `count` says how many that are, unless it is one id.

    With `from_node` or `to_sink` the other sinks of the channel are not touched.

    Attributes:
        count: how many that are.
    """

    count: Count = None


class Transfer(Selection, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which messages of a channel another one is to take.

    Attributes:
        target: full name of the other channel.
        to: its instance, by the name here; the same one without.
        count: how many that are, unless it is one id.
    """

    target: str
    to: str | None = None
    count: Count = None


class Redrive(Chosen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters to run again; `count` says how many, unless it is one id.

    Attributes:
        count: how many that are.
    """

    count: Count = None


class Discard(Chosen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters to give up, and why; `count` as for redrives.

    Attributes:
        reason: why, for those who look later.
        count: how many that are.
    """

    reason: str = ""
    count: Count = None


class Pruned(Prune, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which settled messages to delete; `count` says how many.

    Attributes:
        count: how many that are.
    """

    count: Count = None


class Changes(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a dead letter is to have instead: any of these.

    Attributes:
        payload: any JSON.
        meta: all facts beside the payload.
        ctx: what nodes have kept on the way.
        content_type: of the payload.
    """

    payload: Any = msgspec.UNSET
    meta: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    ctx: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    content_type: str | msgspec.UnsetType = msgspec.UNSET


class Exported(Selection, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which messages to write, and to which file of the instance's machine.

    Attributes:
        path: absolute; compressed where it ends in `.gz`.
        replace: whether a file that exists is replaced.
    """

    path: str
    replace: bool = False


class Imported(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A file of the instance's machine, and the channel whose store takes it.

    Attributes:
        channel: full name of the channel.
        path: absolute.
    """

    channel: str
    path: str


class Backup(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A new file on the instance's machine; absolute.

    Attributes:
        path: absolute.
    """

    path: str


class Stop(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`now`: without draining.

    Attributes:
        now: without draining.
    """

    now: bool = False


class Apply(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`roll_back`: put back what ran, where the settings cannot be used.

    Attributes:
        roll_back: put back what ran, where the settings cannot be used.
    """

    roll_back: bool = True


class Stopping(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the instance stops.

    Attributes:
        stopping: whether it does.
    """

    stopping: bool


# Channels


def _add_channel_command(what: str) -> None:
    async def endpoint(ask: Ask, instance: str, name: str) -> Any:
        return await run_action(ask, instance, f"{what}-channel", {"channel": name})

    endpoint.__name__ = f"{what}_channel"
    endpoint.__doc__ = f"{what.capitalize()} a channel; `pichannels channel {what}`."
    path = f"/channels/{{name}}/{what}"
    routes.add("POST", path, role=_OPERATE, answer=ChannelReport)(endpoint)


for _what in _CHANNEL:
    _add_channel_command(_what)


@routes.add(
    "POST",
    "/channels/{name}/messages",
    role=_OPERATE,
    answer=Accepted,
    body=Injected,
)
async def inject_message(ask: Ask, instance: str, name: str, body: Any) -> Any:
    """Give a channel a message, which it processes in the lane `replay`."""
    return await run_action(
        ask, instance, "inject", {"channel": name, **given_by(body)}
    )


@routes.add(
    "POST", "/channels/{name}/tags", role=_OPERATE, answer=TagsReport, body=Tags
)
async def change_tags(ask: Ask, instance: str, name: str, body: Any) -> Any:
    """Add and remove tags while the channel runs."""
    return await run_action(ask, instance, "tags", {"channel": name, **given_by(body)})


# What concerns many


def _add_bulk(
    path: str, action: str, role: Role, body: type[msgspec.Struct], about: str
) -> None:
    async def preview(ask: Ask, instance: str, body: Any) -> Any:
        return await preview_action(ask, instance, action, body)

    async def begin(ask: Ask, instance: str, body: Any) -> Any:
        return await begin_action(ask, instance, action, body)

    name = action.replace("-", "_")
    preview.__name__, begin.__name__ = f"preview_{name}", f"begin_{name}"
    preview.__doc__ = f"How many this would concern: {about}."
    begin.__doc__ = (
        f"Begin to {about}; without the right `count` the answer is 409, and tells it."
    )
    routes.add("POST", f"{path}/preview", role=role, answer=Counted, body=body)(preview)
    routes.add("POST", path, role=role, answer=Operation, body=body, status=202)(begin)


_add_bulk("/replays", "replay", _OPERATE, Replay, "process stored messages again")
_add_bulk("/transfers", "send", _OPERATE, Transfer, "give messages to another channel")
_add_bulk("/redrives", "dead-redrive", _OPERATE, Redrive, "run dead letters again")
_add_bulk("/discards", "dead-discard", _ADMIN, Discard, "give dead letters up")
_add_bulk("/prunes", "prune", _ADMIN, Pruned, "delete settled messages")


@routes.add(
    "POST", "/dead-letters/{id}", role=_ADMIN, answer=dict[str, Any], body=Changes
)
async def edit_dead_letter(ask: Ask, instance: str, id: str, body: Any) -> Any:
    """Put another dead letter in the place of one, with another payload or meta."""
    return await run_action(
        ask, instance, "dead-edit", {"id": id, "changes": given_by(body)}
    )


class Muted(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How long a group is muted: until the first of these.

    Attributes:
        seconds: for so long.
        until_change: until there is another cause, or they come more often.
    """

    seconds: Annotated[float, msgspec.Meta(gt=0, le=366 * 86400)] | None = None
    until_change: bool = False


@routes.add(
    "POST",
    "/dead-letter-groups/{group}/mute",
    role=_OPERATE,
    answer=FailureGroup,
    body=Muted,
)
async def mute_dead_letter_group(ask: Ask, instance: str, group: str, body: Any) -> Any:
    """Let lamps not tell dead letters that are known; they are counted as before."""
    given = {"group": group, "who": ask.who.name, **given_by(body)}
    found = await run_action(ask, instance, "dead-mute", given)
    mask = ask.console.data.mask_for(ask.who)
    return hidden_group(msgspec.convert(found, FailureGroup), mask)


class Unmuted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it.

    Attributes:
        unmuted: whether it was muted.
    """

    unmuted: bool


@routes.add("POST", "/dead-letter-groups/{group}/unmute", role=_OPERATE, answer=Unmuted)
async def unmute_dead_letter_group(ask: Ask, instance: str, group: str) -> Any:
    """Let lamps tell these dead letters again."""
    return await run_action(ask, instance, "dead-unmute", {"group": group})


class Traced(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A stored message: its channel and its number.

    Attributes:
        channel: full name of the channel.
        id: the number.
    """

    channel: str
    id: str


@routes.add("POST", "/traces", role=_OPERATE, answer=WayReport, body=Traced)
async def trace_message(ask: Ask, instance: str, body: Any) -> Any:
    """The way of a stored message through the nodes: input, output, what differs.

    It runs once more through a copy of the channel; sinks are not asked.
    """
    return await ask.console.tracer.trace(ask.who, instance, body.channel, body.id)


class Tested(Traced, kw_only=True, forbid_unknown_fields=True):
    """`replace`: write the test anew where it exists.

    Attributes:
        replace: whether a test that exists is written anew.
    """

    replace: bool = False


@routes.add("POST", "/tests", role=_OPERATE, answer=TestFiles, body=Tested)
async def save_message_as_test(ask: Ask, instance: str, body: Any) -> Any:
    """Write a test of what becomes of a stored message, beside the settings."""
    save = ask.console.tracer.save_as_test
    return await save(ask.who, instance, body.channel, body.id, replace=body.replace)


# Files of the instance's machine


@routes.add(
    "POST", "/exports", role=_ADMIN, answer=Operation, body=Exported, status=202
)
async def begin_export(ask: Ask, instance: str, body: Any) -> Any:
    """Begin to write messages of a channel to a file."""
    return await begin_action(ask, instance, "export", body)


@routes.add(
    "POST", "/imports", role=_ADMIN, answer=Operation, body=Imported, status=202
)
async def begin_import(ask: Ask, instance: str, body: Any) -> Any:
    """Begin to store the messages of a file."""
    return await begin_action(ask, instance, "import", body)


@routes.add("POST", "/backups", role=_ADMIN, answer=Operation, body=Backup, status=202)
async def begin_backup(ask: Ask, instance: str, body: Any) -> Any:
    """Begin to copy the journal to a new file."""
    return await begin_action(ask, instance, "backup", body)


class _Verify(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Nothing."""


@routes.add("POST", "/verifications", role=_OPERATE, answer=Operation, status=202)
async def begin_verification(ask: Ask, instance: str) -> Any:
    """Begin to read the whole journal, and tell what is wrong."""
    return await begin_action(ask, instance, "verify", _Verify())


# The instance


@routes.add("POST", "/settings/apply", role=_ADMIN, answer=Applied, body=Apply)
async def apply_settings(ask: Ask, instance: str, body: Any) -> Any:
    """Let the settings file take effect; put back what ran where it cannot be used."""
    apply = ask.console.settings.apply
    found = await apply(ask.who, instance, roll_back=body.roll_back)
    ask.console.data.forget()
    return found


@routes.add("POST", "/settings/versions/{version}/apply", role=_ADMIN, answer=Applied)
async def roll_back_settings(ask: Ask, instance: str, version: str) -> Any:
    """Put a version of the settings files back, and let it take effect."""
    found = await ask.console.settings.roll_back(ask.who, instance, version)
    ask.console.data.forget()
    return found


@routes.add("POST", "/stop", role=_ADMIN, answer=Stopping, body=Stop)
async def stop_instance(ask: Ask, instance: str, body: Any) -> Any:
    """Stop the instance; messages in flight are finished first, unless `now`."""
    return await run_action(ask, instance, "stop", body)
