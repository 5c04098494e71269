"""`pichannels remote`: list, read and write what instances publish."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from pichannels.cli.common import ExitCode, common_options, json_option
from pichannels.cli.linking import Target, linked, run, target_options
from pichannels.cli.output import complain, say, say_json, say_table
from pichannels.cli.remote_files import Part, download, upload
from pichannels.control.access import make_token
from pichannels.control.remote_access import hash_token
from pichannels.errors import UsageError
from pichannels.remote import Listing, Mode
from pichannels.remote.modes import described
from pichannels.remote_config import LINKS

__all__ = ["remote"]


@click.group(short_help="List, read and write what instances publish.")
def remote() -> None:
    """List, read and write what an instance publishes: channels, stores, files.

    It is that of this project, or with --url any other one.
    """


@remote.command("list", short_help="Show what is published.")
@click.argument("pattern", default="*")
@json_option
@target_options
@common_options
def list_(pattern: str, target: Target, as_json: bool) -> None:
    """Show what is published, or only names that fit PATTERN (with * and ?)."""

    async def work() -> list[Listing]:
        async with linked(target) as link:
            return await link.list(pattern)

    found = run(work())
    if as_json:
        say_json([_fields(each) for each in found])
        return
    if not found:
        told = "is published" if pattern == "*" else f"fits {pattern!r}"
        complain(f"nothing {told}, that this token may see")
        return
    uses = Mode.READ | Mode.WRITE
    rows = ((x.name, x.kind, *_ends(x), described(x.mode & uses)) for x in found)
    say_table(("name", "kind", "first", "end", "for"), rows)


def _ends(listing: Listing) -> tuple[object, object]:
    return _cell(listing.first), _cell(listing.end)


def _fields(listing: Listing) -> dict[str, object]:
    return {**msgspec.structs.asdict(listing), "mode": described(listing.mode)}


@remote.command(short_help="Show what others have open.")
@json_option
@target_options
@common_options
def streams(target: Target, as_json: bool) -> None:
    """Show which streams are open, by whom, and how far behind readers are."""

    async def work() -> list[dict[str, object]]:
        async with linked(target) as link:
            found: list[dict[str, object]] = await link.call(LINKS, "streams")
            return found

    found = run(work())
    if as_json:
        say_json(found)
        return
    if not found:
        complain("nothing is open")
        return
    columns = ("client", "name", "mode", "position", "lag", "sent", "received", "lost")
    say_table(columns, ([_cell(row[name]) for name in columns] for row in found))


def _cell(value: object) -> object:
    return "" if value is None else value


@remote.command(short_help="Copy a file or stream from an instance.")
@click.argument("name")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--range",
    "part",
    metavar="FIRST-LAST",
    help="Only these bytes (or positions), such as 0-99, 100- or -100 for the last.",
)
@click.option("--replace", is_flag=True, help="Also where FILE exists.")
@target_options
@common_options
@click.pass_context
def get(
    ctx: click.Context,
    /,
    name: str,
    file: Path | None,
    target: Target,
    part: str | None,
    replace: bool,
) -> None:
    """Copy what is published as NAME to FILE, or, where FILE is -, to the output.

    Without FILE it is the last part of NAME, in this folder. Messages become lines
    of JSON, in NAME.jsonl. A copy of a file that was broken off goes on where it
    was, when the command is given again; FILE is there only when it is complete.
    """
    wanted = _part(part)

    async def work() -> tuple[Path, str]:
        async with linked(target) as link:
            return await download(link, name, file, wanted, replace=replace)

    try:
        place, told = run(work())
    except KeyboardInterrupt:
        complain("broken off; the same command goes on with it")
        ctx.exit(ExitCode.FAILED)
    if str(place) != "-":
        say(f"{place}: {told}")


def _part(text: str | None) -> Part:
    if text is None:
        return Part()
    first, dash, last = text.partition("-")
    is_known = dash and (first or last)
    if not is_known or not all(x == "" or x.isdecimal() for x in (first, last)):
        raise UsageError(f"--range is FIRST-LAST, FIRST- or -COUNT, not {text!r}")
    if not first:
        return Part(tail=int(last))
    end = int(last) + 1 if last else None
    if end is not None and end <= int(first):
        raise UsageError(f"--range goes from the first to the last, not {text!r}")
    return Part(int(first), end)


@remote.command(short_help="Copy a file to an instance.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("name")
@click.option("--replace", is_flag=True, help="Also where NAME exists.")
@click.option("--resume", is_flag=True, help="Go on with a copy that was broken off.")
@target_options
@common_options
@click.pass_context
def put(
    ctx: click.Context,
    /,
    file: Path,
    name: str,
    target: Target,
    replace: bool,
    resume: bool,
) -> None:
    """Copy FILE to what is published as NAME, which takes files.

    It has ended when the other side has written all of it to its disk.
    """

    async def work() -> int:
        async with linked(target) as link:
            return await upload(link, file, name, replace=replace, resume=resume)

    try:
        size = run(work())
    except KeyboardInterrupt:
        complain("broken off; --resume goes on with it")
        ctx.exit(ExitCode.FAILED)
    say(f"{name}: {size:,} bytes")


@remote.command(short_help="Remove files of an instance.")
@click.argument("names", nargs=-1, required=True, metavar="NAMES...")
@target_options
@common_options
def rm(names: tuple[str, ...], target: Target) -> None:
    """Remove files that are published in a folder which takes files."""

    async def work() -> None:
        async with linked(target) as link:
            for name in names:
                await link.remove(name)
                say(f"{name}: removed")

    run(work())


@remote.command(short_help="Rename a file of an instance.")
@click.argument("name")
@click.argument("to")
@click.option("--replace", is_flag=True, help="Also where TO exists.")
@target_options
@common_options
def mv(name: str, to: str, target: Target, replace: bool) -> None:
    """Give the file that is published as NAME the name TO, in the same folder.

    At no time is there a part of it under either name: with a `put` before it, what
    reads the folder sees whole files only.
    """

    async def work() -> None:
        async with linked(target) as link:
            await link.rename(name, to, replace=replace)

    run(work())
    say(f"{name}: is {to} now")


@remote.command(short_help="Make a token for the settings of an instance.")
@json_option
@common_options
def token(as_json: bool) -> None:
    """Make a new token, which is shown this once, and what the settings need of it.

    Who gets the token may do what the settings then allow it.
    """
    made = make_token()
    digest = hash_token(made)
    if as_json:
        say_json({"token": made, "sha256": digest})
        return
    say(f"token   {made}")
    say(f"sha256  {digest}")
    say()
    say('REMOTE = {"tokens": {"who it is": {')
    say(f'    "sha256": "{digest}",')
    say('    "allow": {"channels/*": ["read"]},')
    say("}}}")
