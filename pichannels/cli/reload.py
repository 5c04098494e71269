"""`pichannels reload`: let changed settings take effect in the running instance."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from pichannels.cli.common import (
    ExitCode,
    ask_instance,
    common_options,
    json_option,
)
from pichannels.cli.output import complain, say, say_json
from pichannels.control.client import ControlClient
from pichannels.reload import ReloadReport

__all__ = ["reload"]


@click.command(short_help="Let changed settings take effect.")
@click.option("--plan", is_flag=True, help="Only show what would change, and why.")
@json_option
@common_options
@click.pass_context
def reload(ctx: click.Context, /, plan: bool, as_json: bool) -> None:
    """Let the settings as they are now take effect, without a restart.

    Channels that are defined as before are not touched; the others are replaced one
    by one. Settings that cannot be used change nothing (exit code 3), nor does what
    needs a restart (exit code 1).
    """

    async def ask(client: ControlClient) -> dict[str, Any]:
        found: dict[str, Any] = await client.command("reload", dry_run=plan)
        return found

    found = ask_instance(ask)
    report = msgspec.convert(found, ReloadReport)
    if as_json:
        say_json(found)
    else:
        _tell(report, plan)
    if report.restart or report.failures:
        ctx.exit(ExitCode.FAILED)


def _tell(report: ReloadReport, plan: bool) -> None:
    for line in report.lines():
        say(line)
    if report.restart:
        complain("nothing was changed: start the instance again")
    elif report.is_empty:
        say("nothing has changed")
    elif plan:
        say("nothing was changed yet: this was the plan")
    elif report.failures:
        complain("some channels could not be changed and are as they were")
    else:
        say("reloaded")
