"""What takes a while: begun, looked at while it goes on, and sometimes cancelled."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

import msgspec

from pichannels import clock
from pichannels.errors import PichannelsError, UsageError
from pichannels.ui.budget import OverBudget
from pichannels.ui.masking import Mask
from pichannels.values import format_ticks

__all__ = ["NoSuchOperation", "Operation", "Operations", "Work"]

_MOST: Final = 16
_REMEMBERED: Final = 200

State = Literal["running", "done", "failed", "cancelled"]


class Operation(msgspec.Struct, kw_only=True):
    """One of them.

    Attributes:
        id: tells it from others.
        instance: where it works.
        action: what it does.
        user: who has begun it.
        started, ended: ISO 8601.
        state: `running`, `done`, `failed` or `cancelled`.
        total: how many it is about, where that is known.
        progress: how far it is.
        report: what came of it.
        error: why it failed.
        can_cancel: whether it can be ended before.
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


Work = Callable[[Operation], Awaitable[Any]]
Ended = Callable[[Operation], Awaitable[None]]


class Operations:
    """The operations of this process; the last ones are remembered.

    Args:
        ended: called with each that has ended.
    """

    def __init__(self, ended: Ended) -> None:
        self._ended = ended
        self._all: dict[str, Operation] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    def begin(
        self,
        instance: str,
        action: str,
        user: str,
        work: Work,
        *,
        total: int | None = None,
        can_cancel: bool = False,
    ) -> Operation:
        """Begin one.

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
        while len(self._all) >= _REMEMBERED:
            done = next(id for id in self._all if id not in self._running)
            del self._all[done]
        self._all[made.id] = made
        name = f"operation {made.id}"
        task = asyncio.create_task(self._run(made, work), name=name)
        self._running[made.id] = task
        return made

    async def _run(self, operation: Operation, work: Work) -> None:
        try:
            operation.report = await work(operation)
            operation.state = "done"
        except asyncio.CancelledError:
            operation.state = "cancelled"
        except Exception as exc:
            operation.state, operation.error = "failed", str(exc)
        finally:
            operation.ended = format_ticks(clock.now())
            self._running.pop(operation.id, None)
        await self._ended(operation)

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
        """End all of them."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
