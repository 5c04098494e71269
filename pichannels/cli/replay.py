"""`pichannels replay`: process stored messages again."""

from __future__ import annotations

from typing import Any, Final

import click
import msgspec

from pichannels.cli.common import (
    ExitCode,
    ask,
    common_options,
    json_option,
)
from pichannels.cli.completion import (
    complete_channels,
    complete_ids,
    complete_nodes,
)
from pichannels.cli.linking import Target, linked, run, target_options
from pichannels.cli.logs import configure_logging
from pichannels.cli.output import complain, say, say_json
from pichannels.cli.progress import shown_progress
from pichannels.cli.quantities import made_options
from pichannels.control import replaying
from pichannels.control.client import ControlClient
from pichannels.control.replaying import Replay
from pichannels.engine import Engine, opened_stores
from pichannels.errors import UsageError
from pichannels.project import Project
from pichannels.remote_config import STORES
from pichannels.store import State

__all__ = ["replay"]

_TOLD: Final = "replayed; Ctrl-C ends"


@click.command(short_help="Process stored messages again.")
@click.argument("ids", nargs=-1, shell_complete=complete_ids)
@click.option(
    "--channel",
    "-c",
    metavar="NAME",
    shell_complete=complete_channels,
    help="Only messages of this channel.",
)
@made_options
@click.option(
    "--state",
    type=click.Choice([str(state) for state in State]),
    help="Only messages in this state.",
)
@click.option("--text", help="Only where the payload contains this.")
@click.option("--regex", help="Only where this is found in the payload.")
@click.option(
    "--from-node",
    metavar="NAME",
    shell_complete=complete_nodes,
    help="Only into the sinks from this node on.",
)
@click.option(
    "--to-sink",
    metavar="NAME",
    shell_complete=complete_nodes,
    help="Only into this sink.",
)
@click.option("--dry-run", is_flag=True, help="Only count the messages.")
@json_option
@target_options
@common_options
@click.pass_context
def replay(
    ctx: click.Context,
    /,
    ids: tuple[str, ...],
    target: Target,
    dry_run: bool,
    as_json: bool,
    **conditions: Any,
) -> None:
    """Process stored messages again: those with these IDS, or all that fit.

    Each runs as a new message that is marked as a replay. The running instance
    does it; where none runs, the channels run here, without their sources. With
    --from-node or --to-sink the other sinks are not touched again. With --url
    another instance does it, with the messages of one of its channels.
    """
    wanted = Replay(ids=list(ids) or None, **conditions)
    if target.url is None:
        report = _replay(wanted, dry_run, is_quiet=as_json or dry_run)
    else:
        report = run(_replay_there(target, wanted, dry_run))
    if as_json:
        say_json(report)
    elif dry_run:
        say(f"{report['selected']:,} messages would be replayed")
    else:
        _tell(report)
    if report["failures"]:
        ctx.exit(ExitCode.FAILED)


def _replay(wanted: Replay, dry_run: bool, *, is_quiet: bool) -> dict[str, Any]:
    async def online(client: ControlClient) -> dict[str, Any]:
        arguments = msgspec.structs.asdict(wanted)
        async with shown_progress(
            client, "replay.progress", "replayed", _TOLD, is_quiet=is_quiet
        ) as ticket:
            report: dict[str, Any] = await client.command(
                "replay", dry_run=dry_run, ticket=ticket, **arguments
            )
        return report

    async def offline(project: Project) -> dict[str, Any]:
        if dry_run:
            async with opened_stores(project):
                report = await replaying.replay(project, wanted, dry_run=True)
        else:
            configure_logging(project.config.logging)
            async with Engine(project, control=False, simulator=False, sources=False):
                report = await replaying.replay(project, wanted)
        return msgspec.structs.asdict(report)

    return ask(online, offline)


async def _replay_there(
    target: Target, wanted: Replay, dry_run: bool
) -> dict[str, Any]:
    if wanted.channel is None:
        raise UsageError("name the --channel of the other instance")
    given = msgspec.structs.asdict(wanted)
    conditions = {name: given[name] for name in given if given[name] is not None}
    async with linked(target) as link:
        stores = link.service(STORES)
        report: dict[str, Any] = await stores.replay(
            wanted.channel, conditions, dry_run
        )
    return report


def _tell(report: dict[str, Any]) -> None:
    for failure in report["failures"]:
        complain(f"{failure['channel']} {failure['id']}: {failure['error']}")
    say(
        f"{report['replayed']:,} of {report['selected']:,} messages replayed:"
        f" {report['processed']:,} processed, {report['dropped']:,} dropped,"
        f" {report['rejected']:,} rejected, {report['failed']:,} failed"
    )
    if report["passed_by"]:
        say(f"{report['passed_by']:,} of them came to none of these sinks")
    if report["stored"]:
        say(f"{report['stored']:,} are stored and run when their channel goes on")
