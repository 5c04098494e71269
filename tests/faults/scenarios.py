"""All scenarios, with their share of the time."""

from __future__ import annotations

from typing import Final

from tests.faults import crashes, data, network, storage
from tests.faults.running import DEFAULTS, QUICK, Scenario

__all__ = ["SCENARIOS"]

_QUICK_TO_NOTICE: Final = {"source": {"heartbeat": 5}}
"""Half a second of silence is a loss; where much else goes on, a busy machine."""
_BERLIN: Final = {"TZ": "Europe/Berlin"}

SCENARIOS: Final = (
    Scenario(
        name="killed",
        steps=crashes.killed,
        weight=220,
        # 200 kills, however long they take: with fewer events that is less long.
        plant={"activity": 8.0},
        is_short=True,
    ),
    Scenario(name="torn", steps=crashes.torn, weight=12),
    Scenario(name="stopped", steps=crashes.stopped, weight=14),
    Scenario(name="reloaded", steps=crashes.reloaded, weight=12),
    Scenario(
        name="writes",
        steps=storage.failing_writes,
        weight=30,
        is_short=True,
        needs_library=True,
    ),
    Scenario(
        name="last write",
        steps=storage.killed_writing,
        weight=30,
        needs_library=True,
    ),
    Scenario(
        name="power cut",
        steps=storage.power_cut,
        weight=30,
        is_short=True,
        needs_library=True,
        notes_writes=True,
    ),
    Scenario(name="disk full", steps=storage.disk_full, weight=18, needs_library=True),
    Scenario(
        name="budget",
        steps=storage.budget_spent,
        weight=20,
        options={
            "journal": {"budget_bytes": 2**20},
            "source": {"max_block": 1.0, "buffer_bytes": 2**16},
        },
        plant={"activity": 40.0},
    ),
    Scenario(
        name="network",
        steps=network.cut,
        weight=35,
        options=_QUICK_TO_NOTICE,
        is_short=True,
    ),
    Scenario(
        name="patient",
        steps=network.cut,
        weight=32,
        options=_QUICK_TO_NOTICE,
        margins=DEFAULTS,
    ),
    Scenario(name="busy", steps=network.busy, weight=18),
    Scenario(
        name="overflow",
        steps=network.overflowing,
        weight=45,
        # All tags in one PI channel, which may be silent for long.
        options={"source": {"heartbeat": 300, "url_length": 100_000}},
        arguments=("--url-limit", "200000"),
        plant={"activity": 50.0},
    ),
    Scenario(
        name="left out",
        steps=network.left_out,
        weight=30,
        speed=480.0,
        margins=QUICK | {"probe": 0.0},
        plant={"tags": 100, "activity": 1.0},
    ),
    Scenario(
        name="many tags",
        steps=network.many_tags,
        weight=90,
        plant={"tags": 100_000, "activity": 0.2, "poll": 1.0},
        arguments=("--url-limit", "200000"),
        options={"source": {"heartbeat": 30, "url_length": 100_000}},
        margins=DEFAULTS,
        memory=1536 * 2**20,
    ),
    Scenario(
        name="half hour",
        steps=network.half_an_hour,
        weight=30,
        speed=60.0,
        plant={"tags": 100, "activity": 1.0},
    ),
    Scenario(name="sink down", steps=network.sink_down, weight=16, is_short=True),
    Scenario(
        name="poison",
        steps=network.sink_refusing,
        weight=16,
        options={"poison": 10},
    ),
    Scenario(name="odd data", steps=data.odd_data, weight=16, is_short=True),
    Scenario(name="clock", steps=data.clock_jumps, weight=16, needs_library=True),
    Scenario(
        name="spring",
        steps=data.whole_night,
        weight=22,
        arguments=("--start", "2026-03-29T00:00:00Z"),
        speed=600.0,
        plant={"tags": 100, "activity": 1.0},
        environment=_BERLIN,
    ),
    Scenario(
        name="autumn",
        steps=data.whole_night,
        weight=22,
        arguments=("--start", "2026-10-25T00:00:00Z"),
        speed=600.0,
        plant={"tags": 100, "activity": 1.0},
        environment=_BERLIN,
    ),
    Scenario(
        name="week",
        steps=data.week,
        weight=45,
        options=_QUICK_TO_NOTICE,
        speed=8000.0,
        plant={"tags": 50, "activity": 0.2},
    ),
)
