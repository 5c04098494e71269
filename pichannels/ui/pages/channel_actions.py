"""Starting, stopping and pausing a channel, from whatever page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pichannels.ui.pages import parts
from pichannels.ui.pages.fragment import Act
from pichannels.ui.pages.markup import Child, Markup, tag
from pichannels.ui.pages.page import Page
from pichannels.ui.roles import Role

__all__ = ["buttons", "first_button", "install", "state_of"]

_LABELS: Final = {
    "pause": "Pause",
    "resume": "Resume",
    "start": "Start",
    "stop": "Stop",
    "restart": "Restart",
}
_FITS: Final[Mapping[str, tuple[str, ...]]] = {
    "stopped": ("start",),
    "paused": ("resume", "stop", "restart"),
    "store waiting": ("stop", "restart"),
}
_RUNNING: Final = ("pause", "stop", "restart")
_ASKS: Final = {
    "stop": "What is in flight is finished first. Then nothing comes in.",
    "restart": "What is in flight is finished first.",
}


def state_of(channel: Mapping[str, Any]) -> str:
    """The state of a channel in one word; one that waits in vain is not connected.

    Args:
        channel: see `ChannelReport`.
    """
    state = str(channel["state"])
    is_deaf = not channel["is_ready"] and state in ("waiting", "processing")
    return "not connected" if is_deaf else state


def install(page: Page) -> None:
    """Take the clicks of the buttons."""

    async def command(act: Act) -> None:
        what, name = act.data["what"], act.data["channel"]
        if what not in _LABELS:
            return
        if what in _ASKS and not await page.dialog.confirm(
            f"{_LABELS[what]} {name}?",
            _ASKS[what],
            verb=_LABELS[what],
            danger=what == "stop",
        ):
            return
        await page.run(f"{what}-channel", {"channel": name}, f"{name}: {what} is done")

    page.on("channel", command, Role.OPERATE)


def first_button(page: Page, channel: Mapping[str, Any]) -> Child:
    """What is done most with a channel in its state, for a line of a table.

    Args:
        channel: see `ChannelReport`.
    """
    what = _FITS.get(channel["state"], _RUNNING)[0]
    name = channel["name"]
    given = {"what": what, "channel": name}
    copied = parts.copy_button(page.command("channel", what, name))
    return tag(
        "div", page.action(_LABELS[what], "channel", given), copied, classes="actions"
    )


def buttons(page: Page, channel: Mapping[str, Any]) -> Markup:
    """What can be done with a channel in the state that it is in.

    Args:
        channel: see `ChannelReport`.
    """
    name = channel["name"]
    fitting = _FITS.get(channel["state"], _RUNNING)
    shown: list[Child] = [
        page.action(_LABELS[what], "channel", {"what": what, "channel": name})
        for what in fitting
    ]
    copied = parts.copy_button(page.command("channel", fitting[0], name))
    said: Child = None
    if page.may(Role.DATA):
        address = page.href("operations", part="lines", channel=name)
        said = parts.link(address, "Log", classes="button quiet")
    return tag("div", *shown, said, copied, classes="actions")
