"""What an instance does, as tables that fit a terminal."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from pichannels.cli.fitting import FittingTable
from pichannels.cli.holes import oldest_hole
from pichannels.cli.output import duration
from pichannels.lifecycle import Status

__all__ = [
    "Rates",
    "errors_of",
    "lag_text",
    "rate_text",
    "size_text",
    "state_text",
    "tables",
]

_WINDOW: Final = 4.0
_OLD: Final = 10.0
_LOG_LINES: Final = 5
_SOURCES: Final = 4
_SINKS: Final = 6
_COLOURS: Final = {
    Status.WAITING.label: "green",
    Status.PROCESSING.label: "green",
    Status.STOPPED.label: "red",
}
_HINTS: Final = {
    "running": "Ctrl-C drains and stops",
    "draining": "Ctrl-C stops at once",
}
_RUNNING: Final = (Status.WAITING.label, Status.PROCESSING.label)


class Rates:
    """How fast counters grow, over the last few seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, dict[str, float]]] = deque()

    def note(self, status: dict[str, Any], at: float) -> None:
        """Take the counters of a status, at a time in seconds."""
        self._seen.append((at, dict(_counters(status))))
        while len(self._seen) > 2 and at - self._seen[1][0] >= _WINDOW:
            self._seen.popleft()

    def of(self, counter: str) -> float | None:
        """By how much the counter grows in a second; None while that is unknown."""
        (start, before), (end, after) = self._seen[0], self._seen[-1]
        if end <= start or counter not in before:
            return None
        return max(after.get(counter, 0) - before[counter], 0) / (end - start)


def _counters(status: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for channel in status["channels"]:
        name = channel["name"]
        yield f"{name} in", channel["received"]
        yield f"{name} done", channel["processed"] + channel["dropped"]
        yield f"{name} values", channel["source"].get("events", 0)
        yield f"{name} bytes", channel.get("bytes", 0)
        for node in channel.get("nodes", ()):
            yield f"{node['name']} came", node["came"]
    for sink in status["sinks"]:
        yield f"{sink['name']} taken", sink["processed"]
        yield f"{sink['name']} written", sink["statistics"].get("written", 0)
    for server in status.get("pi_servers", ()):
        yield f"{server['name']} asked", sum(server["sent"].values())
    if "cpu" in status:
        yield "cpu", status["cpu"]


def tables(
    status: dict[str, Any], rates: Rates, height: int, *, is_own: bool = False
) -> RenderableType:
    """A status in no more lines than the height leaves.

    Args:
        is_own: tell what Ctrl-C does to the instance.
    """
    sources = [each for each in status["channels"] if each["source"].get("tags")]
    sinks = status["sinks"]
    shown_sources, shown_sinks = sources[:_SOURCES], sinks[:_SINKS]
    others = 3 + bool(sources) + len(shown_sources) + bool(sinks) + len(shown_sinks)
    room = max(height - _LOG_LINES - others, 3)
    channels = _most_telling(status["channels"], room)
    heading = _heading(status, is_own)
    parts: list[RenderableType] = [*heading, _channels(channels, rates)]
    hidden = len(status["channels"]) - len(channels)
    if hidden:
        parts.append(Text(f"and {hidden} more channels: pichannels status", "dim"))
    if sources:
        parts.append(_sources(shown_sources, rates, status.get("coverage", [])))
    if sinks:
        parts.append(_sinks(shown_sinks, rates))
    return Group(*parts)


def _most_telling(channels: list[dict[str, Any]], room: int) -> list[dict[str, Any]]:
    """Those that fit, in their order: what goes wrong first, then what is busy."""
    if len(channels) <= room:
        return channels
    ranked = sorted(channels, key=_weight, reverse=True)[: room - 1]
    names = {channel["name"] for channel in ranked}
    return [channel for channel in channels if channel["name"] in names]


def _weight(channel: dict[str, Any]) -> tuple[bool, int, float, int]:
    is_running = channel["state"] in _RUNNING
    return not is_running, errors_of(channel), channel["lag"], channel["received"]


def errors_of(channel: dict[str, Any]) -> int:
    """How many messages of a channel failed or were rejected."""
    return int(channel["failed"] + channel["rejected"])


def _heading(status: dict[str, Any], is_own: bool) -> Iterator[Text]:
    state = status["state"]
    first = Text(no_wrap=True, overflow="ellipsis")
    first.append(status["project"], "bold")
    first.append(f"  {state}", "green" if state == "running" else "yellow")
    first.append(f"  {duration(status['uptime'])}")
    journal = status["journal"]
    if journal:
        used = size_text(journal["used_bytes"])
        first.append(f"  journal {used} of {size_text(journal['budget_bytes'])}")
        if journal["is_full"]:
            first.append(" FULL", "bold red")
    if is_own and state in _HINTS:
        first.append(f"  {_HINTS[state]}", "dim")
    yield first
    places = [f"{n} {status[n]}" for n in ("control", "simulator") if status[n]]
    yield Text("  ".join(places), "dim", no_wrap=True, overflow="ellipsis")


def _channels(channels: Iterable[dict[str, Any]], rates: Rates) -> FittingTable:
    table = FittingTable(
        "CHANNEL", "STATE", "IN/S", "DONE/S", "LAG", "UNSETTLED", "ERRORS"
    )
    above: list[str] = []
    for channel in channels:
        name = channel["name"]
        above = [other for other in above if name.startswith(f"{other}.")]
        label = name.removeprefix(f"{above[-1]}.") if above else name
        errors, lag = errors_of(channel), channel["lag"]
        table.add_row(
            Text("  " * len(above) + label),
            state_text(channel["state"]),
            rate_text(rates.of(f"{name} in")),
            rate_text(rates.of(f"{name} done")),
            Text(lag_text(lag), "yellow" if lag > _OLD else ""),
            f"{channel['unsettled']:,}",
            Text(f"{errors:,}", "red" if errors else ""),
        )
        above.append(name)
    return table


def _sources(
    channels: Iterable[dict[str, Any]],
    rates: Rates,
    coverage: Iterable[dict[str, Any]],
) -> FittingTable:
    covered = {each["channel"]: each for each in coverage}
    columns = ["TAGS", "UNRESOLVED", "OPEN", "VALUES/S", "LOSSES"]
    table = FittingTable("SOURCE", *columns, *(["HOLES", "OLDEST"] if covered else []))
    for channel in channels:
        source = channel["source"]
        wanted = source.get("pi_channels", 0)
        how = " polled" if source.get("polled") else ""
        opened = f"{source.get('open', 0)} of {wanted}{how}"
        unresolved, losses = source.get("unresolved", 0), source.get("losses", 0)
        table.add_row(
            channel["name"],
            f"{source['tags']:,}",
            Text(f"{unresolved:,}", "yellow" if unresolved else ""),
            Text(opened, "green" if channel["is_ready"] else "red"),
            rate_text(rates.of(f"{channel['name']} values")),
            Text(f"{losses:,}", "yellow" if losses else ""),
            *(_holes(covered.get(channel["name"])) if covered else []),
        )
    return table


def _holes(each: dict[str, Any] | None) -> tuple[Text, Text]:
    """How many tags have holes, and for how long the first of them is known."""
    if each is None:
        return Text("-"), Text("-")
    count, oldest = each["tags_with_holes"], oldest_hole(each)
    age = Text(duration(oldest), "yellow") if oldest else Text("-")
    return Text(f"{count:,}", "yellow" if count else ""), age


def _sinks(sinks: Iterable[dict[str, Any]], rates: Rates) -> FittingTable:
    table = FittingTable("SINK", "TAKEN/S", "QUEUED", "FAILED", "RETRIES")
    for sink in sinks:
        counts = sink["statistics"]
        failed, errors = counts.get("failed", 0), counts.get("errors", 0)
        table.add_row(
            sink["name"],
            rate_text(rates.of(f"{sink['name']} taken")),
            f"{counts.get('queued', 0):,}",
            Text(f"{failed:,}", "red" if failed else ""),
            Text(f"{errors:,}", "yellow" if errors else ""),
        )
    return table


def state_text(state: str) -> Text:
    """The state of a channel in its colour."""
    return Text(state, _COLOURS.get(state, "yellow"))


def rate_text(rate: float | None) -> str:
    """A rate in few characters."""
    if rate is None:
        return "-"
    return f"{rate:,.0f}" if rate >= 100 or rate == 0 else f"{rate:.1f}"


def lag_text(seconds: float) -> str:
    """How old something is, in few characters."""
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def size_text(count: float) -> str:
    """A number of bytes in few characters."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.{0 if count >= 10 or unit == 'B' else 1}f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
