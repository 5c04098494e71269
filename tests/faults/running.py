"""One run of a scenario: its parts, its share of the time, its evidence."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from pichannels.channels.pi import CoverageOptions
from pichannels.values import TICKS_PER_SECOND, format_ticks, parse_ticks
from tests.faults.figures import BUDGET, Figures, seed_of
from tests.faults.gathering import gather
from tests.faults.instance import Instance, Refused, until
from tests.faults.ledgers import Claim, claims_in, copied
from tests.faults.oracle import FUTURE, SOON, Came, Evidence, Oracle, Span
from tests.faults.outages import Outages
from tests.faults.preload import Preload
from tests.faults.simulated import Archived, Plant
from tests.faults.sink import Delivered, Sink
from tests.servers.proxy import Proxy

__all__ = ["DEFAULTS", "QUICK", "Left", "Run", "Scenario", "opened"]

DEFAULTS: Final[dict[str, float]] = {
    key: getattr(CoverageOptions(), key)
    for key in ("settle", "overlap", "ahead", "patience", "grace", "probe")
}
"""The margins as users have them."""
QUICK: Final[dict[str, float]] = {
    "settle": 2.0 if BUDGET else 1.0,
    "overlap": 3.0 if BUDGET else 1.0,
    "ahead": 1.0 if BUDGET else 0.5,
    "patience": 1.0,
}
"""Margins that fit a server which sends ten times in a second."""
_SOURCE: Final = {"heartbeat": 20, "poll_interval": 0.1}
_TAGS_COMPARED: Final = 1000
_TAGS_LOOKED_AT: Final = 25
"""After each crash."""
_AT_ONCE: Final = 8
_SAVED: Final = 2.5
"""Seconds after which a ledger has been saved."""
_LATE: Final = ("LAB.VISCOSITY", "REMOTE.FLOW")
"""Tags whose events come later than `settle`: when nobody listens at that moment only
a comparison of hours finds them."""
_LARGE: Final = 2 * 2**30


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong.

    Attributes:
        name: what it is called, and a part of its seed.
        steps: what is done.
        weight: its share of the time: about seconds in ten minutes.
        is_short: whether it is a part of the short form.
        options: of the project.
        margins: of the ledger, seconds of the plant divided by its speed; by default
            they are `QUICK`.
        plant, arguments: of the simulator.
        speed: seconds of the plant, and of our clock, in a real one.
        memory: bytes that the instance may have.
        environment: of the instance.
        needs_library: whether writes or the clock are changed.
        notes_writes: whether what is written and synced is noted.
    """

    name: str
    steps: Callable[[Run], Awaitable[None]]
    weight: float = 1.0
    is_short: bool = False
    options: dict[str, Any] = {}
    margins: dict[str, float] = {}
    plant: dict[str, Any] = {}
    arguments: tuple[str, ...] = ()
    speed: float = 1.0
    memory: int = 400 * 2**20
    environment: dict[str, str] = {}
    needs_library: bool = False
    notes_writes: bool = False

    @property
    def coverage(self) -> dict[str, float]:
        """The margins in seconds of the plant."""
        margins = DEFAULTS | (self.margins or QUICK)
        return {key: seconds * self.speed for key, seconds in margins.items()}

    @property
    def source(self) -> dict[str, Any]:
        """The options of the PI channels."""
        found: dict[str, Any] = _SOURCE | self.options.get("source", {})
        return found

    @property
    def heartbeat(self) -> float:
        """Real seconds between two heartbeats."""
        found: float = self.source["heartbeat"] * self.source["poll_interval"]
        return found


class Left(NamedTuple):
    """What there was when an instance had ended.

    Attributes:
        folder: a copy of its files.
        at: the time of the plant, ticks.
        delivered: what the sink had.
    """

    folder: Path
    at: int
    delivered: list[Delivered]


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
        self._wrong: list[str] = []
        self._came = Came()
        self._began = time.monotonic()
        self._seconds = seconds
        heartbeat = scenario.heartbeat
        self._outages = Outages(scenario.coverage, scenario.speed, heartbeat, self.time)
        self._known_from: int | None = None
        self._saved = 0.0
        self._ends = 0

    @property
    def preload(self) -> Preload:
        assert self._preload is not None
        return self._preload

    def rounds(self, short: int, most: int, least: int = 1) -> Iterator[int]:
        """So many in the short form; otherwise as many as there is time for."""
        for number in range(most if self._seconds else short):
            elapsed = time.monotonic() - self._began
            if self._seconds and number >= least and elapsed > self._seconds:
                return
            yield number

    @property
    def is_short(self) -> bool:
        """Whether this is the short form."""
        return not self._seconds

    def time(self, moment: float | None = None) -> int:
        """The plant's time now, or at a moment of the monotonic clock, ticks."""
        passed = (time.monotonic() if moment is None else moment) - self.plant.since
        return self.plant.start + int(passed * self.scenario.speed * TICKS_PER_SECOND)

    async def passed(self, ticks: float) -> None:
        """Until it is later than that for the plant."""
        left = (ticks - self.time()) / TICKS_PER_SECOND / self.scenario.speed
        await asyncio.sleep(max(left, 0))

    # Outages: when something may be lost, or not be saved

    def out(self) -> None:
        """Something fails from now on."""
        self._outages.begin()

    def back(self) -> None:
        """It is over."""
        self._outages.end()

    def doubt(self, start: int, end: int) -> None:
        """This time of the plant may be read again, ticks."""
        self._outages.doubt(start, end)

    # Steps that several scenarios take

    async def begin(self) -> None:
        """Start the instance; returns when it receives."""
        self.out()
        self.sink.begin_run()
        await self.instance.start()
        await self.instance.started()
        self.back()
        if self._known_from is None:
            self._known_from = self.time()
            self._saved = time.monotonic() + _SAVED

    async def saved(self) -> None:
        """Until the ledger was saved once; before, it need not outlive a crash."""
        await asyncio.sleep(max(self._saved - time.monotonic(), 0))

    async def kill(self) -> None:
        """End it as `kill -9` does, and look at what its ledger claims then."""
        await self.saved()
        await self.judge(await self.killed())

    async def killed(self) -> Left:
        """End it as `kill -9` does; what that has left, for `judge`."""
        self.out()
        await self.instance.kill()
        self.restarts += 1
        self.faults += 1
        return await self._left()

    async def look_at_claims(self) -> None:
        """Of an instance that has ended: what it claims to be delivered is (S)."""
        await self.judge(await self._left())

    async def _left(self) -> Left:
        # Before anything else: what comes later does not excuse a claim.
        delivered, at = self.sink.delivered.copy(), self.time()
        data = self.instance.data
        self._ends += 1
        folder = self.instance.folder.parent / f"end-{self._ends}"
        await asyncio.to_thread(copied, data, folder)
        return Left(folder, at, delivered)

    async def judge(self, left: Left) -> None:
        """What was claimed to be delivered when it ended was (S); in some tags.

        The next process may run already.
        """
        found = await claims_in(left.folder, left.at, self.scenario.coverage)
        claims = [claim for claim in found if _is_judged(claim.tag)]
        self._look_at_ends(claims, left.at)
        rng = random.Random(seed_of(f"{self.scenario.name}/{left.folder.name}"))
        chosen = rng.sample(claims, min(_TAGS_LOOKED_AT, len(claims)))
        truth = await self._truth(chosen)
        self._came.add(left.delivered)
        missing = self._came.missing(
            [Span(c.tag, [e for e in truth[c.tag] if c.has(e.ticks)]) for c in chosen]
        )
        if missing:
            tag, event = missing[0]
            self._wrong.append(
                f"{len(missing)} events were claimed at {left.folder.name} and"
                f" had not come: {tag} at {event.ticks}"
            )

    def _look_at_ends(self, claims: Iterable[Claim], now: int) -> None:
        """Nothing is delivered of a time that has not come."""
        early = [c.tag for c in claims if c.delivered and c.delivered[-1][1] > now]
        if early:
            self._wrong.append(f"{len(early)} claims are of the future: {early[0]}")

    async def _truth(self, claims: Iterable[Claim]) -> dict[str, list[Archived]]:
        """What the archive has of tags from their origin on."""
        free = asyncio.Semaphore(_AT_ONCE)
        now = format_ticks(await self.plant.now())

        async def read(claim: Claim) -> tuple[str, list[Archived]]:
            async with free:
                start = format_ticks(claim.origin)
                return claim.tag, await self.plant.truth(claim.tag, start, now)

        return dict(await asyncio.gather(*map(read, claims)))

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

    # The end

    async def finish(self) -> Figures:
        """Let everything come to its end, and look at what it shows."""
        await self._calm()
        self.back()
        outage, end, healed = self._outages.seconds, self.time(), time.monotonic()
        if not self.instance.is_running:
            await self.begin()
        await self._whole(end)
        whole_after = time.monotonic() - healed
        await self._certain(end)
        self.disk = max(self.disk, await self.instance.disk())
        code = await self.instance.stop()
        evidence = await self._evidence(end)
        evidence.outage, evidence.whole_after = outage, whole_after
        oracle = Oracle(evidence)
        wrong = self._wrong + await asyncio.to_thread(oracle.verdict)
        if code:
            wrong.append(f"the exit code at the end was {code}")
        return Figures(
            name=self.scenario.name,
            seconds=time.monotonic() - self._began,
            faults=self.faults,
            accepted=sum(len(message.events) for message in evidence.accepted),
            delivered=len(evidence.delivered),
            duplicates=oracle.duplicates(),
            again=len(oracle.read_again()),
            aside=len(evidence.aside),
            peak=evidence.peak,
            outage=outage,
            whole_after=whole_after,
            wrong=wrong,
            notes=self.notes,
        )

    async def _calm(self) -> None:
        """End all faults."""
        if self._preload is not None:
            self._preload.clear()
            self._preload.shift(0)
        self.sink.refusing = self.sink.dislikes = self.sink.deaf = 0
        self.sink.delay = 0.0
        self.proxy.heal()
        await self.plant.heal()

    async def _whole(self, end: int) -> None:
        """Until the ledger has no holes before `end`, or that took far too long."""
        most = 2 * SOON + self._outages.seconds / 10

        async def is_whole() -> bool:
            report = await self.instance.command(
                "coverage", channel="plant", holes=True, count=1, end=format_ticks(end)
            )
            if report is None or not report["channels"]:
                return False
            at = parse_ticks(report["channels"][0]["at"])
            return at >= end and report["matching"] == 0

        with contextlib.suppress(Refused):
            await until(is_whole, "all holes are closed", most)

    async def _certain(self, end: int) -> None:
        """Until nothing that is before `end` may still come."""
        after = self.scenario.coverage["settle"] + 3 * self.scenario.speed
        await self.passed(end + int(after * TICKS_PER_SECOND))

    async def _evidence(self, end: int) -> Evidence:
        instance, scenario = self.instance, self.scenario
        left = await self._left()
        claims = await claims_in(left.folder, left.at, scenario.coverage)
        uncovered = [
            f"{claim.tag} from {(start - end) / TICKS_PER_SECOND:+.0f} s to"
            f" {(to - end) / TICKS_PER_SECOND:+.0f} s"
            for claim in claims
            for start, to in claim.missing(end)
        ]
        late = [c.tag for c in claims if c.origin > (self._known_from or 0)]
        if late or not claims:
            self._wrong.append(f"the ledger has forgotten {len(late)} origins")
        judged = [claim for claim in claims if _is_judged(claim.tag)]
        self._look_at_ends(judged, left.at)
        judged = self.rng.sample(judged, min(_TAGS_COMPARED, len(judged)))
        truth = await self._truth(judged)
        found = await gather(
            instance.data / "journal.sqlite", "plant", instance.witness
        )
        return Evidence(
            accepted=found.accepted,
            lost=found.lost,
            aside=found.aside,
            delivered=self.sink.delivered,
            covered=[
                Span(c.tag, [e for e in truth[c.tag] if c.concerns(e.ticks, end)])
                for c in judged
            ],
            claimed=[
                Span(c.tag, [e for e in truth[c.tag] if c.has(e.ticks)]) for c in judged
            ],
            uncovered=uncovered,
            outages=self._outages.doubtful(self.proxy.websockets),
            outage=0.0,
            whole_after=0.0,
            problems=found.problems,
            restarts=self.restarts,
            unanswered=self.sink.unanswered,
            window=scenario.options.get("source", {}).get("window", 5000),
            peak=instance.peak,
            disk=self.disk,
            memory=scenario.memory,
            budget=scenario.options.get("journal", {}).get("budget_bytes", _LARGE),
        )


def _is_judged(tag: str) -> bool:
    """Forecasts arrive long before their time; others come late."""
    return not tag.endswith((FUTURE, *_LATE))


@asynccontextmanager
async def opened(
    scenario: Scenario, folder: Path, library: Path | None, seconds: float
) -> AsyncIterator[Run]:
    """All parts of a run; the instance is not started yet."""
    rng = random.Random(seed_of(scenario.name))
    options = {"seed": rng.randrange(1000), "speed": scenario.speed}
    plant = Plant(*scenario.arguments, **options | scenario.plant)
    project = folder / "project"
    preload = None
    if library is not None:
        notes = folder / "notes" if scenario.notes_writes else None
        data = project / ".pichannels"
        preload = Preload(library, folder / "control", data, notes)
    async with plant, Sink() as sink, Proxy(plant.port) as proxy:
        environment = {
            **scenario.environment,
            **(preload.environment if preload else {}),
        }
        if scenario.speed != 1:
            clock = [plant.since, plant.start, scenario.speed]
            environment["FAULTS_CLOCK"] = json.dumps(clock)
        instance = Instance(
            project,
            f"http://127.0.0.1:{proxy.port}/piwebapi",
            sink.url,
            {
                **scenario.options,
                "source": scenario.source,
                "coverage": scenario.coverage,
            },
            environment,
        )
        run = Run(scenario, plant, sink, proxy, instance, preload, seconds)
        try:
            yield run
        finally:
            await instance.kill()
