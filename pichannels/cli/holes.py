"""Holes of the coverage ledger in few words."""

from __future__ import annotations

from typing import Any

from pichannels.cli.output import duration

__all__ = ["holes_line", "length"]


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


def length(seconds: float) -> str:
    """A length of time, also a short one."""
    return f"{seconds:.1f}s" if seconds < 10 else duration(seconds)
