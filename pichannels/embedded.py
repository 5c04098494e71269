"""The embedded simulator, as the settings describe it."""

from __future__ import annotations

from pathlib import Path

from pichannels.config import SimulatorConfig
from pichannels.simulator import Plant, Simulator

__all__ = ["make_simulator"]


def make_simulator(config: SimulatorConfig, state: Path | None = None) -> Simulator:
    """The simulator that the settings describe, not open yet.

    Args:
        state: the file that keeps what is edited there.
    """
    return Simulator(
        Plant(config.seed, config.tags),
        config.host,
        config.port,
        poll=config.poll,
        speed=config.speed,
        state=state,
    )
