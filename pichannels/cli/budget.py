"""`pichannels backfill budget`: how much PI is asked for repair and backfill."""

from __future__ import annotations

from typing import Any

import click

from pichannels.cli.common import ask_instance, common_options, json_option
from pichannels.cli.output import duration, say, say_json
from pichannels.control.client import ControlClient
from pichannels.errors import UsageError

__all__ = ["budget"]


@click.command(short_help="How much PI is asked for repair and backfill.")
@click.option(
    "--server",
    default="",
    metavar="HOST:PORT",
    help="Of this server, where several are.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    help="Let history have so many requests/s.",
)
@click.option(
    "--no-limit", is_flag=True, help="Let history have all that live values leave."
)
@click.option("--pause/--resume", default=None, help="Nothing at all, or go on.")
@json_option
@common_options
def budget(
    server: str,
    rate: float | None,
    no_limit: bool,
    pause: bool | None,
    as_json: bool,
) -> None:
    """Show or change what the running instance asks PI of the past.

    History is repair, backfill, comparing, and looking at the past. It never gets more
    than the server may be asked (PI_LIMITS); a change holds until the instance ends.
    """
    if rate is not None and no_limit:
        raise UsageError("--rate and --no-limit do not go together")
    wanted: dict[str, Any] = {"server": server}
    if rate is not None or no_limit:
        wanted["rate"] = rate
    if pause is not None:
        wanted["paused"] = pause

    async def online(client: ControlClient) -> Any:
        return await client.command("pi-budget", **wanted)

    found = ask_instance(online)
    if as_json:
        say_json(found)
    else:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    server = found["server"]
    own, waiting = server["history_rate"], server["waiting"]["history"]
    limit = "all that live values leave" if own is None else f"{own:g} requests/s"
    if server["history_paused"]:
        limit += ", paused"
    short = ", all that it may" if found["is_short"] else ""
    say(f"server {server['name']}")
    say(f"  may be asked  {server['full_rate']:g} requests/s, {server['rate']:.3g} now")
    say(f"  for history   {limit}")
    say(f"  used          {server['history_used']:.1f} requests/s{short}")
    say(f"  waiting       {waiting:,} requests")
    for job in found["jobs"]:
        say(f"  job {job['id']}: {_ready(job['eta'])} as it was, {_new(job)}")


def _new(job: dict[str, Any]) -> str:
    expected = job["expected"]
    return "not known" if expected is None else f"about {duration(expected)} now"


def _ready(eta: float | None) -> str:
    return "not known" if eta is None else f"ready in {duration(eta)}"
