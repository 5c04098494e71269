"""What only the instance can tell of coverage, jobs and budgets, as far as one may see.

It is asked once for many who look.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final
from weakref import WeakValueDictionary

import msgspec

from pichannels import clock
from pichannels.control.coverage_reports import CoverageReport, CoverageWanted
from pichannels.ui.links import Links
from pichannels.ui.roles import Principal, Role

__all__ = ["Reports"]

_TAGS: Final = 2000
"""For each so many tags what is told of them is good for a second."""


class Reports:
    """Asks instances, and keeps for a moment what they tell.

    Methods raise as those of `ReadModel`.

    Args:
        links: the instances.
    """

    def __init__(self, links: Links) -> None:
        self._links = links
        self._kept: dict[tuple[str, ...], tuple[float, Any]] = {}
        # Locks last while somebody holds one, or waits for it.
        self._asking: WeakValueDictionary[tuple[str, ...], asyncio.Lock]
        self._asking = WeakValueDictionary()

    # Coverage and jobs

    async def coverage(
        self, who: Principal, instance: str, wanted: CoverageWanted
    ) -> CoverageReport:
        """What the ledgers say."""
        who.need(Role.VIEW)
        given = msgspec.structs.asdict(wanted)
        found = await self._fresh(instance, 2.0, "coverage", **given)
        return msgspec.convert(found, CoverageReport)

    async def jobs(
        self, who: Principal, instance: str, **wanted: Any
    ) -> list[dict[str, Any]]:
        """Backfill jobs; see `JobReport`.

        Args:
            wanted: `channel` and `state`, as in `JobsWanted`.
        """
        who.need(Role.VIEW)
        link = self._links.get(instance)
        found: list[dict[str, Any]] = await link.command("backfill-list", **wanted)
        return found

    async def job(self, who: Principal, instance: str, id: str) -> dict[str, Any]:
        """One backfill job."""
        who.need(Role.VIEW)
        link = self._links.get(instance)
        found: dict[str, Any] = await link.command("backfill-show", id=id)
        return found

    async def budget(
        self, who: Principal, instance: str, server: str = ""
    ) -> dict[str, Any]:
        """What history gets of a PI server; see `BudgetReport`."""
        who.need(Role.VIEW)
        link = self._links.get(instance)
        found: dict[str, Any] = await link.command("pi-budget", server=server)
        return found

    # What is kept for a moment, so that many who look ask once

    async def _fresh(
        self, instance: str, seconds: float, command: str, **arguments: Any
    ) -> Any:
        key = (instance, command, *map(str, arguments.values()))
        # Parts of many pages are written at the same moment.
        async with self._asking.setdefault(key, asyncio.Lock()):
            found = self._kept.get(key)
            if found is not None and clock.monotonic() < found[0]:
                return found[1]
            answer = await self._links.get(instance).command(command, **arguments)
            now = clock.monotonic()
            # Very many tags take a second, and hold up who asks and who answers.
            many = len(answer["streams"]) / _TAGS if command == "tags" else 0.0
            # Answers may be large, and ranges up to now are never asked for again.
            self._kept = {k: each for k, each in self._kept.items() if now < each[0]}
            self._kept[key] = (now + max(seconds, many), answer)
            return answer

    def forget(self) -> None:
        """Ask anew from now on, as something was changed."""
        self._kept.clear()
