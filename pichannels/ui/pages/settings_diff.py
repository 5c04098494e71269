"""Texts of settings files, one version against another, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pichannels.ui.pages import parts, tables
from pichannels.ui.pages.formats import count_text, time_text
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page
from pichannels.ui.roles import Role
from pichannels.ui.settings_files import Version
from pichannels.ui.settings_texts import FILE, DiffLine, FileDiff

__all__ = ["texts_part"]

_MARKS: Final = {"added": "+", "removed": "\u2212", "same": "", "gap": "\u22ee"}


async def texts_part(page: Page) -> Markup:
    """Which two to compare, and what differs; for administrators."""
    if page.link.settings is None or not page.may(Role.ADMIN):
        return Markup("")
    who = await page.current()
    kept = await page.console.settings.versions(who, page.instance)
    if not kept:
        return Markup("")
    ids = {FILE, *(one.id for one in kept)}
    before, after = (
        chosen if (chosen := page.query.get(name, "")) in ids else usual
        for name, usual in (("before", kept[0].id), ("after", FILE))
    )
    found = await page.console.settings.text_diff(who, page.instance, before, after)
    head = parts.heading("Texts of the files")
    return join([head, _form(page, kept, before, after), *map(_file, found)])


def _form(page: Page, kept: Sequence[Version], before: str, after: str) -> Markup:
    choices = [(one.id, _name(page, one)) for one in kept]
    choices[0] = (choices[0][0], f"running: {choices[0][1]}")
    choices.append((FILE, "the files as they are now"))
    return tables.filters(
        page,
        parts.select("before", "From", choices, before),
        parts.select("after", "To", choices, after),
        verb="Compare",
        stay=("q", "origin"),
    )


def _name(page: Page, one: Version) -> str:
    apply = f"apply {one.apply}, " if one.apply else ""
    return f"{apply}{time_text(one.kept, page.zone)[:16]} ({one.id[-6:]})"


def _file(one: FileDiff) -> Markup:
    name = tag("span", Path(one.path).name, classes="mono", title=one.path)
    if not one.lines:
        return parts.card(join([name, parts.badge("the same", "good")]))
    counts = f"+{count_text(one.added)}  \u2212{count_text(one.removed)}"
    head = join([name, tag("span", counts, classes="num")])
    rows = [_line(line) for line in one.lines]
    table = tag("table", tag("tbody", *rows), aria_label=f"what differs in {one.path}")
    shown = tag("div", table, classes="scroll texts", tabindex="0", role="group")
    return parts.card(head, shown)


def _line(line: DiffLine) -> Markup:
    numbers: list[Child] = [
        tag("td", "" if number is None else str(number), classes="num")
        for number in (line.before, line.after)
    ]
    kind = {"added": "ins", "removed": "del"}.get(line.kind, "span")
    mark = tag("td", _MARKS[line.kind], classes="mark")
    said = tag("td", tag(kind, line.text), classes="mono")
    return tag("tr", *numbers, mark, said, classes=line.kind)
