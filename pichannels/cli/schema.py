"""`pichannels schema`: what editors complete YAML files with."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from pichannels.cli.common import common_options, settings_folder
from pichannels.cli.output import say
from pichannels.declarative.catalogue import Catalogue
from pichannels.declarative.schema import schema_of
from pichannels.project import open_folder

__all__ = ["schema"]


@click.command(short_help="Write the JSON schema of YAML channels.")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file to write to; by default it goes to the output.",
)
@common_options
def schema(output: Path | None) -> None:
    """Write the JSON schema of YAML channels, for editors to complete them with.

    It has all sources, nodes and stores that are found: those of pichannels, of
    plug-ins, and of the project. Write it anew when there are others.
    """
    folder = settings_folder()
    open_folder(folder)
    data = msgspec.json.encode(schema_of(Catalogue(folder)), enc_hook=str)
    text = msgspec.json.format(data, indent=2).decode()
    if output is None:
        say(text)
    else:
        output.write_text(f"{text}\n", "utf-8")
        say(f"{output}: written")
