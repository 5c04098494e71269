"""Commands that come by the control server, in the audit log of the instance."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from pichannels import clock
from pichannels.control.access import os_user
from pichannels.control.audit import Actor, Audit, kept
from pichannels.errors import PichannelsError

__all__ = ["BY", "PAGES", "TERMINAL", "WAY", "Noting", "actor_of", "headers_of"]

logger: Final = logging.getLogger("pichannels.control")

BY: Final = "X-Pichannels-By"
"""The header that says who gives a command."""

WAY: Final = "X-Pichannels-Way"
"""The header that says from where: `terminal`, or `pages`, which note it themselves."""

TERMINAL: Final = "terminal"
PAGES: Final = "pages"

_LOOKS: Final = frozenset(
    {
        *("archive", "backfill-list", "backfill-show", "coverage", "dead-groups"),
        *("dead-list", "dead-parked", "dead-show", "fetch", "graph", "log", "search"),
        *("settings", "show", "stores", "tap"),
    }
)
"""Commands that change nothing."""

_ASKS: Final = ("tags", "pi-budget")
"""Commands that change nothing where they are given nothing but a place."""

_PLACES: Final = ("channel", "server", "instance")
_LONGEST: Final = 64
_AGAIN: Final = 60.0
_MANY: Final = "give"
"""What comes as one command for each hundred messages of a transfer."""


def headers_of(way: str) -> dict[str, str]:
    """What a client says of itself."""
    name = os_user().encode("ascii", "replace").decode()
    return {WAY: way, **({BY: name} if name.isprintable() and name else {})}


def actor_of(headers: Mapping[str, str], address: str) -> Actor:
    """Who gives a command: whoever has the token may do everything."""
    way = headers.get(WAY, "token")[:_LONGEST]
    return Actor(headers.get(BY, "")[:_LONGEST] or way, "admin", way, address)


class Noting:
    """Writes down what is done to an instance, before and after.

    What cannot be written down is told in the log, and done all the same: who stops
    an instance because its disk is full has to be heard.

    Args:
        folder: of the audit log of the instance's pages.
        name: of the instance.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._audit = Audit(folder / "audit.sqlite")
        self._name = name
        self._given: dict[tuple[str, str], float] = {}

    async def started(self) -> None:
        """The instance was started by the user that it runs as."""
        name = os_user()
        who = Actor(name or "start", "admin", TERMINAL, "")
        await self._note(who, "start", {}, result="done")

    async def run(
        self, who: Actor, name: str, body: bytes, work: Callable[[], Awaitable[bytes]]
    ) -> bytes:
        """Run a command, and write it down where it changes something.

        Raises whatever the command raises.
        """
        given = _arguments(body)
        if who.way == PAGES or not self._is_noted(who, name, given):
            return await work()
        note = partial(self._note, who, name, given)
        await note(result="asked")
        try:
            found = await work()
        except asyncio.CancelledError:
            await note(result="cancelled")
            raise
        except Exception as exc:
            told = str(exc) if isinstance(exc, PichannelsError) else "it failed"
            await note(result="failed", detail=told)
            raise
        await note(result="done", detail=_told(found))
        return found

    def _is_noted(self, who: Actor, name: str, given: Mapping[str, Any]) -> bool:
        if name in _LOOKS or given.get("dry_run"):
            return False
        if name in _ASKS:
            return any(v for k, v in given.items() if k not in _PLACES)
        return name != _MANY or self._is_first(who, str(given.get("channel", "")))

    def _is_first(self, who: Actor, channel: str) -> bool:
        """Whether this is not one more of the parts of the same transfer."""
        key, now = (who.name, channel), clock.monotonic()
        before = self._given.get(key)
        if len(self._given) > 1000:
            self._given.clear()
        self._given[key] = now
        return before is None or now - before > _AGAIN

    async def _note(
        self,
        who: Actor,
        name: str,
        given: Mapping[str, Any],
        *,
        result: str,
        detail: str = "",
    ) -> None:
        write = partial(
            self._audit.note,
            who,
            name,
            kept(given),
            instance=self._name,
            result=result,
            detail=detail,
        )
        try:
            # A command that ends because nobody waits is written down all the same.
            await asyncio.shield(asyncio.to_thread(write))
        except PichannelsError as exc:
            logger.error("%s by %s: %s is not written down: %s", name, who, result, exc)

    async def close(self) -> None:
        """Close the file."""
        await asyncio.to_thread(self._audit.close)


def _arguments(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body or b"{}", type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


def _told(found: bytes) -> str:
    """What a command told, without errors of messages, which may quote payloads."""
    told = msgspec.json.decode(found)
    if not isinstance(told, dict):
        return ""
    hidden = ("failures", "message", "messages")
    return msgspec.json.encode(
        {k: v for k, v in told.items() if k not in hidden}
    ).decode()
