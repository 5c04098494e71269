"""The overview: how each channel is, and what has happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from pichannels.ui.pages import channel_actions, overview_table, parts
from pichannels.ui.pages.formats import (
    bytes_text,
    count_text,
    rate_text,
    seconds_text,
    span_text,
)
from pichannels.ui.pages.incidents import timeline
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.overview_table import MANY
from pichannels.ui.pages.page import Page
from pichannels.ui.pages.revisions import delta_of, file_told, revision_told
from pichannels.ui.pages.spreads import quantile_text
from pichannels.ui.settings_delta import Delta

__all__ = ["build"]

_FEW: Final = 40
_ALL: Final = 500
_LATE: Final = 30.0

Report = Mapping[str, Any]


async def build(page: Page) -> None:
    """Cards of the channels, and the timeline."""
    channel_actions.install(page)
    await page.add(partial(_top, page), live=True)
    await page.add(partial(_cards, page), live=True)
    await page.add(partial(_incidents, page), live=True)


async def _top(page: Page) -> Markup:
    status = page.watch.status
    if status is None:
        return parts.error(page.watch.error)
    told = [
        ("Project", f"{status['project']} {status['version']}"),
        ("Up for", span_text(status["uptime"])),
        ("Processor", _processor(page)),
        ("Event loop late", quantile_text(status["loop_lag"], 0.99)),
        ("Settings", file_told(page, await delta_of(page))),
    ]
    shown = [
        tag("span", tag("span", name, classes="name"), value, classes="fact")
        for name, value in told
    ]
    troubles = [
        parts.note(f"{each['part']}: {each['reason']}", "bad")
        for each in status["troubles"][:5]
    ]
    ends = tag("span", page.cli("status"), classes="actions")
    return join([tag("div", *shown, ends, classes="summary"), *troubles])


def _processor(page: Page) -> str:
    rate = page.watch.rate("instance", "cpu")
    return "–" if rate is None else f"{rate:.0%} of one"


# Cards


async def _cards(page: Page) -> Markup:
    status = page.watch.status
    if status is None:
        return Markup("")
    delta = await delta_of(page)
    coverage = {each["channel"]: each for each in status["coverage"]}
    tops = [each for each in status["channels"] if _top_of(each["name"], status) == ""]
    rows = [(each, _below(each["name"], status)) for each in tops]
    if not rows:
        return parts.empty("the project has no channels")
    ways = overview_table.choices(page, rows) if len(rows) > MANY else None
    title = parts.heading(f"Channels ({count_text(len(rows))})", ways)
    shown = overview_table.fitting(page, rows)
    if overview_table.is_table(page, rows):
        listed = overview_table.channel_table(page, shown, coverage, delta)
        return join([title, tag("div", listed, classes="lines")])
    cards = [
        _card(page, each, below, coverage.get(each["name"]), delta)
        for each, below in shown
    ]
    return join([title, tag("div", *cards, classes="cards")])


def _top_of(name: str, status: Report) -> str:
    """The channel that this one is a part of; "" where it is none."""
    top = name.partition(".")[0]
    known = {each["name"] for each in status["channels"]}
    return top if top != name and top in known else ""


def _below(name: str, status: Report) -> list[Report]:
    return [each for each in status["channels"] if each["name"].startswith(f"{name}.")]


def _card(
    page: Page,
    channel: Report,
    below: Sequence[Report],
    ledger: Report | None,
    delta: Delta,
) -> Markup:
    name = channel["name"]
    title = join(
        [
            parts.link(page.href("graph", channel=name), channel["verbose_name"]),
            parts.state_badge(channel_actions.state_of(channel)),
        ]
    )
    return parts.card(
        title,
        tag("div", _flow(page, name, "in"), _flow(page, name, "out"), classes="flows"),
        parts.facts(
            [
                *_facts(page, channel, ledger),
                ("Revision", revision_told(page, name, delta)),
            ]
        ),
        _parts_of(page, below),
        channel_actions.buttons(page, channel),
        classes="channel",
        key=f"channel-{name}",
    )


def _flow(page: Page, name: str, way: str) -> Markup:
    key = f"channel {name}"
    rate = rate_text(page.watch.rate(key, way))
    label = f"values {way} per second, last 5 minutes"
    return tag(
        "div",
        tag("span", way, classes="name"),
        parts.number(rate, "/s"),
        parts.sparkline(page.watch.rates(key, way), label),
        classes="flow",
    )


def _facts(
    page: Page, channel: Report, ledger: Report | None
) -> Iterable[tuple[str, Child]]:
    name, lag = channel["name"], channel["lag"]
    late = parts.number(seconds_text(lag), tone="warn" if lag > _LATE else "")
    yield "Lag", late
    half, most = (quantile_text(channel["settling"], part) for part in (0.5, 0.99))
    yield "Settled in", parts.number(f"p50 {half}, p99 {most}")
    waiting = f"{count_text(channel['in_memory'])}, {count_text(channel['unsettled'])}"
    yield (
        "In flight, unsettled",
        parts.link(page.href("messages", channel=name, state="pending"), waiting),
    )
    if ledger is not None:
        yield "Holes", _holes(page, name, ledger)
    failed = channel["failed"]
    shown = parts.number(count_text(failed), tone="bad" if failed else "")
    yield "Failed", parts.link(page.href("errors", channel=name), shown)
    yield "Source", _source(channel)


def _holes(page: Page, name: str, ledger: Report) -> Markup:
    tags = ledger["tags_with_holes"]
    text = "none"
    if tags:
        text = f"{count_text(tags)} tags, {span_text(ledger['hole_seconds'])}"
    shown = parts.number(text, tone="warn" if tags else "")
    return parts.link(page.href("coverage", channel=name), shown)


def _source(channel: Report) -> str:
    source = channel["source"]
    if "pi_channels" in source:
        told = f"{count_text(source['tags'])} tags"
        told += f", {source['open']} of {source['pi_channels']} PI channels"
        return f"{told}, {bytes_text(channel['bytes'])}"
    if source:
        return ", ".join(f"{k} {v}" for k, v in list(source.items())[:3])
    return f"{count_text(channel['received'])} messages"


def _parts_of(page: Page, below: Sequence[Report]) -> Markup | None:
    if not below:
        return None
    rows = [
        tag(
            "li",
            parts.link(
                page.href("graph", channel=each["name"]),
                each["name"].partition(".")[2],
            ),
            parts.number(rate_text(_messages(page, each["name"])), "msg/s"),
            parts.state_badge(channel_actions.state_of(each)),
        )
        for each in below
    ]
    noun = "sub-channel" if len(below) == 1 else "sub-channels"
    count = tag("summary", f"{len(below)} {noun}")
    return tag("details", count, tag("ul", *rows), open=len(below) <= 5)


def _messages(page: Page, name: str) -> float | None:
    return page.watch.rate(f"channel {name}", "received")


# The timeline


def _incidents(page: Page) -> Markup:
    is_all = page.query.get("incidents") == "all"
    other = parts.link(
        page.here(incidents=None if is_all else "all"),
        "The last ones" if is_all else "All that is kept",
        classes="button quiet",
    )
    title = parts.heading("What has happened", other)
    return join([title, timeline(page, _ALL if is_all else _FEW)])
