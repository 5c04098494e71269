"""Groups of dead letters that are muted: how that is told, asked for and ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from pichannels.control.failure_groups import FailureGroup
from pichannels.errors import UsageError
from pichannels.ui.pages import parts
from pichannels.ui.pages.fragment import Act
from pichannels.ui.pages.markup import Child, join, tag
from pichannels.ui.pages.page import Page
from pichannels.ui.roles import Role

__all__ = ["actions", "install", "muting"]

_TIMES: Final = (
    ("3600", "1 hour"),
    ("28800", "8 hours"),
    ("86400", "1 day"),
    ("604800", "7 days"),
    ("2592000", "30 days"),
    ("", "no end by time"),
)
_ENDED: Final = {
    "time": "its time is over",
    "cause": "there is another cause",
    "rate": "they come more often",
}


def muting(page: Page, group: FailureGroup) -> Child:
    """Whether a group is muted, by whom and how long, or why it is no more."""
    muted = group.muted
    if muted is None:
        return None
    by = f"by {muted.who or 'somebody'}"
    if muted.ended:
        shown = parts.badge("muted no more", "warn")
        return tag("div", shown, tag("small", f"{_ENDED[muted.ended]}; was {by}"))
    ends: list[Child] = [by]
    if muted.until is not None:
        ends += [" until ", page.time(muted.until)]
    if muted.until_change:
        ends.append(" or until it changes" if muted.until else " until it changes")
    return tag("div", parts.badge("muted", "off", "paused"), tag("small", join(ends)))


def actions(page: Page, group: FailureGroup) -> Child:
    """What mutes a group, or ends that."""
    data = {"group": group.id}
    if group.is_quiet:
        return page.action("Unmute", "unmute-group", data)
    return page.action("Mute", "mute-group", data)


def install(page: Page, again: Callable[[], Awaitable[None]]) -> None:
    """The acts; `again` writes the page anew."""

    async def mute(act: Act) -> None:
        group = act.data["group"]
        box = tag("input", type="checkbox", name="until_change", checked=True)
        asked = await page.dialog.ask(
            "Mute these dead letters?",
            tag(
                "p",
                "They are counted and shown as before, and stay what they are; the lamp"
                " does not tell them.",
            ),
            parts.select("seconds", "For", _TIMES, "86400"),
            tag("label", box, " end it when there is another cause, or more of them"),
            page.cli("dead", "mute", group, "--for", "1d", "--until-change"),
            verb="Mute",
        )
        if asked is None:
            return
        seconds, is_until = asked.text("seconds"), asked.text("until_change") == "on"
        if not (seconds or is_until):
            raise UsageError("say when it ends: after some time, or when it changes")
        given = {"group": group, "who": (await page.current()).name}
        await page.run(
            "dead-mute",
            {
                **given,
                "seconds": float(seconds) if seconds else None,
                "until_change": is_until,
            },
            "muted",
        )
        await again()

    async def unmute(act: Act) -> None:
        await page.run("dead-unmute", {"group": act.data["group"]}, "unmuted")
        await again()

    page.on("mute-group", mute, Role.OPERATE)
    page.on("unmute-group", unmute, Role.OPERATE)
