"""What happens to messages shows in the metrics."""

from __future__ import annotations

from pathlib import Path

import nodes.publish
from pichannels.channels import BaseChannel
from pichannels.engine import Engine
from pichannels.errors import RetryLater
from pichannels.message import Message
from pichannels.metrics import render
from pichannels.node import BaseNode
from pichannels.project import Project
from pichannels.retry import RetryPolicy


class FailsOnce(BaseNode):
    """Takes a message when it comes for the second time."""

    has_failed = False

    def process(self, msg: Message) -> Message:
        if not self.has_failed:
            self.has_failed = True
            raise RetryLater("not yet")
        return msg


def numbers(engine: Engine) -> dict[str, float]:
    """Each point by its name and labels."""
    lines = render(engine.metrics()).splitlines()
    pairs = (line.rpartition(" ") for line in lines if line[0] != "#")
    return {name.removeprefix("pichannels_"): float(text) for name, _, text in pairs}


async def test_bytes_retries_and_times_are_counted(tmp_path: Path) -> None:
    channel = BaseChannel("a", retry=RetryPolicy(initial=0.001)).add(FailsOnce())
    async with Engine(Project([channel]), data_dir=tmp_path, control=False) as engine:
        await channel.accept(Message(payload="x" * 1000))
        await channel.drain()
        found = numbers(engine)
    assert found['channel_retries_total{channel="a"}'] == 1
    assert 1000 < found['channel_accepted_bytes_total{channel="a"}'] < 2000
    assert found['channel_settling_seconds_count{channel="a"}'] == 1


async def test_sinks_and_the_loop_have_numbers(tmp_path: Path) -> None:
    sink = nodes.publish.File(str(tmp_path / "out.jsonl"), name="sink")
    channel = BaseChannel("a").add(sink)
    async with Engine(Project([channel]), data_dir=tmp_path, control=False) as engine:
        await channel.handle(Message(payload="1"))
        found = numbers(engine)
    assert found['sink_messages_total{sink="a.sink"}'] == 1
    assert found['sink_values_total{sink="a.sink"}'] == 1
    assert found["cpu_seconds_total"] > 0
    assert "loop_lag_seconds_count" in found
