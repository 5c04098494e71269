"""What was begun and takes a while: how far it is, what came of it, what was cut."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from pichannels.ui.commands import ACTIONS, RESUMED, CountNeeded
from pichannels.ui.operations import Operation
from pichannels.ui.pages import jobs, parts, tables
from pichannels.ui.pages.formats import count_text
from pichannels.ui.pages.fragment import Act
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.outcomes import outcome_text
from pichannels.ui.pages.page import Page, Region
from pichannels.ui.pages.tables import Column
from pichannels.ui.roles import Role

__all__ = ["build"]

_SHOWN: Final = 100
_LEFT: Final = {
    "replay": "It goes on behind the last message that was done. The one that was under"
    " way when it was cut may run twice.",
    "dead-redrive": "What has settled is no dead letter any more; what failed again"
    " runs once more.",
    "dead-discard": "What was given up already stays that.",
    "prune": "What was deleted already is gone.",
}
"""What is done twice where something goes on."""

_TWICE: Final = {
    "replay": "All of it runs again: what was replayed already is replayed twice.",
    "send": "All of it is sent again: the other channel gets twice what it has.",
    "import": "All of it is imported again: what is stored already is there twice.",
    "export": "The file is written anew, where that was asked for.",
    "dead-redrive": _LEFT["dead-redrive"],
    "dead-discard": _LEFT["dead-discard"],
    "prune": _LEFT["prune"],
}
"""What is done twice where something begins again."""


async def build(page: Page) -> None:
    """The operations, and the backfill jobs, which the instance keeps itself."""
    regions: list[Region] = []

    async def again() -> None:
        for region in regions:
            await region.refresh()

    _install(page)
    jobs.install(page, again)
    await page.add(partial(_operations, page), live=True)
    regions.append(await page.add(partial(jobs.jobs_part, page)))


def _operations(page: Page) -> Markup:
    """All that are known, the newest first."""
    mask = page.console.data.mask_for(page.who)
    known = page.console.commands.operations.all()
    found = [each.seen(mask) for each in known if each.instance == page.instance]
    shown = tables.table(
        page,
        [
            Column("Begun", lambda one: page.time(one.started), classes="nowrap"),
            Column("Operation", lambda one: one.action),
            Column("State", _state),
            Column("So far", _progress),
            Column("Result", outcome_text, classes="wide"),
            Column("By", lambda one: one.user),
            Column("", lambda one: _actions(page, one)),
        ],
        found[:_SHOWN],
        key=lambda one: one.id,
        label="operations",
        nothing="nothing that takes a while was begun here",
    )
    told = "they are remembered over restarts of the pages and of the instance"
    head = parts.heading("Operations", tag("span", told), page.api("/operations"))
    return join([head, shown])


def _state(one: Operation) -> Child:
    shown = parts.state_badge(one.state)
    return join([shown, tag("small", "went on")]) if one.continued else shown


def _progress(one: Operation) -> Child:
    numbers = [v for v in one.progress.values() if isinstance(v, int | float)]
    # Of a report the first number is how many are meant, the second how many are done.
    done = one.progress.get("replayed", one.progress.get("settled"))
    if done is None and numbers:
        done = numbers[0]
    if one.state == "done" and one.total is not None:
        done = one.total
    if done is None:
        return None if one.total is None else f"of {count_text(one.total)}"
    if not one.total:
        return count_text(done)
    label = f"{count_text(done)} of {count_text(one.total)}"
    return parts.meter(done / one.total, label, tone="good")


def _actions(page: Page, one: Operation) -> Child:
    data = {"id": one.id}
    if one.state == "running":
        can = one.can_cancel
        return page.action("Cancel", "cancel-operation", data) if can else None
    if not page.may(ACTIONS[one.action].role):
        return None
    again = page.action("Begin again", "repeat-operation", data)
    if one.is_broken_off and one.action in RESUMED:
        return tag(
            "div",
            page.action("Continue", "resume-operation", data, kind="main"),
            again,
            classes="actions",
        )
    return tag("div", again, classes="actions")


# What can be done


def _install(page: Page) -> None:
    commands = page.console.commands

    async def go_on(act: Act) -> None:
        one = commands.operations.get(act.data["id"])
        text = _LEFT.get(one.action, "")
        await _begin(page, commands.resume, one, "Continue", text)

    async def repeat(act: Act) -> None:
        one = commands.operations.get(act.data["id"])
        text = _TWICE.get(one.action, "It is done once more.")
        await _begin(page, commands.repeat, one, "Begin again", text)

    page.on("resume-operation", go_on, Role.OPERATE)
    page.on("repeat-operation", repeat, Role.OPERATE)


async def _begin(page: Page, begin: Any, one: Operation, verb: str, text: str) -> None:
    title, count = f"{verb}: {one.action}", None
    if one.total is None or one.total <= 1:
        # What concerns many asks for the typed count below.
        if not await page.dialog.confirm(title, text, verb=verb):
            return
    while True:
        try:
            found = await begin(await page.current(), one.id, count)
        except CountNeeded as exc:
            count = exc.count
            if count == 0:
                page.toasts.tell(f"{title}: there is nothing left to do", "off")
                return
            if not await page.dialog.confirm(title, text, count=count, verb=verb):
                return
        else:
            page.tell_end(found, title)
            return
