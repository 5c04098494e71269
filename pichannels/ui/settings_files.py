"""Settings files: compared with what runs, checked, applied, and put back.

No text comes from the network: what is applied is on the disk, and what is put back
was applied before.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import shutil
from collections.abc import Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from pichannels import clock
from pichannels.errors import NoSuchName, PichannelsError, UsageError
from pichannels.events import Event
from pichannels.holding import replace
from pichannels.private_files import write_private
from pichannels.ui.commands import Commands
from pichannels.ui.links import Link, Links
from pichannels.ui.programs import run_program
from pichannels.ui.roles import Principal, Role
from pichannels.ui.settings_delta import Delta, Deltas, Stamps, stamps_of
from pichannels.ui.settings_texts import FILE, FileDiff, diffs
from pichannels.values import format_ticks, parse_ticks

__all__ = ["Applied", "Difference", "SettingsFiles", "Version"]

logger: Final = logging.getLogger("pichannels.ui")

_KEPT: Final = 50


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that is not the same in the file and in what runs.

    Attributes:
        name: of the setting.
        running: its value in what runs.
        file: its value in the file.
    """

    name: str
    running: Any = None
    file: Any = None


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that were applied.

    Attributes:
        id: tells it from others.
        kept: when it was kept, ISO 8601.
        files: the text of each file, by path.
        apply: the number of the apply with which they took effect; 0 if unknown.
    """

    id: str
    kept: str
    files: dict[str, str]
    apply: int = 0


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What came of applying settings.

    Attributes:
        report: see `ReloadReport`; None where they were refused.
        error: why they were refused.
        rolled_back: the version that was put back, or None.
    """

    report: Any = None
    error: str = ""
    rolled_back: str | None = None


class SettingsFiles:
    """The settings files of instances on this machine.

    Args:
        links: the instances.
        commands: what reloads them.
        folder: where versions are kept.
    """

    def __init__(self, links: Links, commands: Commands, folder: Path) -> None:
        self._links = links
        self._commands = commands
        self._folder = folder
        self._deltas = Deltas()
        self._working = asyncio.Lock()
        self._keeping: set[asyncio.Task[None]] = set()

    # Looking

    async def compare(self, who: Principal, instance: str) -> list[Difference]:
        """What the file says otherwise than what runs.

        Raises:
            PichannelsError: the file cannot be loaded.
        """
        who.need(Role.VIEW)
        link = self._links.get(instance)
        running = {r["name"]: r["value"] for r in await self._rows(link)}
        told = await self._asked(link, "print-settings", "--json")
        file = {row["name"]: row["value"] for row in told}
        return [
            Difference(name=name, running=running.get(name), file=file.get(name))
            for name in sorted({*running, *file})
            if running.get(name) != file.get(name)
        ]

    async def _rows(self, link: Link) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await link.command("settings"))["rows"]
        return found

    async def check(
        self, who: Principal, instance: str, *, connect: bool = False
    ) -> Any:
        """What `pichannels check --strict --json` says of the file.

        Args:
            connect: also ask whether sources and sinks are there.
        """
        who.need(Role.OPERATE)
        link = self._links.get(instance)
        more = ("--connect",) if connect else ()
        return await self._asked(link, "check", "--strict", "--json", *more)

    async def plan(self, who: Principal, instance: str) -> Any:
        """What applying the file would change; see `ReloadReport`."""
        who.need(Role.OPERATE)
        return await self._links.get(instance).command("reload", dry_run=True)

    async def versions(self, who: Principal, instance: str) -> list[Version]:
        """What was applied, the newest first, without the texts."""
        who.need(Role.VIEW)
        found = await asyncio.to_thread(self._kept, self._links.get(instance))
        return [msgspec.structs.replace(one, files={}) for one in found]

    async def text_diff(
        self, who: Principal, instance: str, before: str, after: str
    ) -> list[FileDiff]:
        """What differs between the texts of two versions; see `diffs`.

        Args:
            before, after: numbers of versions, or `file` for the files as they are.

        Raises:
            NotAllowed: texts may hold anything; only administrators see them.
            UsageError: there is no such version.
        """
        who.need(Role.ADMIN)
        link = self._links.get(instance)
        kept = {one.id: one for one in await asyncio.to_thread(self._kept, link)}
        texts = [await self._texts(link, kept, id) for id in (before, after)]
        return await asyncio.to_thread(diffs, *texts)

    async def _texts(
        self, link: Link, kept: Mapping[str, Version], id: str
    ) -> dict[str, str]:
        if id in kept:
            return kept[id].files
        if id != FILE:
            raise NoSuchName(f"there is no version {id!r} of {link.name}")
        if link.settings is None:
            raise UsageError(f"the settings of {link.name} are on another machine")
        files = (await link.command("settings"))["files"]
        return await asyncio.to_thread(_read, files)

    async def delta(self, who: Principal, instance: str) -> Delta:
        """What the file says otherwise than what runs, by channel; worked out anew
        when a file has changed or settings were applied, and looked at by many."""
        who.need(Role.VIEW)
        return await self._deltas.of(self._links.get(instance))

    # Doing

    async def apply(
        self, who: Principal, instance: str, *, roll_back: bool = True
    ) -> Applied:
        """Let the file take effect.

        Args:
            roll_back: put the last version that ran back where it is refused, or a
                channel does not start.

        Raises:
            NotAllowed: only administrators may.
        """
        async with self._working:
            return await self._apply(who, instance, roll_back)

    async def _apply(self, who: Principal, instance: str, roll_back: bool) -> Applied:
        link = self._links.get(instance)
        who.need(Role.ADMIN)
        error = ""
        report: Any = None
        before = await self._stamps(link)
        try:
            report = await self._commands.run(who, instance, "reload")
        except PichannelsError as exc:
            error = str(exc)
        is_good = not error and not report["failures"]
        if is_good and await self._stamps(link) == before:
            await self._keep(link, before)
        if is_good or not roll_back:
            return Applied(report=report, error=error)
        return await self._put_back(who, link, report, error)

    async def _put_back(
        self, who: Principal, link: Link, report: Any, error: str
    ) -> Applied:
        kept = await asyncio.to_thread(self._kept, link)
        if not kept:
            return Applied(report=report, error=error)
        await asyncio.to_thread(_write, kept[0].files)
        if report is not None:
            await self._commands.run(who, link.name, "reload")
        return Applied(report=report, error=error, rolled_back=kept[0].id)

    async def roll_back(self, who: Principal, instance: str, version: str) -> Applied:
        """Put a version back, and let it take effect.

        Where it cannot be used the files stay as they are now.

        Raises:
            NotAllowed: only administrators may.
            UsageError: there is no such version.
        """
        who.need(Role.ADMIN)
        link = self._links.get(instance)
        async with self._working:
            kept = await asyncio.to_thread(self._kept, link)
            chosen = next((one for one in kept if one.id == version), None)
            if chosen is None:
                raise NoSuchName(f"there is no version {version!r} of {instance}")
            given = {"version": version}
            note = self._commands.note
            await note(who, "roll-back", given, instance=instance, result="asked")
            before = await asyncio.to_thread(_read, list(chosen.files))
            await asyncio.to_thread(_write, chosen.files)
            stamps = await asyncio.to_thread(stamps_of, list(chosen.files))
            try:
                report = await self._commands.run(who, instance, "reload")
            except PichannelsError as exc:
                await asyncio.to_thread(_write, before)
                return Applied(error=str(exc))
            # It is the last that ran now.
            await self._keep(link, stamps)
            return Applied(report=report, rolled_back=version)

    # Keeping what ran

    async def open(self) -> None:
        """Keep what runs from now on, as a version that can be put back."""
        for link in self._links.all():
            link.events.subscribe(partial(self._noted, link))

    async def close(self) -> None:
        """End what goes on."""
        await self._deltas.close()
        for task in self._keeping:
            task.cancel()
        if self._keeping:
            await asyncio.wait(self._keeping)

    def _noted(self, link: Link, event: Event) -> None:
        if event.name == "ui.connected":
            work = self._keep_of_start(link)
        elif event.name == "instance.reloaded" and not self._working.locked():
            work = self._keep_of_others(link)
        else:
            return
        task = asyncio.create_task(_quietly(link, work), name=f"keep {link.name}")
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)

    async def _keep_of_start(self, link: Link) -> None:
        """Keep what the instance began with, where the files are still that."""
        stamps = await self._stamps(link)
        started = parse_ticks((await link.status())["started"])
        if stamps and max(changed for changed, _ in stamps.values()) // 100 < started:
            await self._keep(link, stamps)

    async def _keep_of_others(self, link: Link) -> None:
        """Keep what somebody else has applied, where the files are still that."""
        async with self._working:
            stamps = await self._stamps(link)
            plan = await link.command("reload", dry_run=True)
            if not (plan["channels"] or plan["settings"] or plan["restart"]):
                await self._keep(link, stamps)

    async def _stamps(self, link: Link) -> Stamps:
        """When the files of the settings were changed; none on other machines."""
        if link.settings is None:
            return {}
        files = (await link.command("settings"))["files"]
        return await asyncio.to_thread(stamps_of, files)

    # Files

    async def _keep(self, link: Link, stamps: Stamps) -> None:
        apply = (await link.command("settings"))["apply"]
        await asyncio.to_thread(self._save, link, stamps, apply)

    def _save(self, link: Link, stamps: Stamps, apply: int) -> None:
        texts = _read(list(stamps))
        if not stamps or stamps_of(stamps) != stamps:
            # They were changed meanwhile, and may be half written.
            return
        digest = hashlib.sha256(msgspec.json.encode(texts)).hexdigest()[:12]
        kept = self._kept(link)
        if kept and kept[0].id.endswith(digest):
            return
        ticks = clock.now()
        made = Version(
            id=f"{ticks}-{digest}", kept=format_ticks(ticks), files=texts, apply=apply
        )
        folder = self._folder_of(link)
        write_private(folder / f"{made.id}.json", msgspec.json.encode(made))
        for old in kept[_KEPT - 1 :]:
            (folder / f"{old.id}.json").unlink(missing_ok=True)

    def _kept(self, link: Link) -> list[Version]:
        found = []
        for path in self._folder_of(link).glob("*.json"):
            with contextlib.suppress(OSError, msgspec.DecodeError):
                found.append(msgspec.json.decode(path.read_bytes(), type=Version))
        return sorted(found, key=lambda one: one.kept, reverse=True)

    def _folder_of(self, link: Link) -> Path:
        return self._folder / hashlib.sha256(link.name.encode()).hexdigest()[:16]

    async def _asked(self, link: Link, *arguments: str) -> Any:
        """What a command tells of the file, in a process of its own."""
        if link.settings is None:
            raise UsageError(f"the settings of {link.name} are on another machine")
        async with self._working:
            return await run_program(*arguments, "--settings", str(link.settings))


async def _quietly(link: Link, work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except (PichannelsError, OSError) as exc:
        logger.info("the settings of %s are not kept: %s", link.name, exc)


def _read(paths: list[str]) -> dict[str, str]:
    # As bytes, so that lines end as they did when a file is written again.
    return {path: Path(path).read_bytes().decode("utf-8") for path in paths}


def _write(files: dict[str, str]) -> None:
    for path, text in files.items():
        place = Path(path)
        partial = place.with_name(f".{place.name}-partial")
        partial.write_bytes(text.encode("utf-8"))
        with contextlib.suppress(FileNotFoundError):
            # Secrets in it stay for those whom it was for.
            shutil.copymode(place, partial)
        replace(partial, place)
