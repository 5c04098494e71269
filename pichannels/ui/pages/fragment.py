"""A part of a page that the server writes as HTML, and that tells what is clicked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from nicegui import ui
from nicegui.events import GenericEventArguments

from pichannels.ui.pages.markup import Markup

__all__ = ["Act", "Fragment", "Handler"]


class Act(NamedTuple):
    """Somebody has clicked, changed or sent what has `data-act`.

    Attributes:
        name: what `data-act` says.
        data: all `data-` attributes beside it.
        fields: the values of the form, dialog or `[data-fields]` around it; a list for
            check boxes with a value of their own.
    """

    name: str
    data: Mapping[str, str]
    fields: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A field, without spaces around it; "" where there is none."""
        return str(self.fields.get(name) or "").strip()

    def many(self, name: str) -> list[str]:
        """The values of all check boxes of this name that are ticked."""
        found = self.fields.get(name) or []
        return [str(each) for each in found] if isinstance(found, list) else [found]


Handler = Callable[[Act], Awaitable[None]]


class Fragment(ui.element, component="assets/fragment.js"):
    """HTML that is merged into what is shown, so that focus and selection stay.

    Args:
        handle: called with what is clicked.
        tag: the element that holds it.
    """

    def __init__(self, handle: Handler | None = None, tag: str = "div") -> None:
        super().__init__()
        self._props["tag"] = tag
        self._props["html"] = ""
        self._taken = 0
        if handle is not None:

            async def told(event: GenericEventArguments) -> None:
                given = event.args
                # It is told until it is taken, and done once.
                self.run_method("taken", given["number"])
                if given["number"] <= self._taken:
                    return
                self._taken = given["number"]
                await handle(Act(given["name"], given["data"], given["fields"]))

            self.on("act", told)

    def show(self, markup: Markup) -> None:
        """Show this from now on."""
        if self._props["html"] != markup:
            self._props["html"] = str(markup)
            self.update()
