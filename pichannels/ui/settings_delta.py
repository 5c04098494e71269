"""Whether the settings file says otherwise than what runs, worked out once for all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from pichannels import clock
from pichannels.errors import PichannelsError
from pichannels.ui.links import Link

__all__ = ["Delta", "Deltas", "Stamps", "stamps_of"]

_GOOD: Final = 2.0

Stamps = dict[str, tuple[int, int]]


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """What applying the settings file would change, in short.

    Attributes:
        state: `same`, `differs`, `refused` (the file cannot be used), `looking`, or
            `unknown` (it is on another machine, or the instance does not answer).
        channels: what becomes of those that change, by name: `added`, `removed`,
            `changed` or `tags`.
        settings: names of other settings that change.
        restart: why the instance has to be started again for it.
        error: why it is refused, or unknown.
    """

    state: Literal["same", "differs", "refused", "looking", "unknown"]
    channels: dict[str, str] = {}
    settings: list[str] = []
    restart: list[str] = []
    error: str = ""


class _Known(msgspec.Struct):
    """What is known of one instance."""

    of: object = None
    delta: Delta = Delta(state="looking")
    looked: float = float("-inf")
    work: asyncio.Task[None] | None = None


class Deltas:
    """Looks whether files have changed, and asks the instance only then."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    async def close(self) -> None:
        """End what goes on."""
        tasks = [one.work for one in self._known.values() if one.work is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def of(self, link: Link) -> Delta:
        """What is known by now; it is worked out beside who asks."""
        if link.settings is None:
            return Delta(state="unknown", error="it is on another machine")
        known = self._known.setdefault(link.name, _Known())
        if known.work is None and clock.monotonic() - known.looked > _GOOD:
            known.looked = clock.monotonic()
            name = f"what {link.name} would change"
            known.work = asyncio.create_task(_look(link, known), name=name)
        return known.delta


async def _look(link: Link, known: _Known) -> None:
    try:
        found = await link.command("settings")
        stamps = await asyncio.to_thread(stamps_of, found["files"])
        started = (await link.status())["started"]
        # What runs changes with an apply or a start, and the file by its stamps.
        key = (stamps, found["apply"], started)
        if key != known.of:
            known.delta = await _asked(link)
            known.of = key
    except (PichannelsError, OSError) as exc:
        known.delta, known.of = Delta(state="unknown", error=str(exc)), None
    finally:
        known.work = None


async def _asked(link: Link) -> Delta:
    try:
        plan: dict[str, Any] = await link.command("reload", dry_run=True)
    except PichannelsError as exc:
        return Delta(state="refused", error=str(exc))
    channels = {one["name"]: one["kind"] for one in plan["channels"]}
    settings, restart = list(plan["settings"]), list(plan["restart"])
    is_same = not (channels or settings or restart)
    return Delta(
        state="same" if is_same else "differs",
        channels=channels,
        settings=settings,
        restart=restart,
    )


def stamps_of(paths: Iterable[str]) -> Stamps:
    """When files were changed last (ns), and how long they are.

    Raises:
        OSError: one cannot be looked at.
    """
    states = {path: Path(path).stat() for path in paths}
    return {path: (one.st_mtime_ns, one.st_size) for path, one in states.items()}
