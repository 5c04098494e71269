"""`pichannels print-settings`: what holds, and where it comes from."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from pichannels.cli.common import common_options, json_option, load_project
from pichannels.cli.output import say, say_json, say_table
from pichannels.control.settings import settings_rows

__all__ = ["print_settings"]


@click.command("print-settings", short_help="Show what holds, and where it is from.")
@json_option
@common_options
def print_settings(as_json: bool) -> None:
    """Show all settings as they were checked, each with the line that sets it.

    What may be secret is not shown.
    """
    project = load_project()
    rows = list(settings_rows(project))
    if as_json:
        say_json([msgspec.structs.asdict(row) for row in rows])
        return
    say(str(project.path))
    columns = ("setting", "value", "from")
    say_table(columns, ([row.name, _shown(row.value), row.origin] for row in rows))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
