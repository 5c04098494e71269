"""How much PI is asked for repair and backfill: looked at, tried out, changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pichannels.control.budgets import ready_in
from pichannels.ui.pages import parts
from pichannels.ui.pages.calm import Calm
from pichannels.ui.pages.formats import number_text, span_text
from pichannels.ui.pages.fragment import Act
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page, Region
from pichannels.ui.roles import Role

__all__ = ["BudgetPart"]

_GOOD: Final = 2.0

Report = Mapping[str, Any]


class BudgetPart:
    """The budget of each PI server, with a slider for who may change it.

    Args:
        page: where it is shown.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._chosen: dict[str, float] = {}
        self._written = Calm(self._render, _GOOD)
        self._region: Region | None = None

    async def add(self) -> None:
        """Show it, and take its clicks."""
        page = self._page
        page.on("budget-look", self._look, Role.OPERATE)
        page.on("budget", self._change, Role.OPERATE)
        self._region = await page.add(self._written, live=True)

    # What is shown

    async def _render(self) -> Markup:
        page = self._page
        status, who = page.watch.status, await page.current()
        names = [one["name"] for one in status["pi_servers"]] if status else []
        found = [
            await page.console.data.budget(who, page.instance, name) for name in names
        ]
        if not found:
            return Markup("")
        head = parts.heading(
            "PI requests for repair and backfill", page.cli("backfill", "budget")
        )
        told = "also for comparing and for trends of the past; live values go first"
        shown = [self._card(one) for one in found]
        return join([head, tag("p", told), tag("div", *shown, classes="cards")])

    def _card(self, found: Report) -> Markup:
        server = found["server"]
        title = join([tag("span", server["name"]), _state(found)])
        facts: list[tuple[str, Child]] = [
            ("Used of late", f"{number_text(server['history_used'])} requests/s"),
            ("Allowed", _allowed(server)),
            ("The server may be asked", f"{server['full_rate']:g} requests/s"),
        ]
        facts += [(f"Job {job['id']}", _eta(job["eta"])) for job in found["jobs"]]
        slider = self._slider(found) if self._page.may(Role.OPERATE) else None
        key = f"budget-{server['name']}"
        return parts.card(title, parts.facts(facts), slider, classes="budget", key=key)

    def _slider(self, found: Report) -> Markup:
        server = found["server"]
        name, most = server["name"], server["full_rate"]
        chosen = self._chosen.get(name, server["history_rate"] or most)
        field = tag(
            "input",
            type="range",
            name="rate",
            min="1",
            max=f"{most:g}",
            step="1",
            value=f"{chosen:g}",
            data={"act": "budget-look", "server": name},
        )
        label = tag("span", f"Requests/s for repair: {chosen:g} of {most:g}")
        buttons = [
            self._button(f"Give {chosen:g}/s", name, f"{chosen:g}", "main"),
            self._button("No limit", name, "", ""),
            self._pause(server),
            self._page.cli(
                "backfill", "budget", "--server", name, "--rate", f"{chosen:g}"
            ),
        ]
        return tag(
            "div",
            tag("label", label, field, classes="field"),
            tag("p", _meaning(found, chosen), classes="meaning"),
            tag("div", *buttons, classes="actions"),
            data={"fields": "1"},
        )

    def _button(self, label: str, server: str, rate: str, kind: str) -> Child:
        data = {"server": server, "rate": rate}
        return self._page.action(label, "budget", data, kind=kind)

    def _pause(self, server: Report) -> Child:
        is_paused = server["history_paused"]
        data = {"server": server["name"], "paused": "no" if is_paused else "yes"}
        label = "Resume repair" if is_paused else "Pause repair"
        return self._page.action(label, "budget", data)

    # What is done

    async def _look(self, act: Act) -> None:
        self._chosen[act.data["server"]] = float(act.text("rate"))
        await self._again()

    async def _change(self, act: Act) -> None:
        name = act.data["server"]
        wanted: dict[str, Any] = {"server": name}
        if "paused" in act.data:
            wanted["paused"] = act.data["paused"] == "yes"
        else:
            rate = act.data.get("rate")
            wanted["rate"] = float(rate) if rate else None
        found = await self._page.run("pi-budget", wanted, "the budget was changed")
        self._chosen[name] = found["server"]["history_rate"] or self._chosen.get(
            name, found["server"]["full_rate"]
        )
        await self._again()

    async def _again(self) -> None:
        self._written.forget()
        if self._region is not None:
            await self._region.refresh()


def _state(found: Report) -> Markup:
    if found["server"]["history_paused"]:
        return parts.badge("repair paused", "warn", "paused")
    if found["is_short"]:
        return parts.badge("uses all it may", "busy")
    return parts.badge("needs no more", "good")


def _allowed(server: Report) -> str:
    own = server["history_rate"]
    return "all that live values leave" if own is None else f"{own:g} requests/s"


def _eta(eta: float | None) -> str:
    return "pace not known yet" if eta is None else f"ready in {span_text(eta)}"


def _meaning(found: Report, chosen: float) -> str:
    """What that many requests would mean for the jobs that run."""
    used, is_short = found["server"]["history_used"], found["is_short"]
    if not found["jobs"]:
        return "No job runs; holes of lost connections are read with it."
    told = []
    for job in found["jobs"]:
        eta = ready_in(job["eta"], used, chosen, is_short)
        if eta is not None:
            told.append(f"{job['id']} ready in about {span_text(eta)}")
    if not told:
        return "The pace of the jobs is not known yet."
    more = chosen > used and not is_short
    why = ": it asks no more than now, so more does not make it faster" if more else ""
    return f"With {chosen:g}/s: {', '.join(told)}{why}."
