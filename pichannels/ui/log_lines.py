"""The lines of the log of instances, for all who look, without what is masked."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from pichannels.control.masking import Mask
from pichannels.errors import PichannelsError
from pichannels.loglines import KEPT, LogLine, LogPage, LogWanted, chosen
from pichannels.ui.data import ReadModel
from pichannels.ui.links import Link, Links
from pichannels.ui.roles import Principal, Role

__all__ = ["LogFollowing", "LogLines", "without_masked"]

logger: Final = logging.getLogger("pichannels.ui")

_WAIT: Final = 5.0
_BETWEEN: Final = 0.3
"""Seconds between two looks, so that a flood comes in few parts."""
_AGAIN: Final = 2.0


class LogFollowing:
    """Follows the log of one instance while anybody looks: once for all of them.

    Args:
        link: the instance.

    Attributes:
        lines: the last ones, the oldest first; nothing is masked.
        error: why there are none, or "".
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self.lines: deque[LogLine] = deque(maxlen=KEPT)
        self.error = ""
        self._run = ""
        self._last = 0
        self._told: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None

    def subscribe(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call this when there are new lines; the result ends it."""
        self._told.append(told)
        if self._task is None:
            name = f"log of {self._link.name}"
            self._task = asyncio.create_task(self._follow(), name=name)

        def forget() -> None:
            if told in self._told:
                self._told.remove(told)

        return forget

    async def close(self) -> None:
        """End."""
        self._told.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _follow(self) -> None:
        try:
            while self._told:
                await self._look()
                for told in list(self._told):
                    told()
                await asyncio.sleep(_AGAIN if self.error else _BETWEEN)
        finally:
            self._task = None

    async def _look(self) -> None:
        asked = {"after": self._last, "count": KEPT, "wait": _WAIT}
        try:
            found = await self._link.command("log", **asked)
            page = msgspec.convert(found, LogPage)
        except PichannelsError as exc:
            self.error = str(exc)
            return
        self.error = ""
        if page.run != self._run:
            is_first = self._run == ""
            self._run, self._last = page.run, 0
            self.lines.clear()
            if not is_first:
                # What was asked for was behind a number of the run before.
                return
        self.lines.extend(page.lines)
        self._last = page.last


class LogLines:
    """The logs of all instances.

    Args:
        links: the instances.
        data: knows what is masked.
    """

    def __init__(self, links: Links, data: ReadModel) -> None:
        self._links = links
        self._data = data
        self._following = {link.name: LogFollowing(link) for link in links.all()}

    async def close(self) -> None:
        """End."""
        for each in self._following.values():
            await each.close()

    async def read(self, who: Principal, instance: str, wanted: LogWanted) -> LogPage:
        """The lines that fit, the oldest first.

        Raises:
            NotAllowed: lines may quote payloads, so it takes the role `data`.
            PichannelsError: the instance does not answer.
        """
        who.need(Role.DATA)
        found = await self._links.get(instance).command(
            "log", after=wanted.after, count=KEPT
        )
        page = msgspec.convert(found, LogPage)
        lines = self.seen(who, page.lines, wanted)
        return msgspec.structs.replace(page, lines=lines)

    def following(self, who: Principal, instance: str) -> LogFollowing:
        """What follows the log of an instance; show its lines by `seen`.

        Raises:
            NotAllowed: it takes the role `data`.
            NoSuchInstance: there is none.
        """
        who.need(Role.DATA)
        return self._following[self._links.get(instance).name]

    def seen(
        self, who: Principal, lines: list[LogLine], wanted: LogWanted
    ) -> list[LogLine]:
        """Those that fit, as this user may see them: what is masked cannot be found."""
        who.need(Role.DATA)
        mask = self._data.mask_for(who)
        if not mask:
            return chosen(lines, wanted)
        cheap = msgspec.structs.replace(wanted, text=None, count=KEPT)
        shown = [without_masked(line, mask) for line in chosen(lines, cheap)]
        return chosen(shown, wanted)


def without_masked(line: LogLine, mask: Mask) -> LogLine:
    """A line without what is masked, also in JSON documents inside of it."""
    text, stack = mask.applied(line.text), mask.applied(line.stack)
    if (text, stack) == (line.text, line.stack):
        return line
    return msgspec.structs.replace(line, text=text, stack=stack)
