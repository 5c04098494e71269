"""Settings: what holds against what the file says; checked, planned, applied."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from pichannels.errors import PichannelsError
from pichannels.ui.pages import parts, tables
from pichannels.ui.pages.formats import count_text
from pichannels.ui.pages.fragment import Act
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page, Region
from pichannels.ui.pages.plans import check_told, differences_told, plan_told
from pichannels.ui.pages.settings_diff import texts_part
from pichannels.ui.pages.tables import Column
from pichannels.ui.roles import Role
from pichannels.ui.settings_files import Applied, Difference, Version

__all__ = ["SettingsPage", "build", "value_text"]

_LONGEST: Final = 300
_DEFAULT: Final = "default"

Row = Mapping[str, Any]


async def build(page: Page) -> None:
    """What differs, what can be done about it, what ran before, what holds."""
    await SettingsPage(page).build()


class SettingsPage:
    """The page, and what was found while somebody looks at it.

    Args:
        page: what it is built on.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._differences: list[Difference] | None = None
        self._changes: Mapping[str, Any] | None = None
        self._refused = ""
        self._told: Markup | None = None
        self._found: Region | None = None
        self._versions: Region | None = None
        self._texts: Region | None = None

    async def build(self) -> None:
        """Add the parts."""
        page = self._page
        page.on("compare", self._on_compare, Role.OPERATE)
        page.on("check", self._on_check, Role.OPERATE)
        page.on("plan", self._on_plan, Role.OPERATE)
        page.on("apply", self._on_apply, Role.ADMIN)
        page.on("roll-back", self._on_roll_back, Role.ADMIN)
        self._found = await page.add(self._file)
        self._versions = await page.add(self._history)
        self._texts = await page.add(partial(texts_part, page))
        await page.add(partial(_form, page))
        await page.add(partial(_rows, page))
        if page.may(Role.OPERATE) and page.link.settings is not None:
            page.begin(self._compare(), "comparing settings")

    async def _refresh(self) -> None:
        for region in (self._found, self._versions, self._texts):
            if region is not None:
                await region.refresh()

    # What the file says

    def _file(self) -> Markup:
        page = self._page
        path = page.link.settings
        head = parts.heading(
            "The file against what runs",
            page.action("Compare again", "compare"),
            page.action("Check", "check", title="Load the file, and look for lints"),
            page.action("Plan", "plan", title="What applying would change"),
            page.action("Apply …", "apply", kind="main"),
            page.cli("reload", "--plan"),
        )
        where = path.name if path else "on another machine"
        told = tag("p", where, classes="mono", title=str(path) if path else None)
        return join([head, told, self._difference(), self._told])

    def _difference(self) -> Markup:
        page = self._page
        if page.link.settings is None:
            return parts.note("settings of other machines are compared there")
        if not page.may(Role.OPERATE):
            return parts.note("comparing with the file takes the role operate")
        if self._refused:
            return parts.error(self._refused)
        if self._differences is None:
            return parts.loading("the file is loaded and compared")
        changes = self._changes
        if changes is None or not (changes["channels"] or changes["restart"]):
            return differences_told(self._differences, value_text)
        differing = self._differences
        return join(
            [
                differences_told(differing, value_text) if differing else None,
                plan_told("What applying would change", changes),
            ]
        )

    async def _compare(self) -> None:
        page = self._page
        try:
            who = await page.current()
            self._differences = await page.console.settings.compare(who, page.instance)
            self._changes = await page.console.settings.plan(who, page.instance)
            self._refused = ""
        except PichannelsError as exc:
            self._differences, self._refused = None, f"the file cannot be used: {exc}"
        await self._refresh()

    async def _waiting(self, text: str) -> None:
        self._told = parts.loading(text)
        await self._refresh()

    async def _on_compare(self, act: Act) -> None:
        self._differences, self._refused = None, ""
        await self._refresh()
        await self._compare()

    async def _on_check(self, act: Act) -> None:
        page = self._page
        await self._waiting("the file is checked")
        try:
            found = await page.console.settings.check(
                await page.current(), page.instance
            )
            self._told = check_told(found)
        except PichannelsError as exc:
            self._told = parts.error(str(exc))
        await self._refresh()

    async def _on_plan(self, act: Act) -> None:
        await self._waiting("it is worked out what would change")
        found = await self._planned()
        if found is not None:
            self._told = plan_told("Applying would change", found)
        await self._refresh()

    async def _planned(self) -> Mapping[str, Any] | None:
        """What applying would change; None where the file is refused."""
        page = self._page
        try:
            found: Mapping[str, Any] = await page.console.settings.plan(
                await page.current(), page.instance
            )
        except PichannelsError as exc:
            self._told = parts.error(f"the file is refused: {exc}")
            return None
        return found

    # Applying

    async def _on_apply(self, act: Act) -> None:
        page = self._page
        await self._waiting("it is worked out what would change")
        plan = await self._planned()
        if plan is None:
            await self._refresh()
            return
        self._told = None
        await self._refresh()
        box = tag("input", type="checkbox", name="back", checked=True)
        answer = await page.dialog.ask(
            "Apply the settings file",
            plan_told("This changes", plan),
            tag("label", box, " put the last version back where a channel fails"),
            verb="Apply",
            wide=True,
        )
        if answer is None:
            return
        await self._waiting("the settings are applied")
        roll_back = answer.fields.get("back") == "on"
        apply, who = page.console.settings.apply, await page.current()
        await self._applied(apply(who, page.instance, roll_back=roll_back))

    async def _on_roll_back(self, act: Act) -> None:
        page, version = self._page, act.data["version"]
        text = (
            "The settings files are written as they were then, and take effect. What"
            " they are now is lost where it was never applied."
        )
        title = f"Put back the version of {act.data['kept']}"
        if not await page.dialog.confirm(title, text, verb="Put it back", danger=True):
            return
        await self._waiting("the version is put back")
        put_back, who = page.console.settings.roll_back, await page.current()
        await self._applied(put_back(who, page.instance, version))

    async def _applied(self, work: Awaitable[Applied]) -> None:
        try:
            self._told = _outcome(await work)
        except PichannelsError as exc:
            self._told = parts.error(str(exc))
        self._page.console.data.forget()
        self._page.watch.ask_soon()
        await self._compare()

    # What was applied

    async def _history(self) -> Markup:
        page = self._page
        head = parts.heading("Versions that ran")
        if page.link.settings is None:
            return join([head, parts.note("they are kept on the instance's machine")])
        who = await page.current()
        found = await page.console.settings.versions(who, page.instance)
        newest = found[0].id if found else ""
        shown = tables.table(
            page,
            [
                Column("Apply", _apply, number=True),
                Column("Kept", lambda one: page.time(one.kept)),
                Column("Version", lambda one: one.id.partition("-")[2], classes="mono"),
                Column("", lambda one: self._button(one, newest)),
            ],
            found,
            key=lambda one: one.id,
            label="versions of the settings",
            nothing="no version was kept yet",
        )
        return join([head, shown])

    def _button(self, one: Version, newest: str) -> Child:
        if one.id == newest:
            return tag("span", "the last that ran")
        data = {"version": one.id, "kept": one.kept}
        return self._page.action("Roll back …", "roll-back", data, kind="danger")


def _apply(one: Version) -> str:
    return count_text(one.apply) if one.apply else "–"


def _outcome(found: Applied) -> Markup:
    """What came of applying."""
    lines: list[Child] = []
    if found.error:
        lines.append(parts.error(f"refused: {found.error}"))
    elif found.report["restart"]:
        lines.append(parts.note("nothing was changed: a restart is needed", "warn"))
    elif found.report["failures"]:
        lines.append(parts.error("some channels could not be changed"))
    else:
        lines.append(parts.badge("applied", "good"))
    if found.rolled_back:
        lines.append(parts.note(f"version {found.rolled_back} was put back", "warn"))
    if found.report is not None:
        lines.append(plan_told("What was changed", found.report))
    return join(lines)


# What holds


def _form(page: Page) -> Markup:
    query = page.query
    choices = [("", "all"), ("given", "given in the settings"), (_DEFAULT, "defaults")]
    return tables.filters(
        page,
        parts.text_field("q", "Name or value has", query.get("q", ""), size=28),
        parts.select("origin", "From", choices, query.get("origin", "")),
        verb="Show",
        stay=("before", "after"),
    )


async def _rows(page: Page) -> Markup:
    who = await page.current()
    found = await page.console.data.settings(who, page.instance)
    rows = [row for row in found["rows"] if _fits(row, page.query)]
    title = f"What holds: {count_text(len(rows))} of {count_text(len(found['rows']))}"
    shown = tables.table(
        page,
        [
            Column("Setting", lambda row: row["name"], classes="mono"),
            Column("Value", lambda row: _value(row["value"]), classes="wide mono"),
            Column("From", lambda row: row["origin"]),
        ],
        rows,
        key=lambda row: str(row["name"]),
        label="settings",
        nothing="no setting fits",
    )
    return join([parts.heading(title, page.cli("print-settings")), shown])


def _fits(row: Row, query: Mapping[str, str]) -> bool:
    text = query.get("q", "").strip().lower()
    if text and text not in f"{row['name']} {value_text(row['value'])}".lower():
        return False
    origin = query.get("origin")
    return not origin or (row["origin"] == _DEFAULT) == (origin == _DEFAULT)


def _value(value: Any) -> Markup:
    text = value_text(value)
    cut = f"{text[:_LONGEST]}…" if len(text) > _LONGEST else text
    return tag("span", cut, title=text if cut != text else None)


def value_text(value: Any) -> str:
    """A value as settings write it, in short."""
    if isinstance(value, str):
        return value or '""'
    if value is None:
        return "none"
    return msgspec.json.encode(value).decode()
