"""Everything that changes something: who may, what was counted before, what is kept.

The pages call this in their own process, the API by its routes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from pichannels import clock
from pichannels.control.audit import Audit, kept
from pichannels.control.sending import Fetch, send_messages
from pichannels.errors import PichannelsError, UsageError, nearest
from pichannels.events import Event
from pichannels.message import Message
from pichannels.ui.links import Link, Links
from pichannels.ui.operation_store import OperationStore
from pichannels.ui.operations import Operation, Operations
from pichannels.ui.roles import NotAllowed, Principal, Role
from pichannels.values import format_ticks

__all__ = ["ACTIONS", "RESUMED", "Action", "Commands", "CountNeeded"]


class Action(NamedTuple):
    """What it takes to do something.

    Attributes:
        role: who may.
        is_bulk: whether the number of what it is about has to be given.
        is_long: whether it is an operation, which can be looked at meanwhile.
    """

    role: Role
    is_bulk: bool = False
    is_long: bool = False


ACTIONS: Final[Mapping[str, Action]] = {
    "start-channel": Action(Role.OPERATE),
    "stop-channel": Action(Role.OPERATE),
    "restart-channel": Action(Role.OPERATE),
    "pause-channel": Action(Role.OPERATE),
    "resume-channel": Action(Role.OPERATE),
    "pause-sink": Action(Role.OPERATE),
    "resume-sink": Action(Role.OPERATE),
    "inject": Action(Role.OPERATE),
    "tags": Action(Role.OPERATE),
    "backfill-create": Action(Role.OPERATE),
    "backfill-pause": Action(Role.OPERATE),
    "backfill-resume": Action(Role.OPERATE),
    "backfill-cancel": Action(Role.OPERATE),
    "backfill-priority": Action(Role.OPERATE),
    "pi-budget": Action(Role.OPERATE),
    "reconcile": Action(Role.OPERATE, is_long=True),
    "replay": Action(Role.OPERATE, is_bulk=True, is_long=True),
    "send": Action(Role.OPERATE, is_bulk=True, is_long=True),
    "dead-redrive": Action(Role.OPERATE, is_bulk=True, is_long=True),
    "dead-mute": Action(Role.OPERATE),
    "dead-unmute": Action(Role.OPERATE),
    "dead-edit": Action(Role.ADMIN),
    "dead-discard": Action(Role.ADMIN, is_bulk=True, is_long=True),
    "prune": Action(Role.ADMIN, is_bulk=True, is_long=True),
    "export": Action(Role.ADMIN, is_long=True),
    "import": Action(Role.ADMIN, is_long=True),
    "backup": Action(Role.ADMIN, is_long=True),
    "verify": Action(Role.OPERATE, is_long=True),
    "reload": Action(Role.ADMIN),
    "stop": Action(Role.ADMIN),
}
"""What can be done to an instance; most are commands of its control server."""

_PREVIEWED: Final = {"send": "replay"}
_PROGRESS: Final = {"replay": "replay.progress", "dead-redrive": "redrive.progress"}
RESUMED: Final = ("replay", "dead-redrive", "dead-discard", "prune")
"""What can go on where it was broken off; all else begins anew."""
_SEARCHED: Final = ("text", "regex", "error")
"""Conditions on what may be masked."""


class CountNeeded(PichannelsError):
    """This concerns so many; do it again with that number.

    Attributes:
        count: how many.
        given: the number that was given, or None.
    """

    def __init__(self, action: str, count: int, given: int | None) -> None:
        self.count = count
        self.given = given
        wrong = "" if given is None else f", not {given}"
        super().__init__(f"{action} concerns {count}{wrong}; give this count to do it")


class Commands:
    """Does what a user asks for, and writes it down.

    Args:
        links: the instances.
        audit: where it is written.
        store: where operations are kept.
        is_masked: whether only administrators see all of payloads.
    """

    def __init__(
        self,
        links: Links,
        audit: Audit,
        store: OperationStore,
        *,
        is_masked: bool = False,
    ) -> None:
        self._links = links
        self._audit = audit
        self._is_masked = is_masked
        self._who: dict[str, Principal] = {}
        self.operations = Operations(self._note_end, store)

    async def open(self) -> None:
        """Take up the operations that are kept; those that were cut are noted.

        Raises:
            PichannelsError: the audit log cannot be written.
        """
        for cut in await self.operations.open():
            self._who[cut.id] = Principal(cut.user, Role.VIEW, "restart")
            await self._note_end(cut)

    # Looking before

    async def preview(
        self, who: Principal, instance: str, action: str, arguments: Mapping[str, Any]
    ) -> int:
        """How many messages, or dead letters, a bulk action concerns.

        Raises:
            NotAllowed: the user may not do this.
            UsageError: it is no bulk action.
            PichannelsError: the instance does not answer, or refuses.
        """
        who.need(_action(action).role)
        if not _action(action).is_bulk:
            raise UsageError(f"{action} is about no number of things")
        self._check_conditions(who, arguments)
        return await self._count(self._links.get(instance), action, arguments)

    async def _count(
        self, link: Link, action: str, arguments: Mapping[str, Any]
    ) -> int:
        given = dict(arguments)
        if action == "send":
            given = {k: v for k, v in given.items() if k not in ("target", "to")}
        command = _PREVIEWED.get(action, action)
        found = await link.command(command, **{**given, "dry_run": True})
        if isinstance(found, list):
            return sum(each["messages"] for each in found)
        return int(found["selected"])

    # Doing

    async def run(
        self,
        who: Principal,
        instance: str,
        action: str,
        arguments: Mapping[str, Any] | None = None,
        count: int | None = None,
    ) -> Any:
        """Do something, and wait until it is done: what the instance tells.

        What takes long goes on when nobody waits any more; `begin` does not wait.

        Raises:
            CountNeeded: it concerns another number than `count`, or none was given.
            NotAllowed: the user may not do this.
            PichannelsError: the instance does not answer, or refuses.
        """
        given = dict(arguments or {})
        if _action(action).is_long:
            operation = await self.begin(who, instance, action, given, count)
            ended = await self.operations.wait(operation.id)
            if ended.state != "done":
                raise PichannelsError(ended.error or f"{action} was {ended.state}")
            return ended.report
        link = await self._checked(who, instance, action, given)
        told = partial(self.note, who, action, given, instance=instance)
        await told(result="asked")
        try:
            found = await self._do(link, action, given)
        except PichannelsError as exc:
            await told(result="failed", detail=str(exc))
            raise
        await told(detail=_shown(found))
        return found

    async def begin(
        self,
        who: Principal,
        instance: str,
        action: str,
        arguments: Mapping[str, Any] | None = None,
        count: int | None = None,
    ) -> Operation:
        """Begin something that takes long.

        Raises:
            CountNeeded: it concerns another number than `count`, or none was given.
            NotAllowed: the user may not do this.
            OverBudget: too much goes on.
            PichannelsError: the instance does not answer, or refuses.
        """
        return await self._begin(who, instance, action, dict(arguments or {}), count)

    async def _begin(
        self,
        who: Principal,
        instance: str,
        action: str,
        given: dict[str, Any],
        count: int | None,
        continues: Operation | None = None,
    ) -> Operation:
        link = await self._checked(who, instance, action, given)
        if action == "replay" and not (given.get("ids") or given.get("end")):
            # What it makes itself is not meant, also when it goes on later.
            given["end"] = format_ticks(clock.now() + 1)
        more = {} if continues is None else _resuming(continues)
        total = None
        if _action(action).is_bulk:
            total = await self._count(link, action, {**given, **more})
            is_one = total <= 1 and len(given.get("ids") or ()) == 1
            if count != total and not is_one:
                raise CountNeeded(action, total, count)

        async def work(operation: Operation) -> Any:
            return await self._do_long(link, operation, {**given, **more})

        noted = given if continues is None else {**given, "continues": continues.id}
        await self.note(who, action, noted, instance=instance, result="asked")
        made = self.operations.begin(
            instance,
            action,
            who.name,
            work,
            given,
            total=total,
            can_cancel=action in ("replay", "send"),
            continues=continues,
        )
        self._who[made.id] = who
        return made

    async def resume(
        self, who: Principal, id: str, count: int | None = None
    ) -> Operation:
        """Go on with an operation that was broken off, with what is left of it.

        A replay goes on behind the last message that was done; the one that was under
        way then may run twice. Dead letters that have settled are none any more; those
        that failed again run again.

        Raises:
            CountNeeded: another number is left than `count`, or none was given.
            NotAllowed: the user may not do this.
            NoSuchOperation: there is none.
            UsageError: it is over, goes on already, or can only be begun again.
            PichannelsError: as `begin`.
        """
        before = self.operations.get(id)
        if not before.is_broken_off:
            told = f"operation {id} is {before.state}"
            raise UsageError(f"{told}, and does not go on")
        if before.action not in RESUMED:
            raise UsageError(f"{before.action} does not go on; begin it again")
        given = self.operations.given(id)
        return await self._begin(
            who, before.instance, before.action, given, count, before
        )

    async def repeat(
        self, who: Principal, id: str, count: int | None = None
    ) -> Operation:
        """Begin an operation again from its start; what it has done is done twice.

        Raises:
            CountNeeded: it concerns another number than `count`, or none was given.
            NotAllowed: the user may not do this.
            NoSuchOperation: there is none.
            UsageError: it goes on.
            PichannelsError: as `begin`.
        """
        before = self.operations.get(id)
        if before.state == "running":
            raise UsageError(f"operation {id} is running")
        given = self.operations.given(id)
        return await self.begin(who, before.instance, before.action, given, count)

    async def cancel(self, who: Principal, id: str) -> Operation:
        """End an operation before it is done.

        Raises:
            NotAllowed: the user may not do this.
            NoSuchOperation: there is none.
            UsageError: it cannot be ended.
        """
        operation = self.operations.get(id)
        who.need(_action(operation.action).role)
        found = self.operations.cancel(id)
        await self.note(who, "cancel", {"id": id}, instance=operation.instance)
        return found

    # What the audit log keeps

    async def note(
        self,
        who: Principal,
        action: str,
        arguments: Mapping[str, Any],
        *,
        instance: str = "",
        result: str = "done",
        detail: str = "",
    ) -> None:
        """Write into the audit log what was done elsewhere."""
        await asyncio.to_thread(
            self._audit.note,
            who,
            action,
            kept(arguments),
            instance=instance,
            result=result,
            detail=detail,
        )

    @asynccontextmanager
    async def noted(
        self,
        who: Principal,
        action: str,
        arguments: Mapping[str, Any],
        instance: str = "",
    ) -> AsyncIterator[None]:
        """Write down what the block does before it does it, and what came of it."""
        told = partial(self.note, who, action, arguments, instance=instance)
        await told(result="asked")
        try:
            yield
        except PichannelsError as exc:
            await told(result="failed", detail=str(exc))
            raise
        await told()

    async def _checked(
        self, who: Principal, instance: str, action: str, given: Mapping[str, Any]
    ) -> Link:
        link = self._links.get(instance)
        needed = _action(action).role
        if not who.role.may(needed):
            await self.note(who, action, given, instance=instance, result="refused")
            raise NotAllowed(who.name, who.role, needed)
        self._check_conditions(who, given)
        return link

    def _check_conditions(self, who: Principal, given: Mapping[str, Any]) -> None:
        """Let nobody find by counting what is masked."""
        found = [name for name in _SEARCHED if given.get(name)]
        if found and self._is_masked and not who.role.may(Role.ADMIN):
            raise UsageError(
                f"only administrators choose by {', '.join(found)}, as parts of"
                " payloads are masked"
            )

    async def _note_end(self, operation: Operation) -> None:
        who = self._who.pop(operation.id)
        detail = operation.error or _shown(operation.report)
        await self.note(
            who,
            operation.action,
            {"operation": operation.id},
            instance=operation.instance,
            result=operation.state,
            detail=detail,
        )

    # How

    async def _do(self, link: Link, action: str, given: dict[str, Any]) -> Any:
        if action == "inject":
            return await link.command("give", **_injected(given))
        return await link.command(action, **given)

    async def _do_long(
        self, link: Link, operation: Operation, given: dict[str, Any]
    ) -> Any:
        action = operation.action
        if action == "send":
            return await self._send(link, operation, given)
        event = _PROGRESS.get(action)
        if event is None:
            return await link.command(action, **given)
        forget = link.events.subscribe(_following(event, operation))
        try:
            return await link.command(action, **{**given, "ticket": operation.place})
        finally:
            forget()

    async def _send(
        self, link: Link, operation: Operation, given: dict[str, Any]
    ) -> Any:
        target, to = given.pop("target", ""), given.pop("to", None)
        other = link if to is None else self._links.get(to)

        def progress(sent: int) -> None:
            operation.progress = {"sent": sent}

        try:
            wanted = msgspec.convert(given, Fetch)
        except msgspec.ValidationError as exc:
            raise UsageError(f"send: {exc}") from exc
        sent = await send_messages(
            link.command, wanted, other.command, target, progress
        )
        return {"sent": sent}


def _resuming(before: Operation) -> dict[str, Any]:
    """What a command is given to go on where another one was cut."""
    if before.action == "prune":
        return {}
    ticket = {"ticket": before.place} if before.action == "replay" else {}
    return {**ticket, "resume": True}


def _action(name: str) -> Action:
    if name not in ACTIONS:
        raise UsageError(f"there is no action {name!r}{nearest(name, ACTIONS)}")
    return ACTIONS[name]


def _following(name: str, operation: Operation) -> Callable[[Event], None]:
    def follow(event: Event) -> None:
        if event.name == name and event.facts.get("ticket") == operation.place:
            known = {
                k: v for k, v in event.facts.items() if k not in ("ticket", "time")
            }
            operation.progress = known

    return follow


def _injected(given: Mapping[str, Any]) -> dict[str, Any]:
    """A message that somebody has written, for `give`."""
    meta = dict(given.get("meta") or {})
    msg = Message(
        given.get("content_type") or "application/text", given.get("payload"), meta
    )
    return {"channel": given.get("channel", ""), "messages": [msg.to_json()]}


def _shown(found: Any) -> str:
    """What a command told, without errors of messages, which may quote payloads."""
    if isinstance(found, dict):
        found = {name: value for name, value in found.items() if name != "failures"}
    return msgspec.json.encode(found, enc_hook=str).decode()
