"""What is told of settings files: differences, problems and lints, plans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pichannels.ui.pages import parts
from pichannels.ui.pages.formats import count_text
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.settings_files import Difference

__all__ = ["check_told", "differences_told", "plan_told"]

_TONES: Final = {"added": "good", "removed": "bad", "changed": "warn", "tags": "busy"}


def differences_told(found: Sequence[Difference], text: Callable[[Any], str]) -> Markup:
    """What the file says otherwise, beside what runs.

    Args:
        text: a value as it is shown.
    """
    if not found:
        return parts.badge("the file says what runs", "good")
    rows = [
        tag(
            "tr",
            tag("td", one.name, classes="mono"),
            tag("td", tag("del", text(one.running)), classes="wide mono"),
            tag("td", tag("ins", text(one.file)), classes="wide mono"),
        )
        for one in found
    ]
    names = ("Setting", "− runs", "+ in the file")
    head = tag("tr", *(tag("th", name, scope="col") for name in names))
    inner = join([tag("thead", head), tag("tbody", *rows)])
    table = tag("table", inner, aria_label="differences")
    noun = "setting differs" if len(found) == 1 else "settings differ"
    count = parts.badge(f"{count_text(len(found))} {noun}", "warn")
    scroll = tag("div", table, classes="scroll", tabindex="0", role="group")
    return join([count, scroll])


def check_told(found: Mapping[str, Any]) -> Markup:
    """Problems, which keep the file from being used, and lints."""
    problems, findings = found.get("problems", []), found.get("findings", [])
    if not problems and not findings:
        count = count_text(len(found["channels"]))
        return parts.card(
            "Check", parts.badge(f"all is well, {count} channels", "good")
        )
    rows = [
        _line(parts.badge("problem", "bad"), one["file"] or "", one["key"] or "", one)
        for one in problems
    ]
    rows += [
        _line(parts.badge(one["code"], "warn"), one["where"], one["what"], one)
        for one in findings
    ]
    head = tag(
        "tr",
        *(tag("th", name, scope="col") for name in ("Kind", "Where", "What", "Why")),
    )
    inner = join([tag("thead", head), tag("tbody", *rows)])
    return parts.card("Check", tag("table", inner, aria_label="what was found"))


def _line(mark: Markup, where: str, what: str, one: Mapping[str, Any]) -> Markup:
    return tag(
        "tr",
        tag("td", mark),
        tag("td", where, classes="mono wide"),
        tag("td", what, classes="mono"),
        tag("td", one["text"], classes="wide"),
    )


def plan_told(title: str, report: Mapping[str, Any]) -> Markup:
    """What a reload changes, or has changed; see `ReloadReport`."""
    lines: list[Child] = [_change(one) for one in report["channels"]]
    lines += [
        tag("li", parts.badge("setting", "warn"), f" {text}")
        for text in report["settings"].values()
    ]
    lines += [
        tag("li", parts.badge("restart needed", "bad"), f" {text}")
        for text in report["restart"]
    ]
    lines += [
        tag("li", parts.badge("failed", "bad"), f" {text}")
        for text in report["failures"]
    ]
    lines += [
        tag(
            "li",
            f"{count_text(count)} unsettled messages of {name} stay in the journal",
        )
        for name, count in report["unsettled"].items()
    ]
    if not lines:
        return parts.card(title, parts.badge("nothing", "good"))
    kept: Child = None
    if report["unchanged"]:
        kept = tag("p", f"Not touched: {', '.join(report['unchanged'])}")
    return parts.card(title, tag("ul", *lines, classes="plan"), kept)


def _change(one: Mapping[str, Any]) -> Markup:
    added, removed = one["tags_added"], one["tags_removed"]
    told = [*one["differences"]]
    told += [f"{count_text(added)} tags added"] if added else []
    told += [f"{count_text(removed)} tags removed"] if removed else []
    inner = [tag("li", text) for text in told]
    mark = parts.badge(one["kind"], _TONES.get(one["kind"], "warn"))
    return tag("li", mark, f" {one['name']}", tag("ul", *inner) if inner else None)
