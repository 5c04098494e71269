"""Parts that cost something are written anew now and then, not after each poll."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from pichannels import clock
from pichannels.ui.budget import OverBudget
from pichannels.ui.pages import parts
from pichannels.ui.pages.markup import Markup

__all__ = ["Calm"]

_NEVER: Final = float("-inf")
_SHARE: Final = 20
"""As many times as it took to write a part it is good."""


class Calm:
    """What renders a part, no more often than it has to; a render of `Page.add`.

    It takes a small part of the time only: what is quick is written after each poll,
    so that it says what the header says. Where the searches are over their budget,
    what was shown last stays, and what was never shown comes with a later poll.

    Args:
        render: writes it.
        seconds: for how long that is good at most.
    """

    def __init__(self, render: Callable[[], Awaitable[Markup]], seconds: float) -> None:
        self._render = render
        self._seconds = seconds
        self._shown: Markup | None = None
        self._until = _NEVER

    def forget(self) -> None:
        """Something was changed: write it anew the next time."""
        self._until = _NEVER

    async def __call__(self) -> Markup:
        """What is to be shown.

        Raises:
            PichannelsError: as what renders does.
        """
        begun = clock.monotonic()
        if self._shown is not None and begun < self._until:
            return self._shown
        good_for = self._seconds
        try:
            self._shown = await self._render()
            good_for = min(good_for, (clock.monotonic() - begun) * _SHARE)
        except OverBudget:
            if self._shown is None:
                return parts.loading("other searches come first; it comes in a moment")
        self._until = clock.monotonic() + good_for
        return self._shown
