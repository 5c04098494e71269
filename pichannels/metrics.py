"""Counters and gauges with fixed names, in Prometheus' text form.

Counting is adding to plain integers where things happen; this module only
gathers them (text exposition format 0.0.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Literal

import msgspec

__all__ = ["Family", "Point", "render"]


class Point(msgspec.Struct, frozen=True):
    """One number with its labels."""

    value: float
    labels: Mapping[str, str] = {}


class Family(msgspec.Struct, frozen=True):
    """All points of one metric; counters end in `_total`."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    points: list[Point]


def render(families: Iterable[Family]) -> str:
    """The text that a Prometheus server reads."""
    lines: list[str] = []
    for family in families:
        name = f"pichannels_{family.name}"
        lines.append(f"# HELP {name} {family.help}")
        lines.append(f"# TYPE {name} {family.kind}")
        for point in family.points:
            lines.append(f"{name}{_labels(point.labels)} {_number(point.value)}")
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{k}="{_escape(v)}"' for k, v in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (inf, -inf):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(value)
