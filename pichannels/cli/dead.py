"""`pichannels dead`: what was given up, and how it gets on its way again."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import click
import msgspec

from pichannels.cli.common import (
    ExitCode,
    ask,
    check_channel,
    common_options,
    json_option,
)
from pichannels.cli.completion import complete_channels, complete_nodes
from pichannels.cli.logs import configure_logging
from pichannels.cli.output import complain, say, say_json, say_table
from pichannels.cli.progress import shown_progress
from pichannels.cli.quantities import AGE, made_options
from pichannels.cli.shown import say_message
from pichannels.control import deadletters, muting
from pichannels.control.access import os_user
from pichannels.control.chosen import Chosen, Grouped, Listed
from pichannels.control.client import ControlClient
from pichannels.control.muting import MuteWanted
from pichannels.engine import Engine, opened_stores
from pichannels.errors import UsageError
from pichannels.project import Project

__all__ = ["dead"]

F = TypeVar("F", bound=Callable[..., Any])

_SHOWN: Final = 48
_TOLD: Final = "settled; Ctrl-C leaves it running"
_CHANGED: Final = ("payload", "meta", "ctx", "content_type")


@click.group(short_help="Dead letters: look, mend, run again, discard.")
def dead() -> None:
    """Dead letters: messages, and samples of messages, that failed for good.

    They stay in the journal, with cause, node and attempts, until they are run
    again (`redrive`) or given up (`discard`), or are as old as
    JOURNAL["dead_letter_days"]. It works with and without a running instance.
    """


def _conditions(command: F) -> F:
    """The options that say which dead letters are meant."""
    options = (
        click.option(
            "--channel",
            "-c",
            metavar="NAME",
            shell_complete=complete_channels,
            help="Only of this channel.",
        ),
        click.option(
            "--node",
            metavar="NAME",
            shell_complete=complete_nodes,
            help="Only what failed at this node.",
        ),
        click.option("--error", metavar="TEXT", help="Only where the cause says this."),
        click.option("--group", metavar="ID", help="Only of this one of `groups`."),
        made_options,
    )
    for option in reversed(options):
        command = option(command)
    return command


def _ids(command: F) -> F:
    return click.argument("ids", nargs=-1)(command)


@dead.command("list", short_help="Show dead letters, the newest first.")
@_conditions
@click.option("--skip", default=0, type=click.IntRange(0), help="Leave out the first.")
@click.option(
    "--count",
    default=20,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Show at most so many.",
)
@json_option
@common_options
def list_(as_json: bool, **conditions: Any) -> None:
    """Show dead letters, the newest first: where they failed, and why."""
    wanted = Listed(**conditions)

    async def online(client: ControlClient) -> Any:
        return await client.command("dead-list", **msgspec.structs.asdict(wanted))

    async def offline(project: Project) -> Any:
        async with opened_stores(project) as journal:
            return await deadletters.list_letters(journal, wanted)

    found = ask(online, offline)
    if as_json:
        say_json(found)
        return
    if not found:
        _tell_none(wanted)
        return
    columns = ("id", "timestamp", "node", "samples", "attempts", "error")
    for row in found:
        row["samples"] = "" if row["samples"] is None else row["samples"]
        row["node"] = row["node"] or row["channel"]
        row["error"] = _line(row["error"])
    say_table(columns, ([row[name] for name in columns] for row in found))


@dead.command(short_help="Show which dead letters are alike.")
@_conditions
@json_option
@common_options
def groups(as_json: bool, **conditions: Any) -> None:
    """Show dead letters that are alike together: node, exception, kind of tags.

    The ID of a group is what --group of the other commands takes. The newest 10,000
    dead letters are looked through.
    """
    wanted = Grouped(**conditions)

    async def online(client: ControlClient) -> Any:
        return await client.command("dead-groups", **msgspec.structs.asdict(wanted))

    async def offline(project: Project) -> Any:
        async with opened_stores(project) as journal:
            found = await deadletters.group_letters(journal, wanted)
            return msgspec.to_builtins(found)

    found = ask(online, offline)
    if as_json:
        say_json(found)
        return
    if not found:
        _tell_none(wanted)
        return
    columns = ("id", "count", "node", "error", "tags", "last", "message", "muted")
    for row in found:
        row["muted"] = _muting(row["muted"])
        row["node"] = row["node"] or row["channel"]
        row["message"] = _line(row["message"])
    say_table(columns, ([row[name] for name in columns] for row in found))


def _tell_none(wanted: Chosen) -> None:
    """Say that there are none; a channel that there is not was a mistake."""
    check_channel(wanted.channel)
    complain("no dead letters fit" if wanted.conditions else "no dead letters")


@dead.command("mute", short_help="Let lamps not tell a group that is known.")
@click.argument("group")
@click.option("--for", "seconds", type=AGE, help="For so long: 90m, 12h, 7d.")
@click.option(
    "--until-change",
    is_flag=True,
    help="Until there is another cause, or they come twice as often.",
)
@json_option
@common_options
def mute_(group: str, seconds: float | None, until_change: bool, as_json: bool) -> None:
    """Mute the dead letters of this GROUP, whose ID `groups` shows.

    They are counted and shown as before; lamps do not tell them.
    """
    if seconds is None and not until_change:
        raise UsageError("say when it ends: --for 12h, --until-change, or both")
    wanted = MuteWanted(
        group=group, seconds=seconds, until_change=until_change, who=os_user()
    )

    async def online(client: ControlClient) -> Any:
        return await client.command("dead-mute", **msgspec.structs.asdict(wanted))

    async def offline(project: Project) -> Any:
        async with opened_stores(project) as journal:
            return msgspec.to_builtins(await muting.mute(journal, wanted))

    found = ask(online, offline)
    if as_json:
        say_json(found)
    else:
        say(f"{found['count']:,} dead letters are muted {_until(found['muted'])}")


@dead.command(short_help="Let lamps tell a group again.")
@click.argument("group")
@json_option
@common_options
def unmute(group: str, as_json: bool) -> None:
    """Mute the dead letters of this GROUP no longer."""

    async def online(client: ControlClient) -> Any:
        return await client.command("dead-unmute", group=group)

    async def offline(project: Project) -> Any:
        async with opened_stores(project) as journal:
            return await muting.unmute(journal, group)

    found = ask(online, offline)
    if as_json:
        say_json(found)
    else:
        say(f"{group}: {'unmuted' if found['unmuted'] else 'was not muted'}")


def _until(muted: dict[str, Any]) -> str:
    ends = [f"until {muted['until']}"] if muted["until"] else []
    return " or ".join([*ends, "until they change"] if muted["until_change"] else ends)


def _muting(muted: dict[str, Any] | None) -> str:
    if muted is None:
        return ""
    ended = muted["ended"]
    return f"no more: {ended}" if ended else _until(muted)


def _line(text: str) -> str:
    short = " ".join(text.split())
    return short if len(short) <= _SHOWN else f"{short[: _SHOWN - 3]}..."


@dead.command(short_help="Show one whole, with cause and stack.")
@click.argument("id")
@json_option
@common_options
def show(id: str, as_json: bool) -> None:
    """Show the dead letter with this ID: message, cause, node, attempts, stack."""
    found = _letter(id)
    if as_json:
        say_json(found)
        return
    say(f"{found['channel']} {found['id']}")
    for name, value in found["outcome"].items():
        say(f"{name}: {value}")
    say_message(found["message"])


def _letter(id: str) -> Any:
    async def online(client: ControlClient) -> Any:
        return await client.command("dead-show", id=id)

    async def offline(project: Project) -> Any:
        async with opened_stores(project) as journal:
            return await deadletters.show_letter(journal, id)

    return ask(online, offline)


@dead.command(short_help="Run dead letters again.")
@_ids
@_conditions
@click.option("--dry-run", is_flag=True, help="Only count them.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
@common_options
@click.pass_context
def redrive(
    ctx: click.Context,
    /,
    ids: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **conditions: Any,
) -> None:
    """Run dead letters again: those with these IDS, or all that fit.

    Whole messages run from the start of their channel, samples from the node where
    they failed. How many there are is told, and asked for, before the first runs.
    """
    wanted = Chosen(ids=list(ids) or None, **conditions)
    if not (ids or yes or dry_run):
        _ask_first(_redrive(wanted, True)["selected"], "Run again", wanted, as_json)
    report = _redrive(wanted, dry_run, is_quiet=as_json or dry_run)
    if as_json:
        say_json(report)
    elif not report["selected"]:
        _tell_none(wanted)
    elif dry_run:
        say(f"{report['selected']:,} dead letters would run again")
    else:
        for failure in report["failures"]:
            complain(f"{failure['id']}: {failure['error']}")
        say(
            f"{report['selected']:,} dead letters ran again: {report['settled']:,}"
            f" settled, {report['failed']:,} failed"
        )
    if report["failed"]:
        ctx.exit(ExitCode.FAILED)


def _redrive(wanted: Chosen, dry_run: bool, *, is_quiet: bool = True) -> dict[str, Any]:
    async def online(client: ControlClient) -> Any:
        arguments = msgspec.structs.asdict(wanted)
        async with shown_progress(
            client, "redrive.progress", "settled", _TOLD, is_quiet=is_quiet
        ) as ticket:
            return await client.command(
                "dead-redrive", dry_run=dry_run, ticket=ticket, **arguments
            )

    async def offline(project: Project) -> Any:
        if dry_run:
            async with opened_stores(project) as journal:
                report = await deadletters.redrive(
                    project, journal, wanted, dry_run=True
                )
        else:
            configure_logging(project.config.logging)
            async with Engine(
                project, control=False, simulator=False, sources=False
            ) as engine:
                report = await deadletters.redrive(project, engine.journal, wanted)
        return msgspec.structs.asdict(report)

    found: dict[str, Any] = ask(online, offline)
    return found


def _ask(
    command: str,
    offline: Callable[[Project], Coroutine[Any, Any, Any]],
    wanted: Chosen,
    **more: Any,
) -> dict[str, Any]:
    async def online(client: ControlClient) -> Any:
        arguments = msgspec.structs.asdict(wanted)
        return await client.command(command, **arguments, **more)

    found: dict[str, Any] = ask(online, offline)
    return found


def _ask_first(count: int, what: str, wanted: Chosen, as_json: bool) -> None:
    if as_json:
        raise UsageError("with --json nobody is asked; give --yes, or --dry-run")
    if not count:
        _tell_none(wanted)
        click.get_current_context().exit()
    click.confirm(f"{what} {count:,} dead letters?", abort=True)


@dead.command(short_help="Change the message of a dead letter.")
@click.argument("id")
@click.option(
    "--file",
    type=click.File("rb"),
    help="JSON with the new payload, meta, ctx or content_type; - is standard input."
    " Without it your editor opens.",
)
@json_option
@common_options
def edit(id: str, file: Any, as_json: bool) -> None:
    """Change the message of the dead letter with this ID.

    A new dead letter takes its place; `redrive` runs that.
    """
    changes = _given(file.read()) if file is not None else _edited(id)

    async def online(client: ControlClient) -> Any:
        return await client.command("dead-edit", id=id, changes=changes)

    async def offline(project: Project) -> Any:
        async with opened_stores(project) as journal:
            return await deadletters.edit(journal, id, changes)

    found = ask(online, offline)
    if as_json:
        say_json(found)
    else:
        say(f"dead letter {found['id']} takes its place; run it again by")
        say(f"  pichannels dead redrive {found['id']}")


def _given(text: str | bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as exc:
        raise UsageError(f"this is no JSON object: {exc}") from exc


def _edited(id: str) -> dict[str, Any]:
    message = _letter(id)["message"]
    before = {name: message[name] for name in _CHANGED if name in message}
    text = msgspec.json.format(msgspec.json.encode(before)).decode()
    after = click.edit(text, extension=".json")
    changes = _given(after or text)
    changed = {n: v for n, v in changes.items() if before.get(n) != v}
    if not changed:
        raise UsageError("nothing was changed")
    return changed


@dead.command(short_help="Give dead letters up.")
@_ids
@_conditions
@click.option("--reason", default="", metavar="TEXT", help="Kept with each.")
@click.option("--dry-run", is_flag=True, help="Only count them.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@json_option
@common_options
def discard(
    ids: tuple[str, ...],
    reason: str,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **conditions: Any,
) -> None:
    """Give dead letters up: they count as dropped, and go as other messages do."""
    wanted = Chosen(ids=list(ids) or None, **conditions)
    if not (ids or yes or dry_run):
        count = _discard(wanted, reason, True)["selected"]
        _ask_first(count, "Give up", wanted, as_json)
    report = _discard(wanted, reason, dry_run)
    if as_json:
        say_json(report)
    elif not report["selected"]:
        _tell_none(wanted)
    elif dry_run:
        say(f"{report['selected']:,} dead letters would be given up")
    else:
        say(f"{report['discarded']:,} dead letters given up")


def _discard(wanted: Chosen, reason: str, dry_run: bool) -> dict[str, Any]:
    async def offline(project: Project) -> Any:
        async with opened_stores(project) as journal:
            return await deadletters.discard(
                project, journal, wanted, reason=reason, dry_run=dry_run
            )

    return _ask("dead-discard", offline, wanted, reason=reason, dry_run=dry_run)
