"""Sinks of an instance as a table, with what failed last."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pichannels.cli.output import say, say_table, short_time

__all__ = ["say_sinks"]

_COLUMNS: Final = ("sink", "", "taken", "in flight", "retries", "failed")
_LONGEST: Final = 200


def say_sinks(sinks: Iterable[dict[str, Any]]) -> None:
    """Write what the status tells of sinks."""
    found = list(sinks)
    say_table(_COLUMNS, map(_sink_row, found))
    for sink in found:
        if sink["error"]:
            when = short_time(sink["error_time"])
            say(f"{sink['name']} failed last at {when}: {_line(sink['error'])}")


def _sink_row(sink: dict[str, Any]) -> list[Any]:
    state = "paused" if sink["is_paused"] else ""
    failed = sink["statistics"].get("failed", 0)
    counts = (sink["processed"], sink["in_flight"], sink["retries"], failed)
    return [sink["name"], state, *counts]


def _line(text: str) -> str:
    short = " ".join(text.split())
    return short if len(short) <= _LONGEST else f"{short[: _LONGEST - 3]}..."
