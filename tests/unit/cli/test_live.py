"""The tables that `start` and `status --watch` show."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from pichannels.cli.live import Rates, tables


def channel(name: str, **facts: Any) -> dict[str, Any]:
    counts = dict.fromkeys(
        ("received", "processed", "dropped", "rejected", "failed", "unsettled"), 0
    )
    source: dict[str, Any] = {}
    return {
        "name": name,
        "state": "waiting",
        "lag": 0.0,
        "is_ready": True,
        "source": source,
        **counts,
        **facts,
    }


def status(*channels: dict[str, Any], sinks: int = 0, **facts: Any) -> dict[str, Any]:
    sink = {"name": "sink", "processed": 0, "statistics": {"queued": 3}}
    return {
        "project": "plant",
        "state": "running",
        "uptime": 3725.0,
        "control": None,
        "simulator": None,
        "journal": None,
        "channels": list(channels),
        "sinks": [sink] * sinks,
        **facts,
    }


def shown(found: dict[str, Any], height: int = 24, rates: Rates | None = None) -> str:
    if rates is None:
        rates = Rates()
        rates.note(found, 0.0)
    out = StringIO()
    Console(file=out, width=80).print(tables(found, rates, height))
    return out.getvalue()


def test_rates_are_those_of_the_last_seconds() -> None:
    rates = Rates()
    for second in range(10):
        received = 100 if second < 5 else 100 + 20 * (second - 5)
        rates.note(status(channel("a", received=received)), second)
    assert rates.of("a in") == pytest.approx(20)


def test_a_channel_has_no_rate_at_first() -> None:
    assert "waiting" in shown(status(channel("a")))
    assert shown(status(channel("a"))).splitlines()[-1].split()[2:4] == ["-", "-"]


def test_a_counter_that_begins_anew_is_no_negative_rate() -> None:
    rates = Rates()
    rates.note(status(channel("a", received=100)), 0)
    rates.note(status(channel("a", received=1)), 1)
    assert rates.of("a in") == 0


def test_sub_channels_stand_below_their_channel() -> None:
    names = ["a", "a.b", "a.b.c", "a.d", "x.y"]
    text = shown(status(*(channel(name) for name in names)))
    rows = [line[:8].rstrip() for line in text.splitlines()[-5:]]
    assert rows == ["a", "  b", "    c", "  d", "x.y"]


@pytest.mark.parametrize("height", [12, 24, 50])
def test_a_hundred_channels_leave_room_for_the_log(height: int) -> None:
    found = status(*(channel(f"c{n}") for n in range(100)), sinks=20)
    lines = shown(found, height).splitlines()
    assert len(lines) <= max(height - 3, 14)
    assert any("more channels" in line for line in lines)


def test_channels_with_problems_are_among_those_shown() -> None:
    channels = [channel(f"c{n}", received=9) for n in range(100)]
    channels[40]["state"] = "stopped"
    channels[70]["failed"] = 1
    text = shown(status(*channels), 12)
    assert ("c40 " in text, "c70 " in text) == (True, True)


def test_a_source_tells_how_it_is_connected() -> None:
    source = {"tags": 1000, "unresolved": 2, "pi_channels": 10, "open": 9}
    text = shown(status(channel("a", source=source, is_ready=False)))
    row = text.splitlines()[-1].split()
    assert row == ["a", "1,000", "2", "9", "of", "10", "-", "0"]


def covered(name: str, tags_with_holes: int, oldest_hole: float) -> dict[str, Any]:
    return {
        "channel": name,
        "tags_with_holes": tags_with_holes,
        "is_running": True,
        "reads": 0,
        "holes": [{"reason": "network", "age": oldest_hole}] if oldest_hole else [],
    }


def test_tags_with_holes_and_the_age_of_the_oldest_fit_80_columns() -> None:
    source = {"tags": 100_000, "pi_channels": 100, "open": 100}
    names = ["north.boiler.one", "b", "c"]
    found = status(*(channel(name, source=source) for name in names))
    found["coverage"] = [covered(names[0], 99_999, 86_000.0), covered("b", 0, 0.0)]
    lines = [line.split() for line in shown(found).splitlines()[-4:]]
    assert lines[0][-2:] == ["HOLES", "OLDEST"]
    assert [line[0] for line in lines[1:]] == names
    assert [line[7:] for line in lines[1:]] == [
        ["0", "99,999", "23h", "53m"],
        ["0", "0", "-"],
        ["0", "-", "-"],
    ]


def test_without_ledgers_no_holes_are_shown() -> None:
    source = {"tags": 10, "pi_channels": 1, "open": 1}
    assert "HOLES" not in shown(status(channel("a", source=source)))


def test_a_full_journal_is_told() -> None:
    journal = {"used_bytes": 2**30, "budget_bytes": 2 * 2**30, "is_full": True}
    assert "journal 1.0 GiB of 2.0 GiB FULL" in shown(status(journal=journal))


def test_times_are_short() -> None:
    text = shown(status(channel("a", lag=90061.0)))
    assert ("1h 2m" in text, "1d 1h" in text) == (True, True)
