"""`pichannels top`: what the running instance does, live, on the whole terminal."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console

from pichannels import clock
from pichannels.cli.common import data_dir_of
from pichannels.cli.keyboard import pressed_keys
from pichannels.cli.live import Rates
from pichannels.cli.options import common_options
from pichannels.cli.terminal import is_terminal
from pichannels.cli.top_page import QUIT, SORTS, View, page
from pichannels.control.client import ControlClient, NoInstance, connect
from pichannels.errors import NotConnected, UsageError

__all__ = ["top"]

_PROBED: Final = 5.0
_CLEAR_LINE: Final = "\x1b[K"
_HOME: Final = "\x1b[H"
_CLEAR_REST: Final = "\x1b[J"


@click.command(short_help="Watch the running instance on the whole terminal.")
@click.option(
    "--sort",
    type=click.Choice(list(SORTS)),
    default="name",
    show_default=True,
    help="By what channels are sorted at first.",
)
@click.option(
    "--every",
    type=click.FloatRange(min=0.1, max=60),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often it is looked.",
)
@common_options
def top(sort: str, every: float) -> None:
    """Show channels, sinks, PI servers and holes, live; keys sort and scroll.

    An instance that stops is looked for again. q ends it.
    """
    if not is_terminal():
        raise UsageError("top needs a terminal; elsewhere: pichannels status --watch")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_Top(data_dir_of(), View(sort), every).run())


@contextlib.asynccontextmanager
async def _probing(client: ControlClient) -> AsyncIterator[None]:
    """Let the instance look at its sinks now and then; who waits for it waits long."""

    async def look() -> None:
        while True:
            await client.look()
            await asyncio.sleep(_PROBED)

    looking = asyncio.create_task(look(), name="top probing")
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


class _Top:
    """The terminal, the keys and the instance together."""

    def __init__(self, data_dir: Path, view: View, every: float) -> None:
        self._data_dir = data_dir
        self._view = view
        self._every = every
        self._console = Console()
        self._rates = Rates()
        self._status: dict[str, Any] | None = None
        self._drawing = asyncio.Lock()

    async def run(self) -> None:
        """Show it until a key ends it."""
        with self._screen(), pressed_keys() as keys:
            looking = asyncio.create_task(self._look(), name="top")
            try:
                while (key := await keys.get()) not in QUIT:
                    self._view.press(key)
                    await self._draw()
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)

    @contextlib.contextmanager
    def _screen(self) -> Iterator[None]:
        console = self._console
        console.set_alt_screen(True)
        console.show_cursor(False)
        try:
            yield
        finally:
            console.show_cursor(True)
            console.set_alt_screen(False)

    # The instance

    async def _look(self) -> None:
        while True:
            async for status in self._told():
                if not self._view.is_paused:
                    self._status = status
                    self._rates.note(status, clock.monotonic())
                await self._draw()
            self._status, self._rates = None, Rates()
            await self._draw()
            await asyncio.sleep(self._every)

    async def _told(self) -> AsyncIterator[dict[str, Any]]:
        """What the instance tells, again and again, as long as it does."""
        with contextlib.suppress(NoInstance, NotConnected):
            async with await connect(self._data_dir) as client, _probing(client):
                while True:
                    yield await client.status()
                    await asyncio.sleep(self._every)

    # The terminal

    async def _draw(self) -> None:
        # A terminal may be stopped (Ctrl-S), and keys are heard all the same.
        async with self._drawing:
            await asyncio.to_thread(self._paint)

    def _paint(self) -> None:
        console = self._console
        height = console.height
        with console.capture() as captured:
            console.print(page(self._status, self._rates, self._view, height))
        lines = captured.get().rstrip("\n").split("\n")[:height]
        text = "\n".join(f"{line}{_CLEAR_LINE}" for line in lines)
        console.file.write(f"{_HOME}{text}{_CLEAR_REST}")
        console.file.flush()
