"""The numbers of nodes, and what sinks have beside what they tell themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

from pichannels.control.figures import NodeReport
from pichannels.control.reports import ChannelReport, SinkReport
from pichannels.metrics import Family, Point
from pichannels.tallies import Times

__all__ = ["node_families", "quantiles", "sink_families"]

_Counted = Callable[[NodeReport], int]

_STATES: Final[Mapping[str, _Counted]] = {
    "dropped": lambda node: node.dropped,
    "rejected": lambda node: node.rejected,
    "failed": lambda node: node.failed,
}


def node_families(channels: Iterable[ChannelReport]) -> list[Family]:
    """The numbers of all nodes."""
    nodes = [node for channel in channels for node in channel.nodes]
    stopped = [
        Point(count(node), {"node": node.name, "state": state})
        for node in nodes
        for state, count in _STATES.items()
    ]
    times = [(node.name, node.times) for node in nodes]
    return [
        _counter("node_came_total", "Messages that it got.", nodes, lambda n: n.came),
        _counter("node_left_total", "Messages that it gave.", nodes, lambda n: n.left),
        Family(
            "node_stopped_total", "counter", "What got no further, and why.", stopped
        ),
        _counter(
            "node_retries_total",
            "How often it has tried again by itself.",
            nodes,
            lambda n: n.retries,
        ),
        quantiles("node_seconds", "How long it works for a message.", "node", times),
        Family(
            "node_measured_seconds_total",
            "counter",
            "Seconds that it worked for the messages that were measured.",
            [Point(each.sum, {"node": name}) for name, each in times],
        ),
        Family(
            "node_measured_total",
            "counter",
            "Messages that were measured.",
            [Point(each.count, {"node": name}) for name, each in times],
        ),
    ]


def sink_families(sinks: Sequence[SinkReport]) -> list[Family]:
    """Acknowledgements, retries and pauses of all sinks."""
    acks = [(sink.name, sink.acks) for sink in sinks]
    return [
        quantiles(
            "sink_acknowledged_seconds", "How long acknowledgements took.", "sink", acks
        ),
        _of_sinks(
            "sink_in_flight",
            "gauge",
            "Messages that it took and has not acknowledged.",
            sinks,
            lambda sink: sink.in_flight,
        ),
        _of_sinks(
            "sink_retries_total",
            "counter",
            "How often it has tried again.",
            sinks,
            lambda sink: sink.retries,
        ),
        _of_sinks(
            "sink_paused",
            "gauge",
            "Whether messages wait for it, on command.",
            sinks,
            lambda sink: sink.is_paused,
        ),
    ]


def quantiles(
    name: str, help: str, label: str, times: Iterable[tuple[str, Times]]
) -> Family:
    """Half and 99 % of the last minutes, where there are any."""
    points = [point for whose, each in times for point in _points(label, whose, each)]
    return Family(name, "summary", help, points)


def _points(label: str, whose: str, times: Times) -> Iterator[Point]:
    for quantile, value in (("0.5", times.p50), ("0.99", times.p99)):
        if value is not None:
            yield Point(value, {label: whose, "quantile": quantile})


def _counter(
    name: str, help: str, nodes: Iterable[NodeReport], count: _Counted
) -> Family:
    points = [Point(count(node), {"node": node.name}) for node in nodes]
    return Family(name, "counter", help, points)


def _of_sinks(
    name: str,
    kind: Literal["counter", "gauge"],
    help: str,
    sinks: Iterable[SinkReport],
    value: Callable[[SinkReport], float],
) -> Family:
    points = [Point(value(sink), {"sink": sink.name}) for sink in sinks]
    return Family(name, kind, help, points)
