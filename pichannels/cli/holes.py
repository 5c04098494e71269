"""Holes of the coverage ledger in few words."""

from __future__ import annotations

from typing import Any

from pichannels.cli.output import duration

__all__ = ["holes_line", "length", "oldest_hole"]


def holes_line(each: dict[str, Any]) -> str | None:
    """The holes of a channel in a line, if it has any."""
    if not each["tags_with_holes"]:
        return None
    reasons = ", ".join(one["reason"] for one in each["holes"])
    return (
        f"{each['channel']}: {each['tags_with_holes']:,} of {each['tags']:,} tags have"
        f" holes ({reasons}), the longest of {length(each['longest_hole'])},"
        f" known for {length(each['oldest_hole'])}"
    )


def oldest_hole(each: dict[str, Any]) -> float:
    """For how many seconds the oldest hole of a channel is known.

    History that is being read just now is no trouble, however long it takes.
    """
    is_at_work = each["is_running"] and each["reads"] > 0
    return max(
        (
            one["age"]
            for one in each["holes"]
            if not (is_at_work and one["reason"] == "backfill")
        ),
        default=0.0,
    )


def length(seconds: float) -> str:
    """A length of time, also a short one."""
    return f"{seconds:.1f}s" if seconds < 10 else duration(seconds)
