"""A stored message once more through the nodes: what each of them got and gave."""

from __future__ import annotations

import asyncio
import difflib
from typing import Any, Final

import msgspec

from pichannels.errors import UsageError
from pichannels.testing.golden import TestFiles
from pichannels.testing.tracing import Trace
from pichannels.ui.budget import OverBudget
from pichannels.ui.commands import Commands
from pichannels.ui.data import ReadModel
from pichannels.ui.links import Links
from pichannels.ui.programs import run_program
from pichannels.ui.roles import Principal, Role

__all__ = ["Tracer", "WayReport", "WayStep"]

_PATIENCE: Final = 30.0
_LONGEST: Final = 2000
"""Lines of one difference."""


class WayStep(msgspec.Struct, frozen=True, kw_only=True):
    """One node on the way of a message.

    Attributes:
        node: its full name.
        kind: the name of its class.
        is_sink: whether messages leave the project there; it was not asked.
        at: seconds after the message went in.
        inputs, outputs: `content_type`, `meta` and `payload` of what came and left.
        error: why it failed, or "".
        diff: lines of the first input and output that differ, as `diff -u` has them.
    """

    node: str
    kind: str
    is_sink: bool
    at: float
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    error: str
    diff: list[str]


class WayReport(msgspec.Struct, frozen=True, kw_only=True):
    """The way of a message.

    Attributes:
        channel: its full name.
        state: what became of the message this time.
        error: why, or "".
        steps: the nodes that it came to, in this order.
    """

    channel: str
    state: str
    error: str
    steps: list[WayStep]


class Tracer:
    """Runs stored messages through a copy of their channel, in a process of its own.

    Sinks are not asked, and nothing is kept; nodes that ask others (enrich from a web
    server, say) do so.

    Args:
        links: the instances.
        commands: what writes the audit log.
        data: what hides payloads.
    """

    def __init__(self, links: Links, commands: Commands, data: ReadModel) -> None:
        self._links = links
        self._commands = commands
        self._data = data
        self._working = asyncio.Lock()

    async def trace(
        self, who: Principal, instance: str, channel: str, id: str
    ) -> WayReport:
        """The way of a stored message through its channel as the settings have it now.

        Raises:
            NotAllowed: the role is not enough.
            MessageNotFound: there is no such message.
            UsageError: the project is on another machine.
            PichannelsError: it cannot be run.
        """
        found = await self._run(who, instance, "trace", channel, id)
        mask = self._data.mask_for(who)
        shown = mask.applied(found) if mask is not None else found
        return await asyncio.to_thread(_report, msgspec.convert(shown, Trace))

    async def save_as_test(
        self,
        who: Principal,
        instance: str,
        channel: str,
        id: str,
        *,
        replace: bool = False,
    ) -> TestFiles:
        """Write a test of what becomes of a stored message, beside the settings.

        Raises:
            NotAllowed: the role is not enough.
            UsageError: the project is on another machine.
            PichannelsError: it cannot be run, or the test exists.
        """
        more = ("--replace",) if replace else ()
        found = await self._run(who, instance, "test", channel, id, *more)
        return msgspec.convert(found, TestFiles)

    async def _run(
        self,
        who: Principal,
        instance: str,
        what: str,
        channel: str,
        id: str,
        *more: str,
    ) -> Any:
        who.need(Role.OPERATE)
        link = self._links.get(instance)
        if link.settings is None:
            raise UsageError(f"the settings of {instance} are on another machine")
        if self._working.locked():
            raise OverBudget("traces", 2)
        # That there is none is told at once, and not by a process.
        await self._data.message(who, instance, id, channel)
        given = {"channel": channel, "id": id}
        async with self._commands.noted(who, what, given, instance), self._working:
            return await run_program(
                *("store", what, "--json", "--settings", str(link.settings)),
                *(*more, "--", channel, id),
                seconds=_PATIENCE,
            )


def _report(found: Trace) -> WayReport:
    steps = [
        WayStep(**msgspec.structs.asdict(step), diff=_diff(step.inputs, step.outputs))
        for step in found.steps
    ]
    return WayReport(
        channel=found.channel, state=found.state, error=found.error, steps=steps
    )


def _diff(inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> list[str]:
    if not (inputs and outputs):
        return []
    before, after = _lines(inputs[0]), _lines(outputs[0])
    found = difflib.unified_diff(before, after, "in", "out", lineterm="", n=2)
    return list(found)


def _lines(shown: dict[str, Any]) -> list[str]:
    text = msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()
    return text.splitlines()[:_LONGEST]
