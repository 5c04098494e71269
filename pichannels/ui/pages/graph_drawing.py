"""The drawing of a channel graph, as SVG; a script writes into it what moves."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from pichannels.ui.pages.graph_layout import Arrow, Box, Turn, draw, sub_channels
from pichannels.ui.pages.graph_values import channel_of
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page

__all__ = ["SMALLEST", "drawing"]

SMALLEST: Final = 0.8
"""So small it may be drawn that states still are 20 px."""
_LONGEST: Final = 22

Report = Mapping[str, Any]


def drawing(
    page: Page, graph: Report, whole: Report, folded: Collection[str], width: float
) -> Markup:
    """Boxes and arrows, with empty places for what moves.

    Args:
        graph: what is drawn.
        whole: the same before anything was folded.
        folded: the sub-channels that are one box each.
        width: of the place for it, in pixels of the browser.
    """
    drawn = draw(graph, width / SMALLEST)
    every = sub_channels(whole["boxes"])
    arrows = [_arrow(each) for each in drawn.arrows]
    boxes = [_box(page, each, every, folded) for each in drawn.boxes]
    svg = tag(
        "svg",
        tag("g", *arrows),
        tag("g", *boxes),
        classes="graph",
        viewBox=f"0 0 {drawn.width:.0f} {drawn.height:.0f}",
        width=f"{drawn.width:.0f}",
        height=f"{drawn.height:.0f}",
        role="group",
        aria_label=f"graph of {len(drawn.boxes)} boxes",
        data={"width": f"{drawn.width:.0f}", "height": f"{drawn.height:.0f}"},
    )
    return tag(
        "div",
        svg,
        classes="canvas",
        tabindex="0",
        role="region",
        aria_label="channel graph",
    )


# Arrows


def _arrow(arrow: Arrow) -> Markup:
    start, end = arrow.start, arrow.end
    x1, y1 = start.x + start.width, start.y + start.height / 2
    x2, y2 = end.x, end.y + end.height / 2
    path = _line(x1, y1, x2 - 7, y2)
    if arrow.turn is not None:
        path = _turned(x1, y1, arrow.turn, x2 - 7, y2)
    head = f"M{x2 - 8:.0f} {y2 - 4:.0f}L{x2:.0f} {y2:.0f}L{x2 - 8:.0f} {y2 + 4:.0f}z"
    texts = [_rate(arrow, x1, y1, x2, y2), _queue(x2, y2)]
    if arrow.label:
        texts.append(
            tag(
                "text",
                arrow.label,
                x=f"{x1 + 4:.0f}",
                y=f"{y1 + 16:.0f}",
                classes="label",
            )
        )
    return tag(
        "g",
        tag("path", d=path, classes="line"),
        tag("path", d=head, classes="head"),
        *texts,
        data={"arrow": f"{start.id}>{end.id}"},
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    if abs(y1 - y2) < 1:
        return f"M{x1:.0f} {y1:.0f}H{x2:.0f}"
    # In the gap before the column of its end, where no boxes are.
    bend = max(x1 + 12, x2 - 41)
    return (
        f"M{x1:.0f} {y1:.0f}C{bend:.0f} {y1:.0f} {bend:.0f} {y1:.0f}"
        f" {bend:.0f} {(y1 + y2) / 2:.0f}S{bend:.0f} {y2:.0f} {x2:.0f} {y2:.0f}"
    )


def _turned(x1: float, y1: float, turn: Turn, x2: float, y2: float) -> str:
    """Out to the right, back below the boxes, and on from the left."""
    right, y, left, on = turn
    back = f"M{x1:.0f} {y1:.0f}H{right:.0f}V{y:.0f}H{left:.0f}V{on:.0f}"
    return back + _line(left, on, x2, y2)


def _rate(arrow: Arrow, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """The place of a rate: at the end, where not many lines come together."""
    if arrow.end.facts["kind"] in ("join", "out"):
        return tag("text", "", x=f"{x1 + 6:.0f}", y=f"{y1 - 6:.0f}", classes="rate")
    return tag(
        "text",
        "",
        x=f"{x2 - 8:.0f}",
        y=f"{y2 - 7:.0f}",
        classes="rate",
        text_anchor="end",
    )


def _queue(x: float, y: float) -> Markup:
    """The place of a bar that fills with what waits."""
    left, top = x - 50, y + 6
    return tag(
        "g",
        tag("rect", x=f"{left:.0f}", y=f"{top:.0f}", width="38", height="6"),
        tag(
            "rect",
            x=f"{left:.0f}",
            y=f"{top:.0f}",
            width="0",
            height="6",
            classes="fill",
        ),
        tag("text", "", x=f"{left + 38:.0f}", y=f"{top + 18:.0f}", text_anchor="end"),
        classes="queue",
        visibility="hidden",
    )


# Boxes


def _box(
    page: Page, box: Box, every: Collection[str], folded: Collection[str]
) -> Markup:
    kind = box.facts["kind"]
    if kind == "join":
        return tag(
            "circle",
            cx=f"{box.x + box.width / 2:.0f}",
            cy=f"{box.y + box.height / 2:.0f}",
            r=f"{box.width / 2:.0f}",
            classes="join",
        )
    inner = [
        tag(
            "rect",
            x=f"{box.x:.0f}",
            y=f"{box.y:.0f}",
            width=f"{box.width:.0f}",
            height=f"{box.height:.0f}",
            rx="4",
        ),
        *_texts(box),
    ]
    name = channel_of(box.facts)
    classes = ["box", kind]
    if page.query.get("node") == box.id or (name and page.query.get("channel") == name):
        classes.append("chosen")
    if kind in ("branch", "out"):
        return tag("g", *inner, classes=" ".join(classes))
    shown = tag(
        "a",
        *inner,
        href=page.here(node=box.id),
        classes=" ".join(classes),
        data={"box": box.id},
        aria_label=f"{kind} {box.id}",
    )
    if name not in every:
        return shown
    return join([shown, _fold(page, box, name, every, folded)])


def _texts(box: Box) -> list[Child]:
    facts = box.facts
    if facts["kind"] in ("branch", "out"):
        return [
            tag(
                "text",
                _short(facts["label"]),
                x=f"{box.x + box.width / 2:.0f}",
                y=f"{box.y + 22:.0f}",
                text_anchor="middle",
            )
        ]
    x = f"{box.x + 10:.0f}"
    return [
        tag(
            "text", _short(facts["label"]), x=x, y=f"{box.y + 20:.0f}", classes="title"
        ),
        tag(
            "text",
            facts["about"],
            x=f"{box.x + box.width - 10:.0f}",
            y=f"{box.y + 20:.0f}",
            classes="about",
            text_anchor="end",
        ),
        tag("text", "", x=x, y=f"{box.y + 48:.0f}", classes="state"),
        tag("text", "", x=x, y=f"{box.y + 72:.0f}", classes="state rest"),
        tag("text", "", x=x, y=f"{box.y + 39:.0f}", classes="line-of"),
        tag("text", "", x=x, y=f"{box.y + 56:.0f}", classes="took"),
        tag("text", "", x=x, y=f"{box.y + 73:.0f}", classes="wrong"),
        tag(
            "rect",
            x=f"{box.x:.0f}",
            y=f"{box.y + box.height - 4:.0f}",
            width="0",
            height="4",
            classes="heat",
            data={"whole": f"{box.width:.0f}"},
        ),
    ]


def _fold(
    page: Page, box: Box, name: str, every: Collection[str], folded: Collection[str]
) -> Markup:
    """A small button that folds a sub-channel into its first box, or unfolds it."""
    is_folded = name in folded
    others = [each for each in folded if each != name]
    wanted = others if is_folded else [*others, name]
    address = page.here(
        fold="all" if set(wanted) == set(every) else ",".join(wanted) or "none"
    )
    x, y = box.x + box.width - 22, box.y + box.height - 22
    mark = "M{0} {1}h8M{2} {3}v8" if is_folded else "M{0} {1}h8"
    path = mark.format(*(f"{n:.0f}" for n in (x + 4, y + 8, x + 8, y + 4)))
    return tag(
        "a",
        tag("rect", x=f"{x:.0f}", y=f"{y:.0f}", width="16", height="16", rx="3"),
        tag("path", d=path),
        href=address,
        classes="fold",
        aria_label=f"{'unfold' if is_folded else 'fold'} {name}",
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
