"""Parts that cost something are written anew now and then, not after each poll."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from pichannels import clock
from pichannels.ui.budget import OverBudget
from pichannels.ui.pages.markup import Markup

__all__ = ["Calm"]

_NEVER: Final = float("-inf")


class Calm:
    """What renders a part, no more often than it has to; a render of `Page.add`.

    Where the searches are over their budget, what was shown last stays.

    Args:
        render: writes it.
        seconds: for how long that is good.
    """

    def __init__(self, render: Callable[[], Awaitable[Markup]], seconds: float) -> None:
        self._render = render
        self._seconds = seconds
        self._shown: Markup | None = None
        self._at = _NEVER

    def forget(self) -> None:
        """Something was changed: write it anew the next time."""
        self._at = _NEVER

    async def __call__(self) -> Markup:
        """What is to be shown.

        Raises:
            PichannelsError: as what renders does.
        """
        if self._shown is not None and clock.monotonic() - self._at < self._seconds:
            return self._shown
        try:
            self._shown = await self._render()
        except OverBudget:
            if self._shown is None:
                raise
        self._at = clock.monotonic()
        return self._shown
