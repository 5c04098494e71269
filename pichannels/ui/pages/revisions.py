"""The revision of channels, and what the settings file would change of them."""

from __future__ import annotations

from typing import Final

from pichannels.ui.pages import parts
from pichannels.ui.pages.formats import count_text, time_text
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page
from pichannels.ui.settings_delta import Delta

__all__ = ["delta_of", "file_told", "revision_told"]

_KINDS: Final = {
    "added": "new in the file",
    "removed": "not in the file",
    "changed": "changed in the file",
    "tags": "other tags in the file",
}


async def delta_of(page: Page) -> Delta:
    """What the settings file would change, as far as it is known by now."""
    who = await page.current()
    return await page.console.settings.delta(who, page.instance)


def file_told(page: Page, delta: Delta) -> Markup:
    """Whether the file says what runs, with a way to the settings."""
    return parts.link(page.href("settings"), _mark(delta), title=_why(delta))


def _mark(delta: Delta) -> Child:
    if delta.state == "same":
        return parts.badge("as running", "good")
    if delta.state == "refused":
        return parts.badge("file cannot be used", "bad")
    if delta.state == "looking":
        return parts.badge("looking", "off", "wait")
    if delta.state == "unknown":
        return parts.badge("not known", "off")
    count = len(delta.channels)
    if not count:
        return parts.badge("changed, not applied", "warn")
    noun = "channel differs" if count == 1 else "channels differ"
    return parts.badge(f"{count_text(count)} {noun}", "warn")


def _why(delta: Delta) -> str | None:
    told = [f"{name}: {_KINDS[kind]}" for name, kind in delta.channels.items()]
    told += [f"setting {name} differs" for name in delta.settings]
    told += delta.restart
    return delta.error or "; ".join(told) or None


def revision_told(page: Page, name: str, delta: Delta) -> Markup:
    """`Rev 3`, since when it is, and whether the file says otherwise.

    Args:
        name: of a channel that is no sub-channel.
    """
    status = page.watch.status
    found = status["revisions"].get(name) if status else None
    told: list[Child] = []
    if found is not None:
        since = time_text(found["since"], page.zone)[:16]
        title = f"since {since}, by apply {found['apply']} of the settings"
        told.append(tag("span", f"Rev {count_text(found['number'])}", title=title))
    kind = delta.channels.get(name)
    if kind is not None:
        mark = parts.icon("warn")
        shown = tag("span", mark, f" \u0394 {_KINDS[kind]}", classes="warn")
        told.append(parts.link(page.href("settings"), shown))
    return join(told or ["–"], " ")
