"""What moves in a channel graph: rates, queues and errors, small enough to be sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pichannels import clock
from pichannels.ui.pages.channel_actions import state_of
from pichannels.ui.pages.formats import count_text, rate_text, took_text
from pichannels.ui.pages.watch import Watch

__all__ = ["Moving", "channel_of", "values_of"]

_POLLS: Final = 5
_FULL: Final = 1000
"""What waits when the bar of a queue is full; sinks know their own bounds."""
_WRONG: Final = ("errors", "failed")

Report = Mapping[str, Any]


class _Seen(NamedTuple):
    at: float
    counts: Mapping[str, float]


class Moving:
    """The counts of the nodes of a graph over the last polls."""

    def __init__(self) -> None:
        self._seen: deque[_Seen] = deque(maxlen=_POLLS + 1)

    def note(self, graph: Report) -> None:
        """The counts just now.

        Args:
            graph: see `GraphReport`.
        """
        counts = {
            each["id"]: float(each["processed"])
            for each in graph["boxes"]
            if each["processed"] is not None
        }
        self._seen.append(_Seen(clock.monotonic(), counts))

    def rate(self, id: str) -> float | None:
        """Messages each second through a node; None where that is not known."""
        if len(self._seen) < 2 or id not in self._seen[-1].counts:
            return None
        first, last = self._seen[0], self._seen[-1]
        grown = last.counts[id] - first.counts.get(id, 0.0)
        taken = last.at - first.at
        return max(0.0, grown) / taken if taken > 0 else None


def values_of(graph: Report, moving: Moving, watch: Watch) -> dict[str, Any]:
    """What a script writes into the drawing.

    `boxes`: for each id its `line`, `state`, and `wrong` where errors were counted; of
    nodes how long they `took`, and their `share` of the time of their channel.
    `arrows`: for `start>end` the `rate` of messages, how `wide` its line is, and of a
    queue what is `queued` and how `full` it is.

    Args:
        graph: see `GraphReport`.
        moving: its counts.
        watch: of its instance.
    """
    states = _states(watch)
    boxes = {each["id"]: _box(each, moving, states) for each in graph["boxes"]}
    by_id = {each["id"]: each for each in graph["boxes"]}
    arrows = {
        f"{each['start']}>{each['end']}": _arrow(
            by_id[each["start"]], by_id[each["end"]], moving, watch
        )
        for each in graph["arrows"]
    }
    return {"boxes": boxes, "arrows": arrows}


def _states(watch: Watch) -> dict[str, Report]:
    status = watch.status
    return {each["name"]: each for each in status["channels"]} if status else {}


def channel_of(box: Report) -> str:
    """The full name of the channel that a box begins; "" where it is none."""
    return box["id"].removesuffix(":start") if box["kind"] == "channel" else ""


def _box(box: Report, moving: Moving, states: Mapping[str, Report]) -> dict[str, Any]:
    channel = states.get(channel_of(box))
    if channel is not None:
        found = {
            "state": state_of(channel),
            "line": f"{channel['in_memory']} in flight",
        }
        failed = channel["failed"]
        return {**found, "wrong": f"{count_text(failed)} failed" if failed else ""}
    if box["processed"] is None:
        return {}
    counts, figures = box["statistics"], box["figures"]
    wrong = sum(counts.get(name, 0) for name in _WRONG)
    wrong = max(wrong, figures["failed"])
    line = f"{rate_text(moving.rate(box['id']))}/s"
    total = f"{_short(box['processed'])} msg"
    return {
        "state": "paused" if box["is_paused"] else "",
        "line": f"{line}, {total}",
        "took": _took(figures),
        "share": round(figures["share"] or 0.0, 3),
        "wrong": f"{count_text(wrong)} errors" if wrong else "",
    }


def _took(figures: Report) -> str:
    times, share = figures["times"], figures["share"]
    if times["p50"] is None or share is None:
        return ""
    half, most = took_text(times["p50"]), took_text(times["p99"])
    return f"{half}, p99 {most}, {share:.0%}"


def _short(count: float) -> str:
    """A count that fits into a box."""
    return count_text(count) if count < 1e6 else f"{count / 1e6:.1f} M"


def _arrow(start: Report, end: Report, moving: Moving, watch: Watch) -> dict[str, Any]:
    rate = _rate(end, moving, watch)
    if rate is None:
        rate = _rate(start, moving, watch)
    found: dict[str, Any] = {}
    if rate is not None:
        found = {"rate": f"{rate_text(rate)}/s", "wide": _width(rate)}
    queued = _queued(end, watch)
    if queued is None:
        queued = _unsettled(start, watch)
    if queued is not None:
        found |= {"queued": count_text(queued), "full": min(1.0, queued / _FULL)}
    return found


def _rate(box: Report, moving: Moving, watch: Watch) -> float | None:
    channel = channel_of(box)
    if channel:
        return watch.rate(f"channel {channel}", "received")
    return moving.rate(box["id"])


def _queued(end: Report, watch: Watch) -> float | None:
    """What waits before a box, where it has a queue."""
    if "queued" in end["statistics"]:
        return float(end["statistics"]["queued"])
    channel = channel_of(end)
    if end["id"].endswith(":start") and channel:
        known = _states(watch).get(channel)
        return float(known["in_memory"]) if known else None
    return None


def _unsettled(start: Report, watch: Watch) -> float | None:
    """What a channel has received and not done yet, behind its own box."""
    channel = channel_of(start)
    known = _states(watch).get(channel) if channel and channel == start["id"] else None
    return float(known["unsettled"]) if known else None


def _width(rate: float) -> float:
    return round(min(7.0, 1.5 + len(str(int(rate))) * (rate >= 1)), 1)
