"""The reference project, killed at random moments under load, loses nothing.

What the journal says was accepted must all be in the sinks, for each tag in the
order of acceptance; what comes twice is counted, never missed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from nodes import decode
from pichannels.journal import Journal
from pichannels.message import Message
from pichannels.simulator import Plant, Simulator
from pichannels.values import Sample
from tests.strength import either

ROOT = Path(__file__).parents[2]
KILLS = either(20, 6)


class Project:
    """The reference project on a simulator of the test's own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.output = folder / ".pichannels" / "output"
        self._environment = {**os.environ, "SIMULATOR_PORT": str(port)}
        shutil.copytree(ROOT / "examples", folder / "examples")
        settings = (ROOT / "settings.py").read_text(encoding="utf-8")
        outside = "\nSIMULATOR = False\n"
        (folder / "settings.py").write_text(settings + outside, encoding="utf-8")

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "pichannels", "start"],
                cwd=self.folder,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    def written(self) -> int:
        path = self.output / "everything.jsonl"
        return path.stat().st_size if path.exists() else 0

    async def killed(self, rng: random.Random) -> None:
        """Run, and be killed at some moment after the first new line (or before)."""
        before = self.written()
        process = self.start()
        try:
            impatient = rng.random() < 0.2
            deadline = rng.uniform(0.2, 1.5) if impatient else 20.0
            for _ in range(int(deadline * 200)):
                if await asyncio.to_thread(self.written) > before:
                    break
                await asyncio.sleep(0.005)
            await asyncio.sleep(rng.uniform(0, 0.4))
        finally:
            process.kill()
            await asyncio.to_thread(process.wait)

    async def finished(self) -> int:
        """Run until everything is settled, then end in good order."""
        process = self.start()
        try:
            while await self._unsettled():
                assert process.poll() is None, (self.folder / "log").read_text()
                await asyncio.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            return await asyncio.to_thread(process.wait, 20)
        finally:
            process.kill()

    async def _unsettled(self) -> bool:
        status = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "pichannels", "status", "--json"),
            cwd=self.folder,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        out, _ = await status.communicate()
        if status.returncode:
            return True
        channels = json.loads(out)["channels"]
        return any(channel["unsettled"] for channel in channels)

    def lines(self, name: str) -> list[dict[str, str]]:
        text = (self.output / name).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]


async def accepted(folder: Path) -> list[Sample]:
    """Every sample of every accepted message, in the order of acceptance."""
    journal = Journal(folder / ".pichannels" / "journal.sqlite")
    await journal.open()
    try:
        records = await journal.search("plant", count=10**6)
        # They come by their times; a repair may be made before what is accepted first.
        records.sort(key=lambda record: record.seq)
        messages = [record.message() for record in records]
    finally:
        await journal.close()
    return [sample for message in messages for sample in decoded(message)]


def decoded(message: Message) -> list[Sample]:
    samples: list[Sample] = decode.PI().process(message).payload
    return samples


def by_tag(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    """Tag -> event ids in order of their first appearance."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for tag, event_id in pairs:
        found[tag].setdefault(event_id)
    return {tag: list(ids) for tag, ids in found.items()}


@pytest.mark.timeout(240)
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
async def test_nothing_accepted_is_lost_when_killed(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # noqa: T201
    rng = random.Random(seed)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    project = Project(tmp_path, port)
    plant = Plant(seed=seed, tags=1000)
    async with Simulator(plant, port=port, poll=0.02, speed=20) as simulator:
        for _ in range(KILLS):
            await project.killed(rng)
        simulator.faults.stall()
        code = await project.finished()
    samples = await accepted(tmp_path)
    expected = by_tag([(s.tag.name, s.event_id) for s in samples])
    lines = await asyncio.to_thread(project.lines, "everything.jsonl")
    delivered = by_tag([(line["tag"], line["event_id"]) for line in lines])
    print(len(samples), "accepted,", len(lines), "delivered")  # noqa: T201
    assert (code, len(samples) > 1000) == (0, True)
    assert delivered == expected


def test_the_order_of_first_appearance_is_what_counts() -> None:
    pairs = [("a", "1"), ("a", "2"), ("b", "9"), ("a", "1"), ("a", "3")]
    assert by_tag(pairs) == {"a": ["1", "2", "3"], "b": ["9"]}
