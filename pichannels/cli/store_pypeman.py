"""`pichannels store import-pypeman`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from pichannels.cli.common import ExitCode, common_options, json_option
from pichannels.cli.completion import complete_channels
from pichannels.cli.output import complain, say, say_json
from pichannels.cli.store import store
from pichannels.cli.store_files import import_file
from pichannels.exporting import write_lines
from pichannels.moving import Refusal, read_stored

__all__ = ["store"]


class _Zone(click.ParamType[tzinfo]):
    """The name of a time zone."""

    name = "zone"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tzinfo:
        """The time zone."""
        if isinstance(value, tzinfo):
            return value
        try:
            return ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self.fail(
                f"{value!r} is no time zone that this machine knows; write it as"
                " Europe/Paris or UTC",
                param,
                ctx,
            )


@store.command("import-pypeman", short_help="Take over what pypeman has stored.")
@click.argument("channel", shell_complete=complete_channels)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--timezone",
    metavar="NAME",
    type=_Zone(),
    help="Of the machine that pypeman ran on; that of this one without.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Only write the messages to this file, for `store import`.",
)
@json_option
@common_options
@click.pass_context
def import_pypeman(
    ctx: click.Context,
    channel: str,
    folder: Path,
    timezone: tzinfo | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Keep the messages of a file store of pypeman in the store of CHANNEL.

    FOLDER is that of one channel, in the path that FileMessageStoreFactory had. They
    are settled as they were, and not processed. Messages that hold more than plain
    data are left out and told; exit code 1 then.
    """
    refused: list[Refusal] = []
    lines = _lines(folder, timezone, refused)
    if output is not None:
        count = write_lines(output, lines)
    else:
        with tempfile.TemporaryDirectory(prefix="pichannels-") as place:
            path = Path(place) / "stored.jsonl"
            count = write_lines(path, lines)
            import_file(channel, path)
    if as_json:
        told = [refusal._asdict() for refusal in refused]
        say_json({"imported": count, "refused": told})
    else:
        say(f"{output or channel}: {count:,} messages")
    for refusal in () if as_json else refused:
        complain(f"{refusal.file}: {refusal.reason}")
    if refused:
        ctx.exit(ExitCode.FAILED)


def _lines(folder: Path, zone: tzinfo | None, refused: list[Refusal]) -> Iterator[str]:
    for found in read_stored(folder, zone):
        if isinstance(found, Refusal):
            refused.append(found)
        else:
            yield found.line
