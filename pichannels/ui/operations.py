"""What takes a while: begun, looked at while it goes on, and sometimes cancelled."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, Literal

import msgspec

from pichannels import clock
from pichannels.control.masking import Mask
from pichannels.control.refusals import CommandFailed, NoInstance
from pichannels.errors import NotConnected, PichannelsError, UsageError
from pichannels.ui.budget import OverBudget
from pichannels.ui.operation_store import OperationStore
from pichannels.values import format_ticks

__all__ = ["REMEMBERED", "NoSuchOperation", "Operation", "Operations", "Work"]

logger: Final = logging.getLogger("pichannels.ui")

_MOST: Final = 16
REMEMBERED: Final = 200
"""How many are known, those that have ended among them."""

State = Literal["running", "done", "failed", "cancelled", "cut"]

_KEPT_EACH: Final = 2.0
"""Seconds after which it is kept how far an operation is."""
_KILLED: Final = "the pages ended in the midst of it; the instance may have gone on"
_CLOSED: Final = "the pages were stopped; the instance may have gone on"
_CUT: Final = ("ChannelStopped", "ChannelPaused")
"""What a replay ends with that can go on."""


class Operation(msgspec.Struct, kw_only=True):
    """One of them.

    Attributes:
        id: tells it from others.
        instance: where it works.
        action: what it does.
        user: who has begun it.
        started, ended: ISO 8601.
        state: `running`, `done`, `failed`, `cancelled`, or `cut` where it broke off
            because the instance or the pages ended.
        total: how many it is about, where that is known.
        progress: how far it is.
        report: what came of it.
        error: why it failed.
        can_cancel: whether it can be ended before.
        continues: the operation that this one goes on with, or "".
        continued: the operation that has gone on with this one, or "".
        ticket: by what the instance knows how far it is, where it continues another.
    """

    id: str
    instance: str
    action: str
    user: str
    started: str
    ended: str | None = None
    state: State = "running"
    total: int | None = None
    progress: dict[str, Any] = {}
    report: Any = None
    error: str = ""
    can_cancel: bool = False
    continues: str = ""
    continued: str = ""
    ticket: str = ""

    @property
    def place(self) -> str:
        """By what the instance knows how far it is."""
        return self.ticket or self.id

    @property
    def is_broken_off(self) -> bool:
        """Whether something may be left of it to be done."""
        return self.state in ("cut", "cancelled", "failed") and not self.continued

    def seen(self, mask: Mask | None) -> Operation:
        """The same without what is hidden.

        Args:
            mask: hides parts; None hides all errors, which may quote payloads.
        """
        if mask is not None:
            report, error = mask.applied(self.report), mask.applied(self.error)
        else:
            report, error = self.report, "(not shown)" if self.error else ""
            if isinstance(report, dict) and report.get("failures"):
                hidden = [{**each, "error": None} for each in report["failures"]]
                report = {**report, "failures": hidden}
        return msgspec.structs.replace(self, report=report, error=error)


class NoSuchOperation(PichannelsError):
    """There is no such operation, or it was forgotten."""

    def __init__(self, id: str) -> None:
        super().__init__(f"there is no operation {id!r}")


Work = Callable[[Operation], Coroutine[Any, Any, Any]]
Ended = Callable[[Operation], Awaitable[None]]


class Operations:
    """The last operations; those that a restart has cut are among them.

    Args:
        ended: called with each that has ended.
        store: where they are kept.
    """

    def __init__(self, ended: Ended, store: OperationStore) -> None:
        self._ended = ended
        self._store = store
        self._all: dict[str, Operation] = {}
        self._given: dict[str, dict[str, Any]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._is_closing = False

    async def open(self) -> list[Operation]:
        """Take up those that are kept: the ones that the end of a process has cut.

        What goes on in another process that uses the same file is left alone.
        """
        cut: list[Operation] = []
        try:
            is_own = await asyncio.to_thread(self._store.claim)
            kept = await asyncio.to_thread(self._store.load)
        except PichannelsError as exc:
            # They are no reason to have no pages.
            logger.error("no operations are remembered: %s", exc)
            return cut
        for told, given in kept:
            try:
                found = msgspec.json.decode(told, type=Operation)
            except msgspec.DecodeError:
                # Another version has written it.
                continue
            self._all[found.id], self._given[found.id] = found, given
            if found.state == "running" and is_own:
                found.state, found.error = "cut", _KILLED
                found.ended = format_ticks(clock.now())
                await self._keep(found)
                cut.append(found)
        return cut

    def begin(
        self,
        instance: str,
        action: str,
        user: str,
        work: Work,
        given: Mapping[str, Any],
        *,
        total: int | None = None,
        can_cancel: bool = False,
        continues: Operation | None = None,
    ) -> Operation:
        """Begin one.

        Args:
            given: its arguments, with which it can be begun again.
            continues: the one that was cut, and goes on with this.

        Raises:
            OverBudget: too many go on.
        """
        if len(self._running) >= _MOST:
            raise OverBudget("operations", 5)
        made = Operation(
            id=secrets.token_hex(8),
            instance=instance,
            action=action,
            user=user,
            started=format_ticks(clock.now()),
            total=total,
            can_cancel=can_cancel,
        )
        if continues is not None:
            made.continues, made.ticket = continues.id, continues.place
            continues.continued = made.id
        self._make_room()
        self._all[made.id], self._given[made.id] = made, dict(given)
        name = f"operation {made.id}"
        task = asyncio.create_task(self._run(made, work, continues), name=name)
        self._running[made.id] = task
        return made

    def _make_room(self) -> None:
        while len(self._all) >= REMEMBERED:
            done = next(id for id in self._all if id not in self._running)
            del self._all[done], self._given[done]

    async def _run(
        self, operation: Operation, work: Work, continues: Operation | None
    ) -> None:
        try:
            if continues is not None:
                await self._keep(continues)
            await self._keep(operation)
            operation.report = await self._watched(operation, work)
            operation.state = "done"
        except asyncio.CancelledError:
            operation.state = "cut" if self._is_closing else "cancelled"
            operation.error = _CLOSED if self._is_closing else ""
        except Exception as exc:
            operation.state = "cut" if _is_cut(exc) else "failed"
            operation.error = str(exc)
        finally:
            operation.ended = format_ticks(clock.now())
            self._running.pop(operation.id, None)
        await self._keep(operation)
        await self._ended(operation)

    async def _watched(self, operation: Operation, work: Work) -> Any:
        """What came of the work; how far it is, is kept meanwhile."""
        name = f"work of operation {operation.id}"
        working = asyncio.create_task(work(operation), name=name)
        try:
            while not (await asyncio.wait({working}, timeout=_KEPT_EACH))[0]:
                await self._keep(operation)
        except asyncio.CancelledError:
            working.cancel()
            await asyncio.wait({working})
            raise
        return working.result()

    async def _keep(self, operation: Operation) -> None:
        told = msgspec.json.encode(operation, enc_hook=str)
        given = self._given.get(operation.id, {})
        try:
            await asyncio.to_thread(self._store.save, operation.id, told, given)
        except PichannelsError as exc:
            # It is done all the same; after a restart nobody would know of it.
            logger.error("operation %s: %s", operation.id, exc)

    def given(self, id: str) -> dict[str, Any]:
        """The arguments of an operation.

        Raises:
            NoSuchOperation: there is none.
        """
        self.get(id)
        return dict(self._given[id])

    def all(self) -> list[Operation]:
        """All that are known, the newest first."""
        return list(reversed(self._all.values()))

    def get(self, id: str) -> Operation:
        """The one with this number.

        Raises:
            NoSuchOperation: there is none.
        """
        if id not in self._all:
            raise NoSuchOperation(id)
        return self._all[id]

    def cancel(self, id: str) -> Operation:
        """End one that goes on.

        Raises:
            NoSuchOperation: there is none.
            UsageError: it cannot be ended.
        """
        found = self.get(id)
        task = self._running.get(id)
        if task is None or not found.can_cancel:
            raise UsageError(f"{found.action} is {found.state} and cannot be cancelled")
        task.cancel()
        return found

    async def wait(self, id: str) -> Operation:
        """The one with this number, when it has ended.

        Raises:
            NoSuchOperation: there is none.
        """
        found = self.get(id)
        task = self._running.get(id)
        if task is not None:
            await asyncio.wait([task])
        return found

    async def close(self) -> None:
        """End all of them; they are cut."""
        self._is_closing = True
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await asyncio.to_thread(self._store.close)


def _is_cut(error: Exception) -> bool:
    """Whether an operation ends with this before it is done, and may go on."""
    if isinstance(error, CommandFailed):
        return error.kind in _CUT
    return isinstance(error, NotConnected | NoInstance)
