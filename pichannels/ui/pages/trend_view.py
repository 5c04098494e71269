"""A trend as a drawing, with its legend, and as a table for who does not see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import Final

import msgspec

from pichannels.ui.pages import parts
from pichannels.ui.pages.formats import count_text, number_text, span_text, time_text
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.timescale import times
from pichannels.ui.pages.trend import Band, Dot, State, Trend, axis
from pichannels.ui.tag_values import ValueRow
from pichannels.values import TICKS_PER_SECOND

__all__ = ["drawing", "legend", "quality_of", "values_table"]

_WIDTH: Final = 1000.0
_HEIGHT: Final = 260.0
_TOLD: Final = 200
_POINTED: Final = 800
_BANDS: Final = {
    "hole": "hole",
    "bad": "bad value",
    "late": "came late or by repair",
    "flight": "in flight",
}

Place = Callable[[int], float]


def drawing(trend: Trend, zone: tzinfo, label: str) -> Markup:
    """The drawing; its texts beside it are HTML, so that they stay sharp."""
    length = max(1, trend.end - trend.start)

    def place(ticks: int) -> float:
        return (ticks - trend.start) / length * 100

    scale = [
        tag("span", text, style=f"left:{place(at):.2f}%", classes="at")
        for at, text in times(trend.start, trend.end, zone)
    ]
    steps = axis(trend.curves) if trend.curves and not trend.is_ribbon else []
    inner = _curves(trend, place, steps) if steps else _ribbons(trend, place)
    grid = tag("div", *(_band(b, place) for b in trend.bands), inner, classes="plot")
    heights = [_height(value, steps) for value in steps] or _whose(trend)
    return tag(
        "figure",
        tag("div", *heights, classes="heights", aria_hidden="true"),
        tag(
            "div",
            grid,
            tag("div", classes="pointer", hidden=True),
            role="img",
            aria_label=label,
            classes="ground",
            data={"points": _pointed(trend, place, zone)},
        ),
        tag("div", *scale, classes="times", aria_hidden="true"),
        classes="trend",
    )


def _height(value: float, steps: Sequence[float]) -> Markup:
    part = (value - steps[0]) / (steps[-1] - steps[0]) * 100
    return tag("span", number_text(value, 4), style=f"bottom:{part:.2f}%")


def _band(band: Band, place: Place) -> Markup:
    left, right = place(band.start), place(band.end)
    lasts = span_text((band.end - band.start) / TICKS_PER_SECOND)
    return tag(
        "i",
        classes=f"band {band.kind}",
        style=f"left:{left:.3f}%;width:{max(right - left, 0.15):.3f}%",
        title=f"{band.text}, {lasts}",
    )


def _curves(trend: Trend, place: Place, steps: Sequence[float]) -> Markup:
    low, high = steps[0], steps[-1]

    def points(line: Sequence[Dot]) -> str:
        return " ".join(
            f"{place(dot.ticks) * _WIDTH / 100:.1f},"
            f"{_HEIGHT - (dot.number - low) / (high - low) * _HEIGHT:.1f}"
            for dot in line
        )

    across = [
        tag("line", x1=0, x2=_WIDTH, y1=f"{y:.1f}", y2=f"{y:.1f}", classes="grid")
        for y in ((high - step) / (high - low) * _HEIGHT for step in steps)
    ]
    return tag(
        "svg",
        *across,
        *(_line(points(line), "pi", len(line)) for line in trend.archive),
        _held(trend.held, trend, points) if trend.held else None,
        *(_line(points(line), "own", len(line)) for line in trend.lines),
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def _held(dot: Dot, trend: Trend, points: Callable[[Sequence[Dot]], str]) -> Markup:
    line = [dot._replace(ticks=trend.start), dot._replace(ticks=trend.end)]
    return _line(points(line), "held", len(line))


def _line(points: str, kind: str, count: int) -> Markup:
    # A line of one point has no length; twice the same with round ends is a dot.
    shown = f"{points} {points}" if count == 1 else points
    return tag("polyline", points=shown, classes=f"{kind}{' dot' * (count == 1)}")


def _ribbons(trend: Trend, place: Place) -> Markup:
    """States, and below them those of PI, where it was asked."""
    rows = [
        tag("div", *(_state(s, place, trend) for s in states), classes=classes)
        for states, classes in (
            (trend.states, f"ribbon{' upper' * bool(trend.archive_states)}"),
            (trend.archive_states, "ribbon lower"),
        )
        if states
    ]
    return join(rows)


def _whose(trend: Trend) -> list[Markup]:
    """What stands beside two ribbons."""
    if not trend.archive_states:
        return []
    return [
        tag("span", name, style=f"bottom:{part}%")
        for name, part in (("received", 70), ("PI", 30))
    ]


def _state(state: State, place: Place, trend: Trend) -> Markup:
    left = max(0.0, place(max(state.start, trend.start)))
    width = place(min(state.end, trend.end)) - left
    lasts = span_text((state.end - state.start) / TICKS_PER_SECOND)
    return tag(
        "span",
        parts.icon("warn") if state.is_bad else None,
        state.name,
        classes=f"state k{state.shade} {'bad' if state.is_bad else ''}".strip(),
        style=f"left:{left:.3f}%;width:{max(width, 0.15):.3f}%",
        title=f"{state.name}, {lasts}",
    )


def _pointed(trend: Trend, place: Place, zone: tzinfo) -> str:
    """What is told where one points at: place in percent, time, value."""
    dots = [
        (round(place(dot.ticks), 2), dot.ticks, number_text(dot.number, 5))
        for line in trend.lines
        for dot in line
    ]
    dots += [
        (round(max(0.0, place(state.start)), 2), state.start, state.name)
        for state in trend.states or trend.archive_states
    ]
    if trend.held:
        dots.append((0.0, trend.held.ticks, number_text(trend.held.number, 5)))
    every = max(1, len(dots) // _POINTED)
    told = [(at, time_text(ticks, zone), text) for at, ticks, text in dots[::every]]
    return msgspec.json.encode(told).decode()


def legend(trend: Trend, units: str, zone: tzinfo) -> Markup:
    """What is what, with how often and how long it is there."""
    found: list[Child] = []
    unit = f", {units}" if units else ""
    if trend.held:
        told = f"{number_text(trend.held.number, 6)} {units}".rstrip()
        since = time_text(trend.held.ticks, zone)
        found.append(
            _key("line held", f"none came; the last before: {told} at {since}")
        )
    elif trend.lines:
        found.append(_key("line own", f"received{unit}"))
    if trend.archive:
        found.append(_key("line pi", "PI archive"))
    for kind, name in _BANDS.items():
        bands = [band for band in trend.bands if band.kind == kind]
        if bands:
            seconds = sum(b.end - b.start for b in bands) / TICKS_PER_SECOND
            told = f"{name}: {count_text(len(bands))}, {span_text(seconds)}"
            found.append(_key(f"band {kind}", told))
    return tag("div", *found, classes="legend")


def _key(classes: str, text: str) -> Markup:
    return tag("span", tag("i", classes=classes), text, classes="key")


def values_table(values: Sequence[ValueRow], zone: tzinfo) -> Markup:
    """The last values, the newest first."""
    rows = [
        tag(
            "tr",
            tag("td", time_text(row.time, zone), classes="mono"),
            tag("td", row.error or str(row.value), classes="num"),
            tag("td", row.units),
            tag("td", quality_of(row)),
            tag("td", row.lane),
        )
        for row in reversed(values[-_TOLD:])
    ]
    names = ("Time", "Value", "Units", "Quality", "Lane")
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    inner = join([tag("thead", head), tag("tbody", *rows)])
    table = tag("table", inner, aria_label="values")
    more = "" if len(values) <= _TOLD else f", the last {_TOLD} of them"
    noun = "value" if len(values) == 1 else "values"
    title = f"{count_text(len(values))} {noun} as a table{more}"
    scroll = tag("div", table, classes="scroll", tabindex="0", role="group")
    return tag("details", tag("summary", title), scroll, data={"key": "values"})


def quality_of(row: ValueRow) -> str:
    """What PI says of a value, in words."""
    words = [] if row.good and not row.error else ["bad"]
    words += ["system state"] * row.is_system + ["questionable"] * row.questionable
    words += ["substituted"] * row.substituted + ["annotated"] * row.annotated
    return ", ".join(words) or "good"
