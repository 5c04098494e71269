"""What `pichannels top` shows of nodes and sinks; pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.text import Text

from pichannels.cli.fitting import FittingTable
from pichannels.cli.live import Rates, rate_text

__all__ = ["nodes_of", "nodes_table", "sinks_table", "took_text"]


def nodes_of(status: dict[str, Any]) -> list[dict[str, Any]]:
    """The nodes of all channels, those that take most of the time first."""
    found = [
        node for channel in status["channels"] for node in channel.get("nodes", ())
    ]
    return sorted(found, key=lambda node: (-(node["share"] or 0.0), node["name"]))


def nodes_table(nodes: Iterable[dict[str, Any]], rates: Rates) -> FittingTable:
    """What each of these does."""
    heads = ("NODE", "IN/S", "IN", "OUT", "DROPPED", "FAILED", "P50", "P99", "SHARE")
    table = FittingTable(*heads)
    for node in nodes:
        failed, share = node["failed"] + node["rejected"], node["share"]
        table.add_row(
            node["name"],
            rate_text(rates.of(f"{node['name']} came")),
            f"{node['came']:,}",
            f"{node['left']:,}",
            f"{node['dropped']:,}",
            Text(f"{failed:,}", "red" if failed else ""),
            took_text(node["times"]["p50"]),
            took_text(node["times"]["p99"]),
            "-" if share is None else f"{share:.0%}",
        )
    return table


def sinks_table(sinks: Iterable[dict[str, Any]], rates: Rates) -> FittingTable:
    """What each of these does."""
    heads = ("SINK", "TAKEN/S", "WRITTEN/S", "IN FLIGHT", "ACK P99", "FAILED")
    table = FittingTable(*heads, "RETRIES")
    for sink in sinks:
        failed, retries = sink["statistics"].get("failed", 0), sink["retries"]
        name = Text(sink["name"])
        if sink["is_paused"]:
            name.append(" paused", "yellow")
        table.add_row(
            name,
            rate_text(rates.of(f"{sink['name']} taken")),
            rate_text(rates.of(f"{sink['name']} written")),
            f"{sink['in_flight']:,}",
            took_text(sink["acks"]["p99"]),
            Text(f"{failed:,}", "red" if failed else ""),
            Text(f"{retries:,}", "yellow" if retries else ""),
        )
    return table


def took_text(seconds: float | None) -> str:
    """How long, such as `12us`, `3.4ms` or `1.2s`; `-` where it is not known."""
    if seconds is None:
        return "-"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f}us"
    return f"{seconds * 1000:.1f}ms" if seconds < 1 else f"{seconds:.1f}s"
