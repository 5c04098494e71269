"""The lines of the log as they come: chosen, held still, with ways to their place."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from pichannels.loglines import KEPT, LogLine, LogWanted
from pichannels.ui.pages import parts, tables
from pichannels.ui.pages.formats import count_text, short_uuid
from pichannels.ui.pages.fragment import Act
from pichannels.ui.pages.markup import Child, Markup, join, tag
from pichannels.ui.pages.page import Page, Region

__all__ = ["build"]

_SHOWN: Final = 300
_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_TONES: Final = {
    "DEBUG": "off",
    "INFO": "off",
    "WARNING": "warn",
    "ERROR": "bad",
    "CRITICAL": "bad",
}


async def build(page: Page) -> None:
    """The choice, and the lines below."""
    await _LogPart(page).build()


class _LogPart:
    """What one browser looks at.

    Args:
        page: where it is shown.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._following = page.console.log.following(page.who, page.instance)
        self._held: list[LogLine] | None = None
        self._region: Region | None = None

    async def build(self) -> None:
        """Add the parts."""
        page = self._page
        page.on("hold", self._hold)
        await page.add(self._form)
        self._region = await page.add(self._lines)
        page.begin(self._follow(), "log")

    async def _follow(self) -> None:
        news = asyncio.Event()
        forget = self._following.subscribe(news.set)
        try:
            while True:
                await news.wait()
                news.clear()
                await self._page.current()
                if self._held is None and self._region is not None:
                    await self._region.refresh()
        finally:
            forget()

    async def _hold(self, act: Act) -> None:
        is_held = self._held is not None
        self._held = None if is_held else list(self._following.lines)
        if self._region is not None:
            await self._region.refresh()

    # What is shown

    def _form(self) -> Markup:
        page, query = self._page, self._page.query
        status = page.watch.status
        names = [one["name"] for one in status["channels"]] if status else []
        levels = [("", "all"), *((each, each.lower()) for each in _LEVELS)]
        return tables.filters(
            page,
            parts.select("level", "From level", levels, query.get("level", "")),
            parts.select(
                "channel",
                "Channel",
                [("", "all"), *((name, name) for name in names)],
                query.get("channel", ""),
            ),
            parts.text_field("message", "Message", query.get("message", ""), size=32),
            parts.text_field("text", "Has the text", query.get("text", ""), size=20),
            verb="Show",
            stay=("part",),
        )

    def _wanted(self) -> LogWanted:
        query = self._page.query
        asked: dict[str, Any] = {
            "level": query.get("level") or None,
            "channel": query.get("channel") or None,
            "message_id": query.get("message") or None,
            "text": query.get("text") or None,
            "count": _SHOWN,
        }
        if asked["level"] not in _LEVELS:
            asked["level"] = None
        return msgspec.convert(asked, LogWanted)

    async def _lines(self) -> Markup:
        page, wanted = self._page, self._wanted()
        all_lines = list(self._following.lines) if self._held is None else self._held
        who = await page.current()
        found = page.console.log.seen(who, all_lines, wanted)
        if not all_lines and self._following.error:
            return join([self._head(0, wanted), parts.error(self._following.error)])
        if not found:
            text = (
                "no line fits yet"
                if all_lines
                else "no line was logged since the start, or the lines are on their way"
            )
            return join([self._head(0, wanted), parts.empty(text)])
        rows = [self._row(line) for line in reversed(found)]
        shown = tag("ol", *rows, classes="log", aria_label="lines of the log")
        return join([self._head(len(found), wanted), shown])

    def _head(self, count: int, wanted: LogWanted) -> Markup:
        is_held = self._held is not None
        mark = parts.badge("held", "warn", "paused") if is_held else None
        live = mark or parts.badge("live", "good")
        told = f"{count_text(count)} lines, the newest first; the instance keeps"
        told += f" {count_text(KEPT)}, of the levels that LOGGING lets through"
        words = ["log", "--follow"]
        for name, value in (
            ("--level", (wanted.level or "").lower()),
            ("--channel", wanted.channel),
            ("--message", wanted.message_id),
            ("--text", wanted.text),
        ):
            words += [name, value] if value else []
        button = self._page.action("Go on" if is_held else "Hold still", "hold")
        way = None
        if wanted.message_id:
            address = self._page.href("messages", uuid=wanted.message_id)
            way = parts.link(address, "This message")
        title = parts.heading("Log", live, way, button, self._page.cli(*words))
        return join([title, tag("p", told)])

    def _row(self, line: LogLine) -> Markup:
        page = self._page
        stack: Child = None
        if line.stack:
            inside = tag("pre", line.stack)
            stack = tag("details", tag("summary", "stack"), inside)
        said = tag("span", line.text, stack, classes="said")
        return tag(
            "li",
            page.time(line.time, is_long=False),
            _level(line.level),
            self._channel(line),
            said,
            self._message(line),
            data={"key": f"line-{line.number}"},
        )

    def _channel(self, line: LogLine) -> Markup:
        page = self._page
        where = line.node or line.channel
        if not where:
            name = line.logger.removeprefix("pichannels.")
            return tag("span", name, classes="where muted", title=line.logger)
        node = line.node or None
        address = page.href("graph", channel=line.channel, node=node)
        return parts.link(address, where, classes="where", title=line.logger)

    def _message(self, line: LogLine) -> Child:
        if not line.message_id:
            return tag("span", classes="message")
        page = self._page
        return tag(
            "span",
            parts.link(
                page.here(message=line.message_id),
                short_uuid(line.message_id),
                title=f"the lines of message {line.message_id}",
            ),
            classes="message",
        )


def _level(level: str) -> Markup:
    tone = _TONES.get(level, "off")
    mark = None if tone == "off" else parts.icon(tone)
    return tag("span", mark, level.lower(), classes=f"level {tone}")
