"""How long a channel's oldest hole is known, as monitoring has it."""

from __future__ import annotations

from typing import Any

from pichannels.cli.holes import oldest_hole


def channel(**facts: Any) -> dict[str, Any]:
    """A channel at work at a backfill of a day, with a hole of a minute beside it."""
    holes = [
        {"reason": "backfill", "age": 86_400.0},
        {"reason": "network", "age": 60.0},
    ]
    return {"is_running": True, "reads": 4, "holes": holes} | facts


def test_history_that_is_being_read_is_no_old_hole() -> None:
    assert oldest_hole(channel()) == 60.0
    assert oldest_hole(channel(holes=[])) == 0.0


def test_history_that_nobody_reads_is_one() -> None:
    assert oldest_hole(channel(reads=0)) == 86_400.0
    assert oldest_hole(channel(is_running=False)) == 86_400.0
