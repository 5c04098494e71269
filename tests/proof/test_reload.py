"""Reloads under load lose nothing, double nothing, and touch only what differs.

A channel that no reload changes hears every tag all the time. What it has heard of a
tag is what the changed channel must have heard as long as it had that tag.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pichannels.simulator import Plant, Simulator

WITNESS = 7
"""Heartbeat polls of the witness, by which the simulator's PI channels are told."""
POLL = 0.05

SETTINGS = """\
from pathlib import Path

from msgstore.sqlite import SQLiteMessageStoreFactory
from nodes import decode, publish
from pichannels.channels.pi import PIWebChannel

here = Path(__file__).parent


def channel(name, tags, heartbeat, **options):
    made = PIWebChannel(
        name,
        url="URL",
        tags=tags,
        server="PLANT",
        heartbeat=heartbeat,
        poll_interval=0.1,
        # What is read from the archive may come twice.
        coverage=False,
        message_store_factory=SQLiteMessageStoreFactory(),
    )
    return made.add(decode.PI(), publish.File(here / f"{name}.jsonl", **options))


PROJECT_NAME = "reloaded"
CHANNELS = [
    channel("witness", ["UNIT*"], WITNESS),
    channel("plant", (here / "tags").read_text().split(), 5, OPTIONS),
]
"""

Events = dict[str, list[str]]


class Project:
    """The project under test, in a process of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self._url = url
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, tags: Sequence[str], options: str = "") -> None:
        text = SETTINGS.replace("URL", self._url).replace("OPTIONS", options)
        text = text.replace("WITNESS", str(WITNESS))
        (self.folder / "settings.py").write_text(text, encoding="utf-8")
        (self.folder / "tags").write_text("\n".join(tags), encoding="utf-8")

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "pichannels", "start"],
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )

    async def command(self, *args: str) -> tuple[int, Any]:
        """The exit code of a command, and what it says as JSON."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pichannels", *args, "--json"),
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        code = process.returncode
        assert code is not None
        return code, json.loads(out) if out else None

    async def quiet(self) -> None:
        """Until all that has come is settled, and nothing more comes."""
        before = None
        while True:
            code, status = await self.command("status")
            assert code == 0, self.folder
            channels = status["channels"]
            counts = [each["received"] for each in channels]
            if counts == before and not any(each["unsettled"] for each in channels):
                return
            before = counts

    def events(self, name: str) -> Events:
        """What a channel gave to its sink: tag -> event ids in order."""
        found: Events = defaultdict(list)
        lines = (self.folder / f"{name}.jsonl").read_text(encoding="utf-8")
        for line in lines.splitlines():
            event = json.loads(line)
            found[event["tag"]].append(event["event_id"])
        return found

    def size(self) -> int:
        return (self.folder / "plant.jsonl").stat().st_size


def ticks(event_id: str) -> int:
    return int(event_id.split("/")[2])


def since(events: Events, tags: Sequence[str], start: int) -> Events:
    """The events of these tags from a time on; tags without any are left out."""
    chosen = {tag: [e for e in events[tag] if ticks(e) >= start] for tag in tags}
    return {tag: found for tag, found in chosen.items() if found}


def witnesses(simulator: Simulator) -> set[str]:
    return {each.id for each in simulator.channels if each.heartbeat == WITNESS}


async def until(condition: Callable[[], bool]) -> None:
    """Until it is true; looked at in a thread, as it may read files."""
    for _ in range(600):
        if await asyncio.to_thread(condition):
            return
        await asyncio.sleep(POLL)
    raise AssertionError("waited in vain")


def are_heard(simulator: Simulator, tags: int) -> bool:
    """Whether every event of all tags comes to the witness, and of `tags` to both."""
    heard = {True: 0, False: 0}
    for each in simulator.channels:
        heard[each.heartbeat == WITNESS] += len(each.tags)
    return heard == {True: len(simulator.tags), False: tags}


@pytest.mark.timeout(180)
async def test_reloads_under_load_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201
    rng = random.Random(seed)
    plant = Plant(seed=seed, tags=2100)
    async with Simulator(plant, poll=POLL, speed=10) as simulator:
        # The time of a forecast does not tell when it came.
        names = [tag.name for tag in simulator.tags if tag.latency >= 0]
        rng.shuffle(names)
        going, staying, coming = names[:500], names[500:1000], names[1000:2000]
        project = Project(tmp_path, simulator.url)
        await asyncio.to_thread(project.write, going + staying)
        process = await asyncio.to_thread(project.start)
        try:
            await until(lambda: are_heard(simulator, 1000))
            began = simulator.clock.now()
            before = witnesses(simulator)

            # What cannot be used is refused, and data flows on.
            await asyncio.to_thread(project.write, going + staying, "no_option=1")
            refused, _ = await project.command("reload")
            size = await asyncio.to_thread(project.size)
            await until(lambda: project.size() > size)

            # 1,000 tags come, 500 go.
            await asyncio.to_thread(project.write, staying + coming)
            done, report = await project.command("reload")
            changed = simulator.clock.now()
            await asyncio.sleep(1)

            # Another chain takes the place of the old one.
            await asyncio.to_thread(
                project.write, staying + coming, "rotate_bytes=2**40"
            )
            swapped, second = await project.command("reload")
            await asyncio.sleep(1)

            after = witnesses(simulator)
            simulator.clock.set_speed(1e-6)
            await project.quiet()
            process.terminate()
            assert await asyncio.to_thread(process.wait, 30) == 0
        finally:
            process.kill()
            await asyncio.to_thread(process.wait)
    truth = await asyncio.to_thread(project.events, "witness")
    found = await asyncio.to_thread(project.events, "plant")
    total = sum(map(len, since(found, names, began).values()))
    print(total, "events")  # noqa: T201
    assert (refused, done, swapped) == (3, 0, 0)
    assert [
        (each["name"], each["kind"], each["tags_added"], each["tags_removed"])
        for each in report["channels"] + second["channels"]
    ] == [("plant", "tags", 1000, 500), ("plant", "changed", 0, 0)]
    assert after == before
    assert since(found, staying, began) == since(truth, staying, began)
    assert since(found, coming, changed) == since(truth, coming, changed)
    assert since(found, going, changed) == {}
    assert total > 2000
