"""Whole commands on a project of 100 PI channels and 100,000 tags.

Each is a process; memory is its peak. A start is measured until all tags are
resolved and all PI channels open. `by hand` is what the server and the network take
for the same requests, asked by a program that does nothing else.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.commands import PICHANNELS, Instance, run_command
from benchmarks.load import simulator
from benchmarks.measure import Aim, Benchmark, Case, Measured
from benchmarks.options import Options
from benchmarks.processes import run_module
from benchmarks.projects import (
    Plant,
    filters,
    look_at,
    paths,
    requests,
    sockets,
    write,
)

__all__ = ["prepare"]

TAGS = 100_000
_FEW = 500
_VERSION = "version"

Run = Callable[[int], Awaitable[Measured]]


@asynccontextmanager
async def prepare(options: Options) -> AsyncIterator[Benchmark]:
    """Cases of commands and of starts, with the simulator at work."""
    async with simulator(_FEW if options.quick else TAGS) as url:
        plant = await look_at(url)
        projects = {
            "paths": write(options.directory / "paths", url, paths(plant)),
            "filters": write(options.directory / "filters", url, filters(plant)),
        }
        cases = [*_commands(options.directory, projects), *_by_hand(plant)]
        for name, folder in projects.items():
            cases += _starts(name, _Project(folder, plant.tags))
        yield Benchmark(
            "startup",
            f"Commands and starts, {len(plant.groups)} channels, {plant.tags:,} tags",
            "commands",
            ("wall", "cpu"),
            cases,
            shows="each",
        )


def _commands(folder: Path, projects: dict[str, Path]) -> list[Case]:
    floor = Aim(_VERSION)
    bare = [sys.executable, "-c"]
    return [
        Case("python alone", _command([*bare, "pass"], folder), 1),
        Case("import", _command([*bare, "import pichannels.cli"], folder), 1),
        Case(_VERSION, _command([*PICHANNELS, "version"], folder), 1),
        *(
            Case(f"check, {name}", _command([*PICHANNELS, "check"], at), 1, floor)
            for name, at in projects.items()
        ),
        Case(
            "check --json, paths",
            _command([*PICHANNELS, "check", "--json"], projects["paths"]),
            1,
            floor,
        ),
    ]


def _command(arguments: Sequence[str], folder: Path) -> Run:
    async def run(count: int) -> Measured:
        return await run_command(arguments, folder)

    return run


def _by_hand(plant: Plant) -> list[Case]:
    asked, opened = requests(plant), sockets(plant)
    return [
        Case("requests and websockets, by hand", _opening(asked, opened), 1),
        Case("websockets, by hand", _opening([], opened), 1),
    ]


def _opening(asked: Sequence[str], opened: Sequence[str]) -> Run:
    async def run(count: int) -> Measured:
        job = {"requests": asked, "sockets": opened}
        return await run_module("benchmarks.opening", job)

    return run


@dataclass(frozen=True, slots=True)
class _Project:
    """A project's folder, and how many tags it has."""

    folder: Path
    tags: int

    async def first(self, count: int) -> Measured:
        """Start where nothing is kept."""
        self._forget()
        return await self._start()

    async def again(self, count: int) -> Measured:
        """Start where another instance has resolved the tags."""
        if not self._data.exists():
            await self._start()
        return await self._start()

    async def status(self, count: int) -> Measured:
        """Ask an instance for its status."""
        return await self._asked("status")

    async def coverage(self, count: int) -> Measured:
        """Ask an instance for what is covered."""
        return await self._asked("coverage")

    async def coverage_alone(self, count: int) -> Measured:
        """Read what the last instance has left of what is covered."""
        if not self._data.exists():
            await self._start()
        return await run_command([*PICHANNELS, "coverage"], self.folder)

    async def _asked(self, command: str) -> Measured:
        async with Instance(self.folder) as instance:
            await instance.opened(self.tags)
            found = await run_command([*PICHANNELS, command], self.folder)
            await instance.stopped(0)
        return found

    async def _start(self) -> Measured:
        async with Instance(self.folder) as instance:
            return await instance.stopped(await instance.opened(self.tags))

    @property
    def _data(self) -> Path:
        return self.folder / ".pichannels"

    def _forget(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)


def _starts(name: str, project: _Project) -> list[Case]:
    by_hand = {"first": "requests and websockets, by hand"}
    cases = [
        Case(
            f"start, {name}, {which}",
            getattr(project, which),
            1,
            Aim(by_hand.get(which, "websockets, by hand")),
        )
        for which in ("first", "again")
    ]
    if name == "paths":
        cases.append(Case("status, paths", project.status, 1, Aim(_VERSION)))
        cases.append(Case("coverage, paths", project.coverage, 1, Aim(_VERSION)))
        alone = Case(
            "coverage without an instance", project.coverage_alone, 1, Aim(_VERSION)
        )
        cases.append(alone)
    return cases
