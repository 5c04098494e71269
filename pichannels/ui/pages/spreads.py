"""Quantiles of times that an instance tells as counts of ranges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pichannels.ui.pages.formats import seconds_text

__all__ = ["quantile", "quantile_text"]


def quantile(spread: Mapping[str, Any], part: float) -> float | None:
    """A value that this part of all does not exceed; None where there is none.

    It is the upper bound of the range in which it is, and infinite beyond the last.

    Args:
        spread: see `Spread`.
        part: 0.5 for the median.
    """
    total = sum(spread["counts"])
    if not total:
        return None
    seen = 0
    for bound, count in zip(
        (*spread["bounds"], float("inf")), spread["counts"], strict=True
    ):
        seen += count
        if seen >= part * total:
            return float(bound)
    return None


def quantile_text(spread: Mapping[str, Any], part: float) -> str:
    """The same as text, such as `≤ 25 ms`; "–" where there is none."""
    found = quantile(spread, part)
    if found is None:
        return "–"
    if found == float("inf"):
        return f"> {seconds_text(spread['bounds'][-1])}"
    return f"≤ {seconds_text(found)}"
