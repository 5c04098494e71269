"""`pichannels graph`: the channels as text or as a picture."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from pichannels.channels import BaseChannel
from pichannels.channels.diagram import dot_document, mermaid_document
from pichannels.cli.common import common_options, load_project
from pichannels.cli.completion import complete_channels
from pichannels.cli.output import say, say_bytes
from pichannels.errors import PichannelsError, UsageError

__all__ = ["graph"]

_FORMATS: Final = ("text", "dot", "mermaid", "svg", "png")
_ENDINGS: Final = {".gv": "dot", ".mmd": "mermaid", ".txt": "text"}
_PATIENCE: Final = 60.0


@click.command(short_help="Show the channels as text or as a picture.")
@click.argument("channel", required=False, shell_complete=complete_channels)
@click.option(
    "--format",
    "-f",
    "kind",
    type=click.Choice(_FORMATS),
    help="text, dot (Graphviz), mermaid (Markdown), or a picture that Graphviz"
    " draws; by default what the name of the file says, else text.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file.",
)
@common_options
def graph(channel: str | None, kind: str | None, output: Path | None) -> None:
    """Show the way of messages through all channels, or through CHANNEL.

    Nothing is started. Sinks, where messages leave the project, have a shape of
    their own in pictures.
    """
    project = load_project()
    channels = [project.channel(channel)] if channel else project.channels
    shown = kind or _kind_of(output)
    if shown not in ("svg", "png"):
        _write("\n".join(_lines(channels, shown, project.name)) + "\n", output)
        return
    if output is None and shown == "png" and sys.stdout.isatty():
        raise UsageError("a picture is not for the terminal; name a file with -o")
    text = "\n".join(dot_document(channels, project.name))
    _write(_drawn(text, shown), output)


def _kind_of(output: Path | None) -> str:
    ending = output.suffix.lower() if output else ""
    found = _ENDINGS.get(ending, ending.removeprefix("."))
    return found if found in _FORMATS else "text"


def _lines(channels: Iterable[BaseChannel], kind: str, name: str) -> Iterable[str]:
    if kind == "dot":
        return dot_document(channels, name)
    if kind == "mermaid":
        return mermaid_document(channels)
    return "\n\n".join("\n".join(each.graph()) for each in channels).splitlines()


def _drawn(dot: str, kind: str) -> bytes:
    program = shutil.which("dot")
    if program is None:
        raise PichannelsError(
            f"{kind} is drawn by Graphviz, whose program `dot` is not on the path;"
            " install it from https://graphviz.org/download, or take --format"
            " mermaid, which needs nothing"
        )
    try:
        done = subprocess.run(
            [program, f"-T{kind}"],
            input=dot.encode(),
            capture_output=True,
            check=True,
            timeout=_PATIENCE,
        )
    except subprocess.CalledProcessError as exc:
        said = exc.stderr.decode(errors="replace").strip()
        raise PichannelsError(f"{program} failed: {said}") from exc
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise PichannelsError(f"{program} failed: {exc}") from exc
    return done.stdout


def _write(found: str | bytes, output: Path | None) -> None:
    data = found.encode() if isinstance(found, str) else found
    if output is None:
        say_bytes(data)
        return
    try:
        output.write_bytes(data)
    except OSError as exc:
        raise UsageError(f"{output}: {exc.strerror}") from exc
    say(f"{output}: {len(data):,} bytes")
