"""What `pichannels top` shows, and what keys do to it; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from pichannels.cli.fitting import FittingTable
from pichannels.cli.holes import oldest_hole
from pichannels.cli.live import (
    Rates,
    errors_of,
    lag_text,
    rate_text,
    size_text,
    state_text,
)
from pichannels.cli.output import duration
from pichannels.cli.top_nodes import nodes_of, nodes_table, sinks_table, took_text

__all__ = ["QUIT", "SORTS", "View", "page"]

QUIT: Final = frozenset({"q", "Q", "\x1b", "\x03", "\x04"})
"""The keys that end it."""
_UP: Final = frozenset({"k", "\x1b[A", "\x1bOA", "\xe0H"})
_DOWN: Final = frozenset({"j", "\x1b[B", "\x1bOB", "\xe0P"})
_HELP: Final = (
    "q quit   s sort by the next column   S the one before   r the order round",
    "c sub-channels   n nodes   p keep what is shown   j/k scroll   ? no keys",
)
_MANY_SINKS: Final = 8
_FEW: Final = 6
_MANY_SOURCES: Final = 3
_MANY_TROUBLES: Final = 3
_OLD: Final = 10.0
_FULL: Final = 0.95

_Worth = Callable[[dict[str, Any], Rates], Any]


def _rate(what: str) -> _Worth:
    return lambda channel, rates: rates.of(f"{channel['name']} {what}") or 0.0


SORTS: Final[dict[str, _Worth]] = {
    "name": lambda channel, rates: channel["name"],
    "state": lambda channel, rates: channel["state"],
    "in": _rate("in"),
    "done": _rate("done"),
    "bytes": _rate("bytes"),
    "lag": lambda channel, rates: channel["lag"],
    "unsettled": lambda channel, rates: channel["unsettled"],
    "retries": lambda channel, rates: channel.get("retries", 0),
    "errors": lambda channel, rates: errors_of(channel),
}
"""By what channels can be sorted; numbers begin with the largest."""


class View:
    """How it is looked at.

    Args:
        sort: one of `SORTS`.
    """

    def __init__(self, sort: str = "name") -> None:
        self.sort = sort
        self.is_reversed = False
        self.is_paused = False
        self.has_parts = True
        self.has_nodes = False
        self.has_help = False
        self.first = 0

    def press(self, key: str) -> None:
        """Do what a key stands for."""
        if key in ("s", "S"):
            names = list(SORTS)
            step = 1 if key == "s" else -1
            self.sort = names[(names.index(self.sort) + step) % len(names)]
        elif key == "r":
            self.is_reversed = not self.is_reversed
        elif key == "p":
            self.is_paused = not self.is_paused
        elif key == "c":
            self.has_parts = not self.has_parts
        elif key == "n":
            self.has_nodes, self.first = not self.has_nodes, 0
        elif key == "?":
            self.has_help = not self.has_help
        elif key in _UP:
            self.first = max(self.first - 1, 0)
        elif key in _DOWN:
            self.first += 1

    def ordered(self, status: dict[str, Any], rates: Rates) -> list[dict[str, Any]]:
        """The channels that are shown, in order."""
        found = [
            each
            for each in status["channels"]
            if self.has_parts or not _is_part(each["name"], status)
        ]
        worth = SORTS[self.sort]
        is_text = self.sort in ("name", "state")
        found.sort(key=lambda each: each["name"])
        is_falling = self.is_reversed if is_text else not self.is_reversed
        found.sort(key=lambda each: worth(each, rates), reverse=is_falling)
        return found


def _is_part(name: str, status: dict[str, Any]) -> bool:
    names = {each["name"] for each in status["channels"]}
    parents = name.split(".")[:-1]
    return any(".".join(parents[: n + 1]) in names for n in range(len(parents)))


def page(
    status: dict[str, Any] | None, rates: Rates, view: View, height: int
) -> RenderableType:
    """All of it in so many lines; None for no instance that answers."""
    if status is None:
        return Text("no instance answers; it is looked for again   q quit", "yellow")
    above = [
        *_heading(status, rates),
        *_servers(status, rates),
        *_sources(status, rates),
        *_troubles(status),
    ]
    rows = nodes_of(status) if view.has_nodes else view.ordered(status, rates)
    footer = len(_HELP) if view.has_help else 1
    left = height - len(above) - footer - 1
    # With a blank line and a head they take two lines more.
    many = max(min(_MANY_SINKS, left - min(len(rows), _FEW) - 2), 0)
    sinks = status["sinks"][:many]
    room = max(left - (len(sinks) + 2 if sinks else 0), 2)
    view.first = min(view.first, max(len(rows) - room, 0))
    shown = rows[view.first : view.first + room]
    listed = (
        nodes_table(shown, rates)
        if view.has_nodes
        else _channels(shown, status, rates, view)
    )
    parts: list[RenderableType] = [*above, listed]
    if sinks:
        parts += [Text(), sinks_table(sinks, rates)]
    left = len(rows) - len(shown)
    return Group(*parts, *_footer(view, left))


def _heading(status: dict[str, Any], rates: Rates) -> Iterator[Text]:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(status["project"], "bold")
    state = status["state"]
    line.append(f"  {state}", "green" if state == "running" else "yellow")
    line.append(f"  {duration(status['uptime'])}")
    busy = rates.of("cpu")
    if busy is not None:
        line.append(f"  cpu {busy:.0%}", "yellow" if busy > 0.9 else "")
    if journal := status["journal"]:
        used, budget = journal["used_bytes"], journal["budget_bytes"]
        line.append(f"  journal {size_text(used)} of {size_text(budget)}")
        if journal["is_full"]:
            line.append(" FULL", "bold red")
    line.append(f"  pid {status['pid']}", "dim")
    yield line


def _servers(status: dict[str, Any], rates: Rates) -> Iterator[Text]:
    for server in status["pi_servers"]:
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"PI {server['name']}  ")
        asked = rate_text(rates.of(f"{server['name']} asked"))
        line.append(f"{asked}/s of {server['rate']:.0f}")
        if server["rate"] < server["full_rate"] * _FULL:
            line.append(f", slowed from {server['full_rate']:.0f}", "yellow")
        if (half := server["latency"]["p50"]) is not None:
            line.append(f"  answers in {took_text(half)}", "dim")
        waiting = sum(server["waiting"].values())
        line.append(f"  waiting {waiting:,}", "yellow" if waiting else "dim")
        refused = server["too_many"]
        line.append(f"  429 {refused:,}", "yellow" if refused else "dim")
        if server["history_paused"]:
            line.append("  history paused", "yellow")
        yield line


def _sources(status: dict[str, Any], rates: Rates) -> Iterator[Text]:
    """What channels receive from PI."""
    sources = [each for each in status["channels"] if each["source"].get("tags")]
    for channel in sources[:_MANY_SOURCES]:
        source, name = channel["source"], channel["name"]
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{name}  {source['tags']:,} tags")
        if unresolved := source.get("unresolved", 0):
            line.append(f", {unresolved:,} unresolved", "yellow")
        how = "polled" if source.get("polled") else "open"
        opened = f"{source.get('open', 0)} of {source.get('pi_channels', 0)} {how}"
        line.append(f"  {opened}", "" if channel["is_ready"] else "red")
        line.append(f"  {rate_text(rates.of(f'{name} values'))} values/s")
        losses = source.get("losses", 0)
        line.append(f"  {losses:,} losses", "yellow" if losses else "dim")
        yield line
    if len(sources) > _MANY_SOURCES:
        yield Text(f"and {len(sources) - _MANY_SOURCES} more", "dim")


def _troubles(status: dict[str, Any]) -> Iterator[Text]:
    troubles = status.get("troubles", [])
    for each in troubles[:_MANY_TROUBLES]:
        text = f"! {each['part']}: {each['reason']}"
        yield Text(text, "red", no_wrap=True, overflow="ellipsis")
    if len(troubles) > _MANY_TROUBLES:
        yield Text(f"! and {len(troubles) - _MANY_TROUBLES} more", "red")


def _channels(
    channels: Iterable[dict[str, Any]],
    status: dict[str, Any],
    rates: Rates,
    view: View,
) -> FittingTable:
    covered = {each["channel"]: each for each in status.get("coverage", [])}
    heads = [_head(name, view) for name in SORTS]
    table = FittingTable(*heads, *(["HOLES", "OLDEST"] if covered else []))
    for channel in channels:
        name, errors = channel["name"], errors_of(channel)
        retries = channel.get("retries", 0)
        table.add_row(
            name,
            state_text(channel["state"]),
            rate_text(rates.of(f"{name} in")),
            rate_text(rates.of(f"{name} done")),
            _bytes(rates.of(f"{name} bytes")),
            Text(lag_text(channel["lag"]), "yellow" if channel["lag"] > _OLD else ""),
            f"{channel['unsettled']:,}",
            Text(f"{retries:,}", "yellow" if retries else ""),
            Text(f"{errors:,}", "red" if errors else ""),
            *(_holes(covered.get(name)) if covered else []),
        )
    return table


def _head(name: str, view: View) -> str:
    heads = {"name": "CHANNEL", "in": "IN/S", "done": "DONE/S", "bytes": "BYTES/S"}
    head = heads.get(name, name.upper())
    if name != view.sort:
        return head
    is_text = name in ("name", "state")
    return head + ("v" if is_text == view.is_reversed else "^")


def _bytes(rate: float | None) -> str:
    return "-" if rate is None else size_text(rate).replace(" ", "")


def _holes(each: dict[str, Any] | None) -> tuple[Text, Text]:
    if each is None:
        return Text("-", "dim"), Text("-", "dim")
    count, oldest = each["tags_with_holes"], oldest_hole(each)
    age = Text(duration(oldest), "yellow") if oldest else Text("-")
    return Text(f"{count:,}", "yellow" if count else ""), age


def _footer(view: View, left: int) -> Iterator[Text]:
    if view.has_help:
        for line in _HELP:
            yield Text(line, "reverse", no_wrap=True, overflow="ellipsis")
        return
    order = f"{view.sort}{', reversed' if view.is_reversed else ''}"
    if view.has_nodes:
        order = "share of time"
    more = f"   {left} more" if left else ""
    paused = "   PAUSED" if view.is_paused else ""
    text = f"sorted by {order}{more}{paused}   q quit   s sort   ? keys"
    yield Text(text, "dim", no_wrap=True, overflow="ellipsis")
