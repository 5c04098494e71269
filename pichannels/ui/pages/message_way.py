"""The way of a message through the nodes, and what differs between any two steps."""

from __future__ import annotations

from typing import Any, NamedTuple

from pichannels.ui.pages import message_texts, parts, tables
from pichannels.ui.pages.formats import count_text, took_text
from pichannels.ui.pages.fragment import Act
from pichannels.ui.pages.markup import Child, Markup, tag
from pichannels.ui.pages.page import Page, Region
from pichannels.ui.roles import Role
from pichannels.ui.tracing import WayReport, WayStep

__all__ = ["Way"]


class _Point(NamedTuple):
    """A moment of the way: what came to a node, or what left it.

    Attributes:
        key: tells it from others.
        name: for people.
        message: `content_type`, `meta` and `payload` of the first message there.
    """

    key: str
    name: str
    message: dict[str, Any]


class Way:
    """The way of the message that the page shows; empty until somebody asks for it.

    Args:
        page: the page.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._report: WayReport | None = None
        self._is_running = False
        self._one = ""
        self._other = ""
        self._region: Region | None = None
        self._install()

    async def add(self) -> None:
        """Add the part where it is shown."""
        self._region = await self._page.add(self._render)

    async def _refresh(self) -> None:
        if self._region is not None:
            await self._region.refresh()

    def _install(self) -> None:
        async def trace(act: Act) -> None:
            self._is_running = True
            await self._refresh()
            try:
                self._report = await self._page.console.tracer.trace(
                    await self._page.current(),
                    self._page.instance,
                    act.data["at"],
                    act.data["id"],
                )
                self._choose()
            finally:
                self._is_running = False
                await self._refresh()

        async def compare(act: Act) -> None:
            self._one, self._other = act.text("one"), act.text("other")
            await self._refresh()

        async def step(act: Act) -> None:
            node = act.data["node"]
            self._one, self._other = f"in {node}", f"out {node}"
            await self._refresh()

        self._page.on("trace", trace, Role.OPERATE)
        self._page.on("compare", compare, Role.OPERATE)
        self._page.on("step", step, Role.OPERATE)

    def _choose(self) -> None:
        points = self._points()
        self._one = points[0].key if points else ""
        self._other = points[-1].key if points else ""

    def _points(self) -> list[_Point]:
        steps = self._report.steps if self._report else []
        found = []
        for number, step in enumerate(steps, 1):
            if step.inputs:
                name = f"{number} into {step.node}"
                found.append(_Point(f"in {step.node}", name, step.inputs[0]))
            if step.outputs:
                name = f"{number} out of {step.node}"
                found.append(_Point(f"out {step.node}", name, step.outputs[0]))
        return found

    def _render(self) -> Markup:
        """The steps, and the difference that was chosen."""
        if self._is_running:
            return parts.loading("the message runs once more through the nodes")
        report = self._report
        if report is None:
            return Markup("")
        told = "as the settings have it now; sinks were not asked"
        head = parts.heading(
            f"Way through {report.channel}",
            tag("span", told),
            self._page.cli("store", "trace", report.channel, self._page.query["id"]),
            parts.state_badge(report.state),
            level=3,
        )
        wrong = parts.note(report.error, "bad") if report.error else None
        return tag(
            "section",
            head,
            wrong,
            _steps(self._page, report.steps),
            self._difference(),
            classes="card way",
            aria_label="way through the nodes",
        )

    def _difference(self) -> Child:
        points = {point.key: point for point in self._points()}
        one, other = points.get(self._one), points.get(self._other)
        if one is None or other is None:
            return None
        choices = [(point.key, point.name) for point in points.values()]
        lines = message_texts.diff_lines(one.message, other.message)
        shown = (
            message_texts.diff_markup(lines)
            if lines
            else parts.note("they are the same")
        )
        fields = tag(
            "div",
            parts.select("one", "Between", choices, self._one, act="compare"),
            parts.select("other", "and", choices, self._other, act="compare"),
            classes="filters",
            data={"fields": True},
        )
        return tag("div", parts.heading("What differs", level=3), fields, shown)


def _steps(page: Page, steps: list[WayStep]) -> Markup:
    ends = {step.node: other.at for step, other in zip(steps, steps[1:], strict=False)}

    def taken(step: WayStep) -> Child:
        end = ends.get(step.node)
        return None if end is None else took_text(max(0.0, end - step.at))

    def differs(step: WayStep) -> Child:
        if not (step.inputs and step.outputs):
            return None
        return parts.button("in and out", "step", {"node": step.node}, kind="quiet")

    columns = [
        tables.Column[WayStep]("Node", lambda step: _node(page, step)),
        tables.Column[WayStep]("In", lambda step: _brief(step.inputs), classes="mono"),
        tables.Column[WayStep](
            "Out",
            lambda step: (
                parts.note(step.error, "bad") if step.error else _brief(step.outputs)
            ),
            classes="mono",
        ),
        tables.Column[WayStep]("Took", taken, number=True),
        tables.Column[WayStep]("What differs", differs),
    ]
    return tables.table(
        page,
        columns,
        steps,
        key=lambda step: step.node,
        label="steps",
        nothing="it came to no node",
    )


def _node(page: Page, step: WayStep) -> Child:
    kind = f"{step.kind}, a sink: not asked" if step.is_sink else step.kind
    channel = step.node.rpartition(".")[0]
    link = page.href("graph", channel=channel, node=step.node)
    return tag("div", parts.link(link, step.node), tag("small", kind))


def _brief(messages: list[dict[str, Any]]) -> Child:
    if not messages:
        return tag("span", "nothing", classes="off")
    short = message_texts.brief(messages[0].get("payload"))
    if len(messages) == 1:
        return short
    return tag("div", short, tag("small", f"first of {count_text(len(messages))}"))
