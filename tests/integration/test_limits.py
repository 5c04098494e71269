"""All that an instance asks of a PI server goes through one limiter."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nodes import decode, enrich
from pichannels.channels.pi import PIWebChannel
from pichannels.config import Config, PILimitsConfig
from pichannels.engine import Engine
from pichannels.project import Project
from pichannels.simulator import Plant, Simulator


def project_of(url: str, limits: PILimitsConfig) -> Project:
    channels = [
        PIWebChannel(name, url=url, tags=["UNIT1.*"]).add(decode.PI(), enrich.PI())
        for name in ("one", "two")
    ]
    return Project(channels, Config(pi_limits=limits))


async def enriched(engine: Engine) -> None:
    """Until PI has told of all tags."""
    nodes = [node for each in engine.project.channels for node in each.nodes()]
    facts = [node for node in nodes if isinstance(node, enrich.PI)]
    for _ in range(1000):
        if all(node.statistics()["fetched"] for node in facts):
            return
        await asyncio.sleep(0.01)


async def test_channels_and_nodes_share_the_limiter_of_their_server(
    tmp_path: Path,
) -> None:
    async with Simulator(Plant(seed=1, tags=50), poll=0.05) as sim:
        project = project_of(sim.url, PILimitsConfig(rate=77, concurrency=3))
        async with Engine(project, data_dir=tmp_path, control=False) as engine:
            await sim.connected(2)
            await enriched(engine)
            (server,) = engine.status().pi_servers
            asked = sim.requests
    assert (server.rate, server.concurrency) == (77, 3)
    assert asked <= sum(server.sent.values()) <= asked + 3
