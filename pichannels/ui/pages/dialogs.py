"""What stands above a page: questions, and what came of something."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from pichannels import clock
from pichannels.ui.pages import parts
from pichannels.ui.pages.formats import count_text
from pichannels.ui.pages.fragment import Act, Fragment, Handler
from pichannels.ui.pages.markup import Child, Markup, join, tag

__all__ = ["Dialog", "Toasts"]

_STAYS: Final = 8.0
_MOST: Final = 4


class Dialog:
    """One question at a time; Escape answers no.

    Args:
        handle: gets all acts but those of the dialog itself.
    """

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._fragment = Fragment(self._acted)
        self._answer: asyncio.Future[Act | None] | None = None

    async def ask(
        self,
        title: str,
        *children: Child,
        verb: str = "OK",
        danger: bool = False,
        wide: bool = False,
    ) -> Act | None:
        """Show a dialog, and wait: its fields where it was sent, None where not.

        Args:
            children: what is in it; fields have names.
            verb: on the button that sends it.
            danger: whether it destroys something.
        """
        self.close()
        answer: asyncio.Future[Act | None] = asyncio.get_running_loop().create_future()
        self._answer = answer
        kind = "danger" if danger else "main"
        send = tag("button", verb, type="submit", classes=f"button {kind}")
        away = parts.button("Cancel", "dialog-no", {"cancel": True})
        form = tag(
            "form",
            tag("h2", title, id="dialog-title"),
            tag("div", *children, classes="body"),
            tag("footer", away, send),
            data={"act": "dialog-yes"},
        )
        self._show(form, wide=wide)
        try:
            return await answer
        finally:
            # Another question may have come in its place.
            if self._answer is answer:
                self.close()

    async def confirm(
        self,
        title: str,
        text: str = "",
        aside: Child = None,
        *,
        count: int | None = None,
        verb: str = "Do it",
        danger: bool = False,
    ) -> bool:
        """Whether somebody wants this; with a count, the count has to be typed.

        Args:
            aside: what is shown besides, such as a command that does the same.
        """
        told: Child = tag("p", text) if text else None
        wrong: Child = None
        while True:
            typed: Child = None
            if count is not None:
                about = tag("p", f"This concerns {count_text(count)}.", classes="big")
                label = f"Type {count} to confirm"
                field = parts.text_field(
                    "count", label, inputmode="numeric", autofocus=True, required=True
                )
                typed = join([about, field])
            act = await self.ask(
                title, told, typed, wrong, aside, verb=verb, danger=danger
            )
            if act is None:
                return False
            if count is None or act.text("count") == str(count):
                return True
            wrong = parts.note("that is another number", "bad")

    def show(self, title: str, *children: Child, wide: bool = True) -> None:
        """Show something that is only to be read."""
        self.close()
        away = parts.button("Close", "dialog-no", {"cancel": True})
        self._show(
            join(
                [
                    tag("h2", title, id="dialog-title"),
                    tag("div", *children, classes="body"),
                    tag("footer", away),
                ]
            ),
            wide=wide,
        )

    def close(self) -> None:
        """Take it away."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(None)
        self._answer = None
        self._fragment.show(Markup(""))

    def _show(self, inner: Markup, *, wide: bool) -> None:
        self._fragment.show(
            tag(
                "dialog",
                inner,
                classes="wide" if wide else "",
                aria_labelledby="dialog-title",
                data={"modal": True},
            )
        )

    async def _acted(self, act: Act) -> None:
        if act.name not in ("dialog-yes", "dialog-no"):
            await self._handle(act)
        elif self._answer is None:
            self.close()
        elif not self._answer.done():
            self._answer.set_result(act if act.name == "dialog-yes" else None)


class _Toast(NamedTuple):
    number: int
    at: float
    text: str
    tone: str


class Toasts:
    """Lines that tell what came of something; good ones go away by themselves.

    Args:
        handle: gets all acts but theirs.
    """

    def __init__(self, handle: Handler) -> None:
        self._handle = handle
        self._fragment = Fragment(self._acted)
        self._fragment.classes("toasts").props('role="status" aria-live="polite"')
        self._shown: list[_Toast] = []
        self._number = 0

    def tell(self, text: str, tone: str = "good") -> None:
        """Tell something; `bad` stays until it is closed."""
        self._number += 1
        made = _Toast(self._number, clock.monotonic(), text, tone)
        self._shown = [*self._shown, made][-_MOST:]
        self._draw()

    def fade(self) -> None:
        """Let those go that were there for long enough."""
        now = clock.monotonic()
        left = [t for t in self._shown if t.tone == "bad" or now - t.at < _STAYS]
        if len(left) != len(self._shown):
            self._shown = left
            self._draw()

    def _draw(self) -> None:
        self._fragment.show(join(_line(toast) for toast in self._shown))

    async def _acted(self, act: Act) -> None:
        if act.name == "toast-close":
            number = int(act.data["number"])
            self._shown = [t for t in self._shown if t.number != number]
            self._draw()
        else:
            await self._handle(act)


def _line(toast: _Toast) -> Markup:
    words = {"bad": "failed", "warn": "note", "off": "note", "busy": "begun"}
    away = parts.button(
        "Close", "toast-close", {"number": toast.number}, kind="quiet", mark="close"
    )
    mark = parts.badge(words.get(toast.tone, "done"), toast.tone)
    return tag(
        "div",
        mark,
        tag("span", toast.text),
        away,
        classes=f"toast {toast.tone}",
        data={"key": f"toast-{toast.number}"},
    )
