"""`pichannels version`."""

from __future__ import annotations

import platform

import click

from pichannels import __version__
from pichannels.cli.common import json_option
from pichannels.cli.output import say, say_json

__all__ = ["version"]


@click.command(short_help="Show the versions of pichannels and Python.")
@json_option
def version(as_json: bool) -> None:
    """Show the versions of pichannels, Python and the system."""
    found = {
        "pichannels": __version__,
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
    }
    if as_json:
        say_json(found)
    else:
        say(" ".join(f"{name} {number}" for name, number in found.items()))
