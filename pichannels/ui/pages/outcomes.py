"""What came of an operation, in words."""

from __future__ import annotations

from typing import Any, Final

from pichannels.ui.operations import Operation
from pichannels.ui.pages.formats import count_text
from pichannels.ui.pages.parts import Tone

__all__ = ["outcome_text", "outcome_tone"]

_TONES: Final = {"done": "good", "failed": "bad", "cut": "warn"}
_BAD: Final = ("failed", "rejected")
_MOST: Final = 3


def outcome_text(one: Operation) -> str:
    """The numbers of its report, or why it failed; "" where it tells nothing."""
    if one.error:
        return one.error
    rows = _rows(one)[:_MOST]
    told = [", ".join(_numbers(row)) for row in rows] + list(map(_first_failure, rows))
    return "; ".join(filter(None, told))


def outcome_tone(one: Operation) -> Tone:
    """How good that is: what is done while messages failed is not."""
    if one.state == "done" and any(
        row.get(name) for row in _rows(one) for name in _BAD
    ):
        return "warn"
    return _TONES.get(one.state, "off")


def _first_failure(report: dict[str, Any]) -> str:
    """Why the first of several failed; "" where none did."""
    failures = report.get("failures")
    if not (isinstance(failures, list) and failures):
        return ""
    return f"the first: {failures[0].get('error', '')}"


def _rows(one: Operation) -> list[dict[str, Any]]:
    report = one.report
    rows = report if isinstance(report, list) else [report]
    return [row for row in rows if isinstance(row, dict)]


def _numbers(report: dict[str, Any]) -> list[str]:
    return [
        f"{count_text(value)} {name.replace('_', ' ')}"
        for name, value in report.items()
        if isinstance(value, int) and not isinstance(value, bool) and value
    ]
