"""Tables that stay at the bottom of a terminal while the log scrolls above."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console
from rich.constrain import Constrain
from rich.live import Live

from pichannels import clock
from pichannels.cli.live import Rates, tables

__all__ = ["Screen", "is_terminal"]

_EVERY: Final = 0.5
_ECHO: Final = 2


def is_terminal() -> bool:
    """Whether the output is a terminal that can show tables which stay."""
    console = Console()
    return console.is_terminal and not console.is_dumb_terminal


class Screen:
    """The state of an instance at the bottom of the terminal; use it as a context.

    What is written to the outputs meanwhile appears above.

    Args:
        is_own: the instance is this process, which Ctrl-C stops.
    """

    def __init__(self, *, is_own: bool = False) -> None:
        self._is_own = is_own
        self._console = Console()
        self._rates = Rates()
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stderr=sys.stderr.isatty(),
            vertical_overflow="crop",
        )

    def __enter__(self) -> Self:
        self._live.start()
        # A process that is killed could not bring the cursor back.
        self._console.show_cursor(True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.transient = isinstance(error, Exception)
        self._live.stop()

    def show(self, status: dict[str, Any]) -> None:
        """Show this status; blocks where the terminal does."""
        self._rates.note(status, clock.monotonic())
        console = self._console
        table = tables(status, self._rates, console.height, is_own=self._is_own)
        # Keys that the terminal echoes, such as ^C, find room on the last line.
        narrow = Constrain(table, console.width - _ECHO)
        self._live.update(narrow, refresh=True)

    async def follow(self, read: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        """Show what `read` gives, again and again."""
        while True:
            status = await read()
            # A terminal may be stopped (Ctrl-S), and nobody else is to wait for it.
            await asyncio.to_thread(self.show, status)
            await asyncio.sleep(_EVERY)
