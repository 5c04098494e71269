"""One run of a scenario: its parts, its share of the time, its evidence."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from pichannels.values import format_ticks
from tests.faults.gathering import gather
from tests.faults.instance import Instance
from tests.faults.oracle import Evidence, Oracle, Span
from tests.faults.preload import Preload
from tests.faults.simulated import Plant
from tests.faults.sink import Sink
from tests.servers.proxy import Proxy

__all__ = ["BUDGET", "Figures", "Run", "Scenario", "opened", "seed_of"]

BUDGET: Final = float(os.environ.get("FAULTS_SECONDS", "0"))
"""Seconds that all scenarios together may take; 0 is the short form."""
_SEED: Final = os.environ.get("FAULTS_SEED") or str(random.randrange(2**32))
_TAGS_COMPARED: Final = 60
_LARGE: Final = 2 * 2**30


def seed_of(name: str) -> str:
    """The seed of a scenario: the same for the same `FAULTS_SEED`."""
    return f"{_SEED}/{name}"


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong.

    Attributes:
        name: what it is called, and a part of its seed.
        steps: what is done.
        weight: its share of the time.
        is_short: whether it is a part of the short form.
        options: of the project.
        plant, arguments: of the simulator.
        environment: of the instance.
        needs_library: whether writes or the clock are changed.
        notes_writes: whether what is written and synced is noted.
    """

    name: str
    steps: Callable[[Run], Awaitable[None]]
    weight: float = 1.0
    is_short: bool = False
    options: dict[str, Any] = {}
    plant: dict[str, Any] = {}
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    needs_library: bool = False
    notes_writes: bool = False


class Figures(msgspec.Struct, kw_only=True):
    """What a scenario has shown."""

    name: str
    seconds: float
    faults: int
    accepted: int
    delivered: int
    duplicates: int
    aside: int
    peak: int
    wrong: list[str]
    notes: dict[str, Any]


class Run:
    """What a scenario works with.

    Attributes:
        rng: the only source of chance.
        plant, sink, instance, proxy: its parts; the proxy is between the first two.
        preload: the faults of the instance's writes.
        faults: how many there were so far.
        restarts: how often the instance ended before all was settled.
        notes: what else is worth to be told.
    """

    def __init__(
        self,
        scenario: Scenario,
        plant: Plant,
        sink: Sink,
        proxy: Proxy,
        instance: Instance,
        preload: Preload | None,
        seconds: float,
    ) -> None:
        self.scenario = scenario
        self.rng = random.Random(seed_of(scenario.name))
        self.plant, self.sink, self.proxy = plant, sink, proxy
        self.instance = instance
        self._preload = preload
        self.faults = 0
        self.restarts = 0
        self.disk = 0
        self.notes: dict[str, Any] = {}
        self._began = time.monotonic()
        self._seconds = seconds
        self._covered_from: int | None = None
        self._covered_tags: list[str] = []
        self._is_judged = True

    @property
    def preload(self) -> Preload:
        assert self._preload is not None
        return self._preload

    def rounds(self, short: int, most: int) -> Iterator[int]:
        """So many in the short form; otherwise as many as there is time for."""
        for number in range(most if self._seconds else short):
            elapsed = time.monotonic() - self._began
            if self._seconds and number and elapsed > self._seconds:
                return
            yield number

    @property
    def is_short(self) -> bool:
        """Whether this is the short form."""
        return not self._seconds

    # Steps that several scenarios take

    async def begin(self) -> None:
        """Start the instance; returns when it receives."""
        self.sink.begin_run()
        await self.instance.start()
        await self.instance.started()

    async def kill(self) -> None:
        """End it as `kill -9` does."""
        await self.instance.kill()
        self.restarts += 1
        self.faults += 1

    async def more(self, samples: int = 200, seconds: float = 20.0) -> bool:
        """Until so many more have reached the sink, it has ended, or time is over.

        Returns:
            Whether they have.
        """
        wanted = len(self.sink.delivered) + samples
        until = time.monotonic() + seconds
        while len(self.sink.delivered) < wanted and self.instance.is_running:
            if time.monotonic() > until:
                return False
            await asyncio.sleep(0.02)
        return len(self.sink.delivered) >= wanted

    async def push_to_any(self, **options: Any) -> None:
        """Have a value of some tag arrive at PI."""
        tag = self.rng.choice(sorted({d.tag for d in self.sink.delivered[-500:]}))
        value = {"value": None if options else round(self.rng.uniform(0, 100), 3)}
        await self.plant.command("push", tag=tag, **value, **options)

    async def losses(self) -> int:
        """How many connections the running process has lost."""
        status = await self.instance.status()
        return status["channels"][0]["source"]["losses"] if status else 0

    async def settle_and_stop(self) -> None:
        """Let all be settled, and end in good order."""
        await self.instance.settled()
        code = await self.instance.stop()
        assert code == 0, self.instance.log[-2000:]

    async def pause(self, least: float, most: float) -> None:
        """A while, by chance."""
        await asyncio.sleep(self.rng.uniform(least, most))

    async def cover(self, *, judged: bool = True) -> None:
        """From now to the end nothing of the archive may be missing.

        Where the connection is lost that cannot be yet, as nothing is read from the
        archive; then what is missing is only told.
        """
        self._covered_from = await self.plant.now()
        self._is_judged = judged

    def cover_also(self, *tags: str) -> None:
        """These tags are among those that are compared."""
        self._covered_tags += tags

    # The end

    async def finish(self) -> Figures:
        """Let everything come to its end, and look at what it shows."""
        await self._calm()
        instance = self.instance
        if not instance.is_running:
            await self.begin()
        await instance.quiet()
        spans = await self._spans()
        self.disk = max(self.disk, await instance.disk())
        code = await instance.stop()
        evidence = await self._evidence(spans)
        oracle = Oracle(evidence)
        wrong = await asyncio.to_thread(oracle.verdict)
        if not self._is_judged:
            there = sum(len(span.archived) for span in spans)
            missing = len(oracle.missing(spans))
            self.notes["missing"] = f"{missing} of {there} archived"
        if code:
            wrong.append(f"the exit code at the end was {code}")
        return Figures(
            name=self.scenario.name,
            seconds=time.monotonic() - self._began,
            faults=self.faults,
            accepted=sum(len(message.events) for message in evidence.accepted),
            delivered=len(evidence.delivered),
            duplicates=oracle.duplicates(),
            aside=len(evidence.aside),
            peak=evidence.peak,
            wrong=wrong,
            notes=self.notes,
        )

    async def _calm(self) -> None:
        """End all faults, and stop the time of the plant."""
        if self._preload is not None:
            self._preload.clear()
            self._preload.shift(0)
        self.sink.refusing, self.sink.deaf, self.sink.delay = 0, 0, 0.0
        self.proxy.heal()
        await self.plant.heal()
        await self.plant.command("clock", speed=0)

    async def _spans(self) -> list[Span]:
        if self._covered_from is None:
            return []
        start = format_ticks(self._covered_from)
        end = format_ticks(await self.plant.now())
        # Forecasts arrive long before their time.
        names = sorted(
            {d.tag for d in self.sink.delivered if not d.tag.endswith("FORECAST")}
        )
        chosen = self.rng.sample(names, min(_TAGS_COMPARED, len(names)))
        return [
            Span(tag, await self.plant.truth(tag, start, end))
            for tag in [*chosen, *self._covered_tags]
        ]

    async def _evidence(self, spans: list[Span]) -> Evidence:
        instance = self.instance
        journal = self.scenario.options.get("journal", {})
        source = self.scenario.options.get("source", {})
        path = instance.data / "journal.sqlite"
        found = await gather(path, "plant", instance.witness)
        return Evidence(
            accepted=found.accepted,
            lost=found.lost,
            aside=found.aside,
            delivered=self.sink.delivered,
            spans=spans if self._is_judged else [],
            problems=found.problems,
            restarts=self.restarts,
            unanswered=self.sink.unanswered,
            window=source.get("window", 5000),
            peak=instance.peak,
            disk=self.disk,
            budget=journal.get("budget_bytes", _LARGE),
        )


@asynccontextmanager
async def opened(
    scenario: Scenario, folder: Path, library: Path | None, seconds: float
) -> AsyncIterator[Run]:
    """All parts of a run; the instance is not started yet."""
    rng = random.Random(seed_of(scenario.name))
    plant = Plant(*scenario.arguments, **{"seed": rng.randrange(1000)} | scenario.plant)
    project = folder / "project"
    preload = None
    if library is not None:
        notes = folder / "notes" if scenario.notes_writes else None
        data = project / ".pichannels"
        preload = Preload(library, folder / "control", data, notes)
    async with plant, Sink() as sink, Proxy(plant.port) as proxy:
        instance = Instance(
            project,
            f"http://127.0.0.1:{proxy.port}/piwebapi",
            sink.url,
            scenario.options,
            scenario.environment | (preload.environment if preload else {}),
        )
        run = Run(scenario, plant, sink, proxy, instance, preload, seconds)
        try:
            yield run
        finally:
            await instance.kill()
