"""Sinks and stores: where messages go, and where they are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

from pichannels.control.deadletters import Listed
from pichannels.errors import PichannelsError
from pichannels.ui.content import hidden_error
from pichannels.ui.pages import channel_actions, parts
from pichannels.ui.pages.formats import count_text, rate_text, took_text
from pichannels.ui.pages.fragment import Act
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page
from pichannels.ui.pages.spreads import quantile_text
from pichannels.ui.pages.stores import Stores
from pichannels.ui.pages.tables import Column, table
from pichannels.ui.roles import Role

__all__ = ["build"]

Report = Mapping[str, Any]

_WRITTEN: Final = "written"


async def build(page: Page) -> None:
    """The sinks, the one that was chosen, and the stores."""
    channel_actions.install(page)
    _install(page)
    stores = Stores(page)
    stores.install()
    await page.add(partial(_sinks, page), live=True)
    if page.query.get("sink"):
        await page.add(partial(_chosen, page), live=True)
    await page.add(stores.journal, live=True)
    await page.add(stores.table, live=True)


def _sinks(page: Page) -> Markup:
    status = page.watch.status
    title = parts.heading("Sinks", page.cli("sink", "list"))
    if status is None:
        return join([title, parts.error(page.watch.error)])
    shown = table(
        page,
        _columns(page, status),
        status["sinks"],
        key=lambda sink: sink["name"],
        label="sinks",
        chosen=page.query.get("sink", ""),
        nothing="no node of this project is a sink",
    )
    return join([title, shown])


def _columns(page: Page, status: Report) -> list[Column[Report]]:
    return [
        Column(
            "Sink", lambda sink: parts.link(page.here(sink=sink["name"]), sink["name"])
        ),
        Column("Kind", lambda sink: sink["kind"]),
        Column("Connection", lambda sink: _connection(sink, status)),
        Column("Values", lambda sink: _rate(page, sink), number=True),
        Column("Written", lambda sink: _count(sink, _WRITTEN), number=True),
        Column("In flight", lambda sink: count_text(sink["in_flight"]), number=True),
        Column("Ack, p50", lambda s: took_text(s["acks"]["p50"]), number=True),
        Column("Ack, p99", lambda s: took_text(s["acks"]["p99"]), number=True),
        Column("Retries", lambda sink: count_text(sink["retries"]), number=True),
        Column("Failed writes", lambda sink: _bad(sink, "errors"), number=True),
        Column("Failed values", lambda sink: _bad(sink, "failed"), number=True),
    ]


def _channel_of(sink: Report, status: Report) -> Report | None:
    """The outermost channel of a sink, whose messages are settled with it."""
    top = sink["name"].partition(".")[0]
    return next((each for each in status["channels"] if each["name"] == top), None)


def _trouble(sink: Report, status: Report) -> str:
    found = [e["reason"] for e in status["troubles"] if e["part"] == sink["name"]]
    return "; ".join(found)


def _connection(sink: Report, status: Report) -> Markup:
    trouble = _trouble(sink, status)
    if sink["is_paused"]:
        return parts.state_badge("paused", title="messages wait until it is resumed")
    if trouble:
        return parts.state_badge("not connected", title=trouble)
    connected = sink["statistics"].get("connected")
    if connected is None:
        return parts.state_badge("ready")
    if connected:
        return parts.state_badge("connected")
    # Most connect when there is something to write.
    return parts.badge("not yet", "off")


def _rate(page: Page, sink: Report) -> Markup:
    key = f"sink {sink['name']}"
    name = _WRITTEN if _WRITTEN in sink["statistics"] else "processed"
    return parts.number(rate_text(page.watch.rate(key, name)), "/s")


def _count(sink: Report, name: str) -> str:
    value = sink["statistics"].get(name)
    return "–" if value is None else count_text(value)


def _bad(sink: Report, name: str) -> Markup:
    value = sink["statistics"].get(name)
    text = "–" if value is None else count_text(value)
    return parts.number(text, tone="bad" if value else "")


# The one that was chosen


async def _chosen(page: Page) -> Markup:
    name, status = page.query["sink"], page.watch.status
    if status is None:
        return Markup("")
    found = [each for each in status["sinks"] if each["name"] == name]
    if not found:
        return parts.error(f"there is no sink {name}")
    sink, channel = found[0], _channel_of(found[0], status)
    away = parts.link(
        page.here(sink=None), parts.icon("close"), "Close", classes="button quiet"
    )
    key = f"sink {name}"
    count = _WRITTEN if _WRITTEN in sink["statistics"] else "processed"
    curve = parts.sparkline(
        page.watch.rates(key, count), "values written per second", width=600, height=48
    )
    return parts.card(
        join([tag("span", name), away]),
        tag("div", _connection(sink, status), _rate(page, sink), classes="actions"),
        _told(sink, status),
        curve,
        parts.facts(_facts(page, sink, channel)),
        await _last_error(page, sink),
        await _last_letter(page, sink),
        _actions(page, sink, channel),
        classes="sink",
    )


def _told(sink: Report, status: Report) -> Markup | None:
    """Why it takes nothing."""
    trouble = _trouble(sink, status)
    return parts.note(trouble, "bad") if trouble else None


def _facts(
    page: Page, sink: Report, channel: Report | None
) -> Iterable[tuple[str, Child]]:
    yield "Messages taken", count_text(sink["processed"])
    yield "In flight", count_text(sink["in_flight"])
    yield "Retries", count_text(sink["retries"])
    for name, value in sink["statistics"].items():
        yield name.replace("_", " ").capitalize(), count_text(value)
    half, most = (took_text(sink["acks"][name]) for name in ("p50", "p99"))
    yield "Acknowledged in", f"p50 {half}, p99 {most}"
    if channel is not None:
        times = [quantile_text(channel["settling"], part) for part in (0.5, 0.99)]
        yield "Settled in", f"p50 {times[0]}, p99 {times[1]}"
    where = parts.link(
        page.href("graph", channel=sink["name"].partition(".")[0], node=sink["name"]),
        "in the channel graph",
    )
    yield "Place", where


async def _last_error(page: Page, sink: Report) -> Markup | None:
    """What it failed with last, also where it went well when it was tried again."""
    if not (page.may(Role.DATA) and sink["error"]):
        return None
    mask = page.console.data.mask_for(await page.current())
    head = tag(
        "div",
        parts.badge("last error", "bad"),
        page.time(sink["error_time"]),
        classes="actions",
    )
    return tag("div", head, tag("pre", hidden_error(sink["error"], mask)))


async def _last_letter(page: Page, sink: Report) -> Markup | None:
    if not page.may(Role.DATA):
        return None
    top = sink["name"].partition(".")[0]
    try:
        who = await page.current()
        wanted = Listed(channel=top, node=sink["name"], count=1)
        found = await page.console.data.dead_letters(who, page.instance, wanted)
    except PichannelsError as exc:
        return parts.note(f"the last dead letter is not known: {exc}")
    if not found:
        return None
    way = parts.link(
        page.href("errors", channel=top, node=sink["name"]), "All that failed here"
    )
    head = tag(
        "div",
        parts.badge("last dead letter", "bad"),
        page.time(found[0]["timestamp"]),
        way,
        classes="actions",
    )
    return tag("div", head, tag("pre", str(found[0]["error"])))


def _actions(page: Page, sink: Report, channel: Report | None) -> Markup:
    what, label = ("resume", "Resume") if sink["is_paused"] else ("pause", "Pause")
    data = {"what": what, "sink": sink["name"]}
    button = page.action(f"{label} this sink", "sink", data)
    copied = parts.copy_button(page.command("sink", what, sink["name"]))
    told = "Messages wait for a sink that is paused, and nothing is lost."
    own = tag("div", button, copied, classes="actions")
    if channel is None:
        return join([parts.note(told), own])
    whole = parts.note(f"The whole channel, {channel['name']}:")
    buttons = channel_actions.buttons(page, channel)
    return join([parts.note(told), own, whole, buttons])


def _install(page: Page) -> None:
    """Take the clicks that pause and resume a sink."""

    async def command(act: Act) -> None:
        what, name = act.data["what"], act.data["sink"]
        if what in ("pause", "resume"):
            told = f"{name}: {what} is done"
            await page.run(f"{what}-sink", {"sink": name}, told)

    page.on("sink", command, Role.OPERATE)
