"""All scenarios, with their share of the time."""

from __future__ import annotations

from typing import Final

from tests.faults import crashes, data, network, storage
from tests.faults.running import Scenario

__all__ = ["SCENARIOS"]

_BERLIN: Final = {"TZ": "Europe/Berlin"}

SCENARIOS: Final = (
    Scenario(name="killed", steps=crashes.killed, weight=10, is_short=True),
    Scenario(name="torn", steps=crashes.torn),
    Scenario(name="stopped", steps=crashes.stopped, is_short=True),
    Scenario(name="reloaded", steps=crashes.reloaded),
    Scenario(
        name="writes",
        steps=storage.failing_writes,
        weight=4,
        is_short=True,
        needs_library=True,
    ),
    Scenario(
        name="last write",
        steps=storage.killed_writing,
        weight=4,
        is_short=True,
        needs_library=True,
    ),
    Scenario(
        name="power cut",
        steps=storage.power_cut,
        weight=3,
        is_short=True,
        needs_library=True,
        notes_writes=True,
    ),
    Scenario(name="disk full", steps=storage.disk_full, weight=2, needs_library=True),
    Scenario(
        name="budget",
        steps=storage.budget_spent,
        options={
            "journal": {"budget_bytes": 2**20},
            "source": {"max_block": 1.0, "buffer_bytes": 2**16},
        },
        plant={"speed": 200.0},
    ),
    Scenario(name="network", steps=network.cut, weight=4, is_short=True),
    Scenario(name="busy", steps=network.busy, weight=2),
    Scenario(
        name="overflow",
        steps=network.overflowing,
        # The simulator needs a while for so much; that is not to be a loss.
        options={"source": {"heartbeat": 300}},
    ),
    Scenario(name="sink down", steps=network.sink_down, weight=2, is_short=True),
    Scenario(
        name="poison",
        steps=network.sink_refusing,
        is_short=True,
        options={"poison": 10},
    ),
    Scenario(name="odd data", steps=data.odd_data, weight=2, is_short=True),
    Scenario(name="clock", steps=data.clock_jumps, weight=2, needs_library=True),
    Scenario(
        name="spring",
        steps=data.whole_night,
        arguments=("--start", "2026-03-29T00:00:00Z"),
        plant={"speed": 600.0, "tags": 100},
        environment=_BERLIN,
    ),
    Scenario(
        name="autumn",
        steps=data.whole_night,
        arguments=("--start", "2026-10-25T00:00:00Z"),
        plant={"speed": 600.0, "tags": 100},
        environment=_BERLIN,
    ),
    Scenario(
        name="week",
        steps=data.week,
        weight=6,
        plant={"tags": 30, "speed": 8000.0},
    ),
)
