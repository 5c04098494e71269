"""The journal and the message stores: how full, how old, how quick, what is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pichannels import clock
from pichannels.errors import PichannelsError, UsageError
from pichannels.ui.pages import parts
from pichannels.ui.pages.formats import (
    bytes_text,
    count_text,
    seconds_text,
    span_text,
)
from pichannels.ui.pages.fragment import Act
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page
from pichannels.ui.pages.spreads import quantile_text
from pichannels.ui.pages.tables import Column, table
from pichannels.ui.roles import Role
from pichannels.ui.searching import MessagesWanted

__all__ = ["Stores"]

Report = Mapping[str, Any]

_DAY: Final = 86_400.0
_KNOWN: Final = 60.0
"""Seconds for which the oldest message of a store is not asked for again."""
_STATES: Final = ("", "processed", "dropped", "rejected", "error")


class Stores:
    """The stores of an instance, on one page.

    Args:
        page: where they are shown.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._oldest: dict[str, tuple[float, str]] = {}

    def install(self) -> None:
        """Take the clicks."""
        self._page.on("prune", self._prune, Role.ADMIN)
        self._page.on("verify", self._verify, Role.OPERATE)

    # The journal

    async def journal(self) -> Markup:
        """The file that all accepted messages go through."""
        page, status = self._page, self._page.watch.status
        check = page.action("Verify the journal", "verify")
        title = parts.heading("Stores", check, page.cli("store", "verify"))
        title = tag("div", title, id="stores")
        if status is None or status["journal"] is None:
            return join([title, parts.error("the journal is not open")])
        journal = status["journal"]
        try:
            who = await page.current()
            found = await page.console.data.settings(who, page.instance)
            rows = {each["name"]: each["value"] for each in found["rows"]}
        except PichannelsError:
            rows = {}
        shown = [
            parts.card("Size", parts.facts(_size(journal))),
            parts.card("Commits", parts.facts(_commits(journal))),
            parts.card(
                parts.link(page.href("settings"), "Policy and retention"),
                parts.facts(_policy(rows)),
            ),
        ]
        return join([title, tag("div", *shown, classes="cards")])

    # The stores

    async def table(self) -> Markup:
        """What each channel keeps."""
        page = self._page
        who = await page.current()
        stores = await page.console.data.stores(who, page.instance)
        oldest = {each["channel"]: await self._age(each["channel"]) for each in stores}
        columns: list[Column[dict[str, Any]]] = [
            Column("Channel", lambda each: _channel(page, each["channel"])),
            Column("Store", lambda each: each["store"]),
            Column("Kept in", lambda each: "journal" if each["journal"] else "its own"),
            Column("Messages", lambda each: count_text(each["messages"]), number=True),
            Column("Oldest", lambda each: self._time(oldest[each["channel"]])),
            Column("", lambda each: self._actions(each["channel"])),
        ]
        return table(
            page,
            columns,
            stores,
            key=lambda each: str(each["channel"]),
            label="message stores",
            nothing="no channel keeps its messages in a store",
        )

    async def _age(self, channel: str) -> str:
        """When the oldest message of a channel was made; asked for now and then."""
        known = self._oldest.get(channel)
        if known is not None and clock.monotonic() - known[0] < _KNOWN:
            return known[1]
        page = self._page
        wanted = MessagesWanted(channel=channel, oldest_first=True, count=1)
        try:
            who = await page.current()
            found = await page.console.data.messages(who, page.instance, wanted)
            time = found.messages[0].timestamp if found.messages else ""
        except PichannelsError:
            time = ""
        self._oldest[channel] = (clock.monotonic(), time)
        return time

    def _time(self, time: str) -> Child:
        return self._page.time(time) if time else "–"

    def _actions(self, channel: str) -> Markup:
        page = self._page
        prune = page.action("Prune …", "prune", {"channel": channel})
        copied = page.cli("store", "prune", "--channel", channel, "--age", "7d")
        return tag("div", prune, copied, classes="actions")

    # What is done

    async def _prune(self, act: Act) -> None:
        page, channel = self._page, act.data["channel"]
        asked = await page.dialog.ask(
            f"Prune the store of {channel}",
            tag(
                "p",
                "Deletes settled messages for good. What is not settled stays."
                " How many there are is counted before.",
            ),
            parts.text_field(
                "days",
                "Older than, days",
                "7",
                inputmode="decimal",
                required=True,
                autofocus=True,
            ),
            parts.select(
                "state", "Only in state", [(e, e or "any settled") for e in _STATES]
            ),
            verb="Count them",
        )
        if asked is None:
            return
        age = _days(asked.text("days")) * _DAY
        given: dict[str, Any] = {"channel": channel, "age": age}
        if asked.text("state"):
            given["state"] = asked.text("state")
        self._oldest.clear()
        await page.bulk(
            "prune",
            given,
            f"Prune the store of {channel}",
            f"Messages older than {span_text(age)} are deleted for good.",
            verb="Delete them",
            danger=True,
        )

    async def _verify(self, act: Act) -> None:
        page = self._page
        commands, who = page.console.commands, await page.current()
        begun = await commands.begin(who, page.instance, "verify")
        page.begin(self._tell_verified(begun.id), "verifying")
        page.toasts.tell("the journal is being verified", "busy")

    async def _tell_verified(self, id: str) -> None:
        ended = await self._page.console.commands.operations.wait(id)
        if ended.state != "done":
            self._page.toasts.tell(f"verify: {ended.error or ended.state}", "bad")
            return
        problems = ended.report["problems"]
        if problems:
            self._page.dialog.show(
                "The journal has problems", tag("pre", "\n".join(map(str, problems)))
            )
        else:
            self._page.toasts.tell("the journal is whole", "good")


def _days(text: str) -> float:
    try:
        found = float(text)
    except ValueError as exc:
        raise UsageError(f"{text!r} is no number of days") from exc
    if not 0 <= found < 1e6:
        raise UsageError("a number of days is 0 or more")
    return found


def _channel(page: Page, name: str) -> Markup:
    return parts.link(page.href("messages", channel=name), name)


def _size(journal: Report) -> Iterable[tuple[str, Child]]:
    used, budget = journal["used_bytes"], max(1, journal["budget_bytes"])
    label = f"{used / budget:.0%} of {bytes_text(budget)}"
    yield "Fill", parts.meter(used / budget, label)
    yield "Messages", bytes_text(used)
    if journal["file_bytes"]:
        yield "File", bytes_text(journal["file_bytes"])
    unsettled = sum(journal["unsettled"].values())
    yield "Unsettled", count_text(unsettled)
    state = (
        parts.badge("full", "bad")
        if journal["is_full"]
        else parts.badge("takes more", "good")
    )
    yield "State", state


def _commits(journal: Report) -> Iterable[tuple[str, Child]]:
    yield "p50", quantile_text(journal["commit_seconds"], 0.5)
    yield "p99", quantile_text(journal["commit_seconds"], 0.99)
    yield "Worst", seconds_text(journal["worst_commit"])
    yield "Commits", count_text(journal["commits"])
    waiting = f"{count_text(journal['waiting'])} callers"
    yield "Waiting", f"{waiting}, {seconds_text(journal['commit_lag'])}"
    failures = journal["failures"]
    yield "Failed", parts.number(count_text(failures), tone="bad" if failures else "")
    if journal["last_error"]:
        yield "Last error", parts.number(journal["last_error"], tone="bad")


def _policy(rows: Report) -> Iterable[tuple[str, Child]]:
    def of(key: str) -> Any:
        return rows.get(f"JOURNAL[{key!r}]")

    if not rows:
        yield "Settings", "not known"
        return
    safe = "power cuts" if of("durability") == "full" else "the end of the process"
    yield "What is accepted survives", safe
    yield "When full", "sources wait; nothing is deleted early"
    yield "Settled messages", f"{of('retention_days'):g} d"
    yield "At most", bytes_text(of("retention_bytes") or 0)
    yield "Dead letters", f"{of('dead_letter_days'):g} d"
    for state, days in (of("state_days") or {}).items():
        yield f"Those {state}", f"{days:g} d"
