"""Where boxes of a channel graph go."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from pichannels.ui.pages.graph_bands import bands
from pichannels.ui.pages.graph_layout import Box, Drawing, apart, draw, fold


def _box(id: str, kind: str = "node") -> dict[str, Any]:
    return {"id": id, "label": id, "kind": kind, "about": "", "channel": "a"}


def _graph(boxes: list[str], *arrows: str) -> dict[str, Any]:
    ways = [way.split(">") for way in arrows]
    return {
        "boxes": [_box(id) for id in boxes],
        "arrows": [{"start": start, "end": end, "label": ""} for start, end in ways],
    }


FORKED = _graph(
    ["a", "a.f", "a.f:start", "a.f.one", "a.f.two", "a.last"],
    *("a>a.f", "a.f>a.f:start", "a.f:start>a.f.one", "a.f.one>a.f.two"),
    "a.f>a.last",
)


def _overlaps(one: Box, other: Box) -> bool:
    across = one.x < other.x + other.width and other.x < one.x + one.width
    return across and one.y < other.y + other.height and other.y < one.y + one.height


def _collisions(drawing: Drawing) -> list[tuple[str, str]]:
    boxes = drawing.boxes
    return [
        (one.id, other.id)
        for i, one in enumerate(boxes)
        for other in boxes[:i]
        if _overlaps(one, other)
    ]


def test_a_chain_stays_in_its_row_and_forks_go_below() -> None:
    places = {box.id: box for box in draw(FORKED).boxes}
    assert places["a"].y == places["a.last"].y
    assert places["a.f.two"].y > places["a.last"].y


def test_arrows_go_to_the_right() -> None:
    assert all(each.start.x < each.end.x for each in draw(FORKED).arrows)


def test_a_folded_sub_channel_is_one_box() -> None:
    folded = fold(FORKED, ["a.f"])
    assert [each["id"] for each in folded["boxes"]] == [
        "a",
        "a.f",
        "a.f:start",
        "a.last",
    ]
    assert len(folded["arrows"]) == 3


def test_what_is_folded_still_leads_on() -> None:
    graph = _graph(
        ["a", "a.w:start", "a.w.sink", "a:out"],
        *("a>a.w:start", "a.w:start>a.w.sink", "a.w.sink>a:out"),
    )
    ways = [(each["start"], each["end"]) for each in fold(graph, ["a.w"])["arrows"]]
    assert ways == [("a", "a.w:start"), ("a.w:start", "a:out")]


def test_boxes_of_a_large_graph_do_not_lie_on_each_other() -> None:
    boxes, arrows = ["a"], []
    for i in range(60):
        step, last = f"a.{i}", boxes[-1] if i == 0 else f"a.{i - 1}"
        inner = [f"{step}:start", *(f"{step}.{j}" for j in range(4))]
        boxes += [step, *inner]
        arrows += [f"{step}>{inner[0]}"]
        arrows += [f"{one}>{other}" for one, other in pairwise(inner)]
        arrows += [f"{last}>{step}"]
    drawing = draw(_graph(boxes, *arrows))
    assert len(drawing.boxes) > 300
    assert _collisions(drawing) == []


def test_a_circle_is_drawn_too() -> None:
    assert len(draw(_graph(["a", "b"], "a>b", "b>a")).boxes) == 2


def _chain(length: int) -> dict[str, Any]:
    names = [f"a.{i}" for i in range(length)]
    return _graph(names, *(f"{one}>{other}" for one, other in pairwise(names)))


def test_what_is_too_wide_goes_on_below() -> None:
    drawing = draw(_chain(12), width=1500)
    assert drawing.width <= 1500
    assert max(box.x + box.width for box in drawing.boxes) < drawing.width
    assert len({box.y for box in drawing.boxes}) == 3
    turned = [each.end.id for each in drawing.arrows if each.turn is not None]
    assert turned == ["a.4", "a.8"]


def test_what_goes_on_below_lies_on_nothing() -> None:
    graph = _graph(
        ["a", "a.case", "a.x", "a.y", "a.join", "a.last", "b", "b.one", "b.two"],
        *("a>a.case", "a.case>a.x", "a.x>a.y", "a.y>a.join", "a.case>a.join"),
        *("a.join>a.last", "b>b.one", "b.one>b.two"),
    )
    assert _collisions(draw(graph, width=700)) == []


def test_bands_end_where_few_arrows_go_on() -> None:
    ways = [*pairwise(range(6)), (1, 4), (2, 4)]
    found = bands([100] * 6, ways, 10, most=450)
    assert found == [range(2), range(2, 6)]


def test_one_that_is_too_wide_by_itself_is_a_band() -> None:
    assert bands([100, 500, 100], [(0, 1), (1, 2)], 10, most=300) == [
        range(1),
        range(1, 2),
        range(2, 3),
    ]


def test_each_way_out_has_an_end_of_its_own() -> None:
    graph = _graph(["a", "a.bad", "a.last"], "a>a.bad", "a>a.last")
    graph["boxes"].append(_box("a:out", "out"))
    ends = [("a.bad", "a:out"), ("a.last", "a:out")]
    graph["arrows"] += [{"start": one, "end": end, "label": ""} for one, end in ends]
    found = apart(graph)
    assert [each["end"] for each in found["arrows"][2:]] == ["a:out<a.bad", "a:out"]
    assert {each["id"] for each in found["boxes"]} >= {"a:out", "a:out<a.bad"}
