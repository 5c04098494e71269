"""`pichannels backfill`: jobs that deliver what the archive has of a range."""

from __future__ import annotations

from typing import Any, Final

import click
import msgspec

from pichannels.channels.jobs import JobPriority, JobState
from pichannels.cli.backfill_bars import follow
from pichannels.cli.budget import budget
from pichannels.cli.common import (
    ExitCode,
    ask,
    ask_instance,
    common_options,
    json_option,
)
from pichannels.cli.completion import complete_channels
from pichannels.cli.output import duration, say, say_json, say_table
from pichannels.cli.quantities import TIME
from pichannels.control import backfills
from pichannels.control.access import os_user
from pichannels.control.backfills import JobsWanted
from pichannels.control.client import ControlClient
from pichannels.engine import opened_stores
from pichannels.project import Project

__all__ = ["backfill"]

_COLUMNS: Final = ("job", "state", "done", "left", "values", "rate", "ready in", "tags")
_PRIORITIES: Final = [each.value for each in JobPriority]
_WRONG: Final = (JobState.FAILED, JobState.CANCELLED)


@click.group(short_help="Jobs that deliver what the archive has of a range.")
def backfill() -> None:
    """Deliver what the archive has of a range: before the first start, or again.

    A job is read by the running instance, behind live values, and goes on after a
    restart. It can be paused, cancelled, and go before or after others.
    """


backfill.add_command(budget)


@backfill.command(short_help="Begin a job.")
@click.argument("channel", shell_complete=complete_channels)
@click.option(
    "--tag",
    "-t",
    "tags",
    multiple=True,
    metavar="PATTERN",
    help="Only tags with this name or path; * and ? stand for others.",
)
@click.option(
    "--start",
    required=True,
    type=TIME,
    metavar="TIME",
    help="Of the range: ISO 8601, or '*-7d'.",
)
@click.option(
    "--end", type=TIME, metavar="TIME", help="Of the range; without it up to now."
)
@click.option(
    "--again", is_flag=True, help="Deliver what counts as delivered once more."
)
@click.option("--reason", default="", metavar="TEXT", help="Kept with the job.")
@click.option(
    "--priority",
    type=click.Choice(_PRIORITIES),
    default=JobPriority.NORMAL.value,
    help="Before (high) or after (low) all other holes.",
)
@click.option("--wait", is_flag=True, help="Show how far it is until it is over.")
@json_option
@common_options
@click.pass_context
def create(
    ctx: click.Context,
    /,
    channel: str,
    tags: tuple[str, ...],
    start: str,
    end: str | None,
    again: bool,
    reason: str,
    priority: str,
    wait: bool,
    as_json: bool,
) -> None:
    """Begin to deliver what the archive has of the tags of CHANNEL in a range.

    Without --tag all tags are meant. What is delivered already is left out, unless it
    is asked for --again.
    """

    async def online(client: ControlClient) -> Any:
        return await client.command(
            "backfill-create",
            channel=channel,
            tags=list(tags) or ["*"],
            start=start,
            end=end,
            again=again,
            who=os_user(),
            reason=reason,
            priority=priority,
        )

    _tell(ctx, ask_instance(online), wait, as_json)


@backfill.command("list", short_help="Show jobs.")
@click.argument("channel", required=False, shell_complete=complete_channels)
@click.option(
    "--state",
    type=click.Choice([state.value for state in JobState]),
    help="Only jobs in this state.",
)
@click.option("--watch", is_flag=True, help="Show how far they are until all are over.")
@json_option
@common_options
def list_(channel: str | None, state: str | None, watch: bool, as_json: bool) -> None:
    """Show the jobs of all channels, or of CHANNEL, the oldest first.

    Those of the last run where no instance runs.
    """
    wanted = JobsWanted(channel=channel, state=JobState(state) if state else None)

    async def online(client: ControlClient) -> Any:
        return await client.command("backfill-list", channel=channel, state=state)

    async def offline(project: Project) -> Any:
        async with opened_stores(project) as journal:
            return await backfills.list_jobs(project, journal, wanted)

    found = _plain(ask(online, offline))
    if watch:
        running = [job["id"] for job in found if job["state"] == JobState.RUNNING]
        found = follow(running, is_quiet=as_json) if running else found
    if as_json:
        say_json(found)
    elif not found:
        say("no jobs")
    else:
        say_table(_COLUMNS, map(_row, found))


def _plain(found: Any) -> Any:
    return msgspec.to_builtins(found)


def _row(job: dict[str, Any]) -> list[Any]:
    return [
        job["id"],
        job["state"],
        f"{int(job['done'] * 1000) / 10:.1f} %",
        duration(job["left"]) if job["left"] else "",
        job["values"],
        "" if job["rate"] is None else f"{job['rate']:,.0f}/s",
        "" if job["eta"] is None else duration(job["eta"]),
        job["tag_count"],
    ]


@backfill.command(short_help="Show one job whole.")
@click.argument("id")
@click.option("--wait", is_flag=True, help="Show how far it is until it is over.")
@json_option
@common_options
@click.pass_context
def show(ctx: click.Context, /, id: str, wait: bool, as_json: bool) -> None:
    """Show the job with this ID: what it delivers, how far it is, who asked for it."""

    async def online(client: ControlClient) -> Any:
        return await client.command("backfill-show", id=id)

    async def offline(project: Project) -> Any:
        async with opened_stores(project) as journal:
            return await backfills.show_job(project, journal, id)

    _tell(ctx, _plain(ask(online, offline)), wait, as_json)


@backfill.command(short_help="Read no more of a job until it is resumed.")
@click.argument("id")
@json_option
@common_options
@click.pass_context
def pause(ctx: click.Context, /, id: str, as_json: bool) -> None:
    """Read no more of the job with this ID until it is resumed.

    What is left of it is excluded as `paused`. Reads under way go on to their end.
    """
    _tell(ctx, _changed("pause", id), False, as_json)


@backfill.command(short_help="Go on with a paused job.")
@click.argument("id")
@click.option("--wait", is_flag=True, help="Show how far it is until it is over.")
@json_option
@common_options
@click.pass_context
def resume(ctx: click.Context, /, id: str, wait: bool, as_json: bool) -> None:
    """Go on with the job with this ID, which is paused."""
    _tell(ctx, _changed("resume", id), wait, as_json)


@backfill.command(short_help="Let a job go before or after others.")
@click.argument("id")
@click.argument("priority", type=click.Choice(_PRIORITIES))
@json_option
@common_options
@click.pass_context
def priority(ctx: click.Context, /, id: str, priority: str, as_json: bool) -> None:
    """Let the job with this ID go before (high) or after (low) all other holes.

    Among those of the same PRIORITY the newest hole comes first.
    """
    _tell(ctx, _changed("priority", id, priority=priority), False, as_json)


@backfill.command(short_help="Give a job up.")
@click.argument("id")
@json_option
@common_options
@click.pass_context
def cancel(ctx: click.Context, /, id: str, as_json: bool) -> None:
    """Give up the job with this ID: what is left of it is excluded as `cancelled`."""
    found = _changed("cancel", id)
    if as_json:
        say_json(found)
    else:
        _show(found)


def _changed(how: str, id: str, **more: str) -> dict[str, Any]:
    async def online(client: ControlClient) -> Any:
        return await client.command(f"backfill-{how}", id=id, **more)

    found: dict[str, Any] = ask_instance(online)
    return found


def _tell(ctx: click.Context, job: dict[str, Any], wait: bool, as_json: bool) -> None:
    """Show a job, at its end where that is waited for."""
    if wait and job["state"] == JobState.RUNNING:
        if not as_json:
            say(f"job {job['id']}: Ctrl-C leaves it running")
        (job,) = follow([job["id"]], is_quiet=as_json)
    if as_json:
        say_json(job)
    else:
        _show(job)
    if wait and job["state"] in _WRONG:
        ctx.exit(ExitCode.FAILED)


def _show(job: dict[str, Any]) -> None:
    again = ", again" if job["again"] else ""
    asked = " ".join(filter(None, (job["created"], job["who"], job["reason"])))
    usual = JobPriority.NORMAL.value
    first = "" if job["priority"] == usual else f", priority {job['priority']}"
    say(f"job {job['id']}: {job['state']}{first}")
    say(f"  tags      {', '.join(job['tags'])} ({job['tag_count']:,}){again}")
    say(f"  range     {job['start']} to {job['end']}")
    say(f"  asked     {asked}")
    say(f"  done      {int(job['done'] * 1000) / 10:.1f} %, {job['values']:,} values")
    if job["rate"] is not None:
        ready = "" if job["eta"] is None else f", ready in {duration(job['eta'])}"
        say(f"  pace      {job['rate']:,.0f} values/s{ready}")
    if job["unreadable"]:
        say(f"  missing   {job['unreadable']:,} tags cannot be read")
    if job["ended"]:
        say(f"  ended     {job['ended']}")
