"""Where the pages are, as `start` tells it."""

from __future__ import annotations

from io import StringIO

from rich.console import Console
from rich.live import Live

from pichannels.cli.pages import tell


def test_tables_do_not_draw_over_where_the_pages_are() -> None:
    terminal = StringIO()
    console = Console(file=terminal, force_terminal=True, width=80)
    with Live(console=console, auto_refresh=False):
        tell({"url": "http://127.0.0.1:8600", "token": "", "file": ""})
    assert "pages      http://127.0.0.1:8600" in terminal.getvalue()
