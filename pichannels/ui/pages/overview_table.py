"""The channels of an instance with a line each, where they are too many for cards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pichannels.ui.pages import channel_actions, parts, tables
from pichannels.ui.pages.formats import count_text, rate_text, seconds_text
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page
from pichannels.ui.pages.revisions import revision_told
from pichannels.ui.pages.spreads import quantile_text
from pichannels.ui.pages.tables import Column
from pichannels.ui.settings_delta import Delta

__all__ = ["MANY", "Row", "channel_table", "choices", "fitting", "is_table"]

MANY: Final = 6
"""Channels up to which there is a card for each."""
_FAILED: Final = "with failures"
_AT_WORK: Final = ("waiting", "processing")
_WORKING: Final = "working"
_LATE: Final = 30.0

Report = Mapping[str, Any]
Row = tuple[Report, Sequence[Report]]
"""A channel and its sub-channels; see `ChannelReport`."""


def is_table(page: Page, rows: Sequence[Row]) -> bool:
    """Whether channels have a line each, and no cards."""
    chosen = page.query.get("as")
    return chosen == "table" if chosen else len(rows) > MANY


def choices(page: Page, rows: Sequence[Row]) -> Markup:
    """How many channels are in which state, each a way to these, and table or cards."""
    now = page.query.get("state", "")
    counts = Counter(mark for row in rows for mark in _marks(row))
    known = [("", f"all {count_text(len(rows))}")]
    known += [(mark, f"{mark} {count_text(counts[mark])}") for mark in sorted(counts)]
    ways = [
        parts.link(
            page.here(state=mark or None),
            text,
            classes="button chosen" if mark == now else "button quiet",
        )
        for mark, text in known
    ]
    is_listed = is_table(page, rows)
    other = parts.link(
        page.here(**{"as": "cards" if is_listed else "table"}),
        "As cards" if is_listed else "As a table",
        classes="button quiet",
    )
    return tag("span", *ways, other, classes="actions")


def fitting(page: Page, rows: Sequence[Row]) -> list[Row]:
    """Those in the state that the address chooses; all where it chooses none."""
    wanted = page.query.get("state")
    return [row for row in rows if not wanted or wanted in _marks(row)]


def _marks(row: Row) -> set[str]:
    """What is told of a channel in words that tell channels apart."""
    channel, below = row
    states = {channel_actions.state_of(each) for each in (channel, *below)}
    found = states - {*_AT_WORK} or {_WORKING}
    return found | {_FAILED} if channel["failed"] else found


def channel_table(
    page: Page,
    rows: Sequence[Row],
    ledgers: Mapping[str, Report],
    delta: Delta,
) -> Markup:
    """The table.

    Args:
        ledgers: what is missing of each channel; see `CoverageReport`.
        delta: what the settings file says otherwise.
    """

    def holes(row: Row) -> Child:
        ledger = ledgers.get(row[0]["name"])
        if ledger is None:
            return None
        tags = ledger["tags_with_holes"]
        shown = (
            parts.number(f"{count_text(tags)} tags", tone="warn") if tags else "none"
        )
        return parts.link(page.href("coverage", channel=row[0]["name"]), shown)

    columns: list[Column[Row]] = [
        Column("Channel", lambda row: _name(page, row)),
        Column("State", lambda row: _state(row)),
        Column("In /s", lambda row: _flow(page, row, "in"), classes="rate"),
        Column("Out /s", lambda row: _flow(page, row, "out"), classes="rate"),
        Column("Lag", _lag, number=True),
        Column("Settled, p99", _settled, number=True),
        Column("In flight", lambda row: _in_flight(page, row), number=True),
        Column("Holes", holes, number=True),
        Column("Failed", lambda row: _failed(page, row), number=True),
        Column("Revision", lambda row: revision_told(page, row[0]["name"], delta)),
        Column("", lambda row: channel_actions.first_button(page, row[0])),
    ]
    return tables.table(
        page,
        columns,
        rows,
        key=lambda row: str(row[0]["name"]),
        label="channels",
        nothing="no channel is in this state",
    )


def _name(page: Page, row: Row) -> Markup:
    channel = row[0]
    return parts.link(
        page.href("graph", channel=channel["name"]), channel["verbose_name"]
    )


def _state(row: Row) -> Markup:
    """Its own state, and those of sub-channels that are not at work while it is."""
    channel, below = row
    state = channel_actions.state_of(channel)
    told = [
        f"{each['name'].partition('.')[2]}: {channel_actions.state_of(each)}"
        for each in below
        if channel_actions.state_of(each) not in (*_AT_WORK, state)
    ]
    aside = tag("small", ", ".join(told), classes="warn") if told else None
    return join([parts.state_badge(state), aside])


def _flow(page: Page, row: Row, way: str) -> Markup:
    key = f"channel {row[0]['name']}"
    curve = parts.sparkline(
        page.watch.rates(key, way), f"values {way} per second, last 5 minutes"
    )
    return tag("div", parts.number(rate_text(page.watch.rate(key, way))), curve)


def _lag(row: Row) -> Markup:
    lag = row[0]["lag"]
    return parts.number(seconds_text(lag), tone="warn" if lag > _LATE else "")


def _settled(row: Row) -> Child:
    return quantile_text(row[0]["settling"], 0.99)


def _in_flight(page: Page, row: Row) -> Markup:
    way = page.href("messages", channel=row[0]["name"], state="pending")
    return parts.link(way, count_text(row[0]["in_memory"]))


def _failed(page: Page, row: Row) -> Markup:
    count = row[0]["failed"]
    shown = parts.number(count_text(count), tone="bad" if count else "")
    return parts.link(page.href("errors", channel=row[0]["name"]), shown)
