"""`pichannels coverage`: what was delivered, and what was not."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from typing import Any, Final

import click
import msgspec

from pichannels.cli.chart import Chart, Row, legend
from pichannels.cli.common import ExitCode, ask, common_options, json_option
from pichannels.cli.completion import complete_channels
from pichannels.cli.holes import holes_line, length, oldest_hole
from pichannels.cli.lazy import load_name
from pichannels.cli.output import say, say_json, say_styled, say_table
from pichannels.cli.quantities import TIME
from pichannels.control.client import ControlClient
from pichannels.control.coverage_reports import CoverageWanted
from pichannels.coverage.expected import Verdict
from pichannels.coverage.tags import TagState
from pichannels.errors import UsageError, harmless
from pichannels.project import Project
from pichannels.values import TICKS_PER_SECOND, format_ticks, parse_ticks

__all__ = ["coverage"]

_CHANNELS: Final = (
    *("channel", "tags", "delivered", "in flight"),
    *("with holes", "holes", "longest", "known for"),
)
_REASONS: Final = ("channel", "what", "reason", "tags", "time", "known for")
_TAGS: Final = ("tag", "state", "delivered", "in flight", "holes", "known for", "why")
_SPANS: Final = (
    ("delivered", "delivered"),
    ("excluded", "excluded"),
    ("in_flight", "in flight"),
    ("holes", "hole"),
)
_NOT_OVER: Final = frozenset({"running", "paused", "failed"})
"""States of jobs of which something may come."""
_WIDTH: Final = 80
_NARROWEST: Final = 40


@click.command(short_help="What was delivered, and what was not?")
@click.argument("channel", required=False, shell_complete=complete_channels)
@click.option(
    "--tag",
    "-t",
    "tags",
    multiple=True,
    metavar="PATTERN",
    help="Only tags with this name or path; * and ? stand for others.",
)
@click.option(
    "--state",
    type=click.Choice([state.value for state in TagState]),
    help="Only tags in this state.",
)
@click.option(
    "--mark",
    type=click.Choice([mark.value for mark in Verdict]),
    help="Only tags with this mark.",
)
@click.option("--holes", is_flag=True, help="Show the tags that have holes.")
@click.option(
    "--start",
    type=TIME,
    metavar="TIME",
    help="Look only at what is later: ISO 8601, or '*-2h'.",
)
@click.option("--end", type=TIME, metavar="TIME", help="Look only at what is earlier.")
@click.option("--skip", default=0, type=click.IntRange(0), help="Leave out the first.")
@click.option(
    "--count",
    default=20,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Show at most so many tags.",
)
@click.option(
    "--width",
    type=click.IntRange(_NARROWEST),
    help="Of the chart, in characters; by default that of the terminal.",
)
@click.option(
    "--check", is_flag=True, help="One line and an exit code, for monitoring."
)
@click.option(
    "--max-hole",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="With --check: holes that are no longer are all right.",
)
@click.option(
    "--max-age",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="With --check: holes that are known for no longer are all right.",
)
@json_option
@common_options
@click.pass_context
def coverage(
    ctx: click.Context,
    /,
    channel: str | None,
    tags: tuple[str, ...],
    state: str | None,
    mark: str | None,
    holes: bool,
    start: str | None,
    end: str | None,
    skip: int,
    count: int,
    width: int | None,
    check: bool,
    max_hole: float | None,
    max_age: float | None,
    as_json: bool,
) -> None:
    """Show what was delivered of the tags of all channels, or of CHANNEL.

    With --tag, --state or --holes the tags, those with the longest holes first, and a
    chart of their time. It works with and without a running instance.

    With --check exit code 1 when there are holes; with --max-hole or --max-age only
    when there are longer or older ones.
    """
    if not check and (max_hole is not None or max_age is not None):
        raise UsageError("--max-hole and --max-age are limits of --check")
    wants_tags = bool(tags or state or mark or holes) and not check
    wanted = CoverageWanted(
        channel=channel,
        tags=list(tags),
        state=TagState(state) if state else None,
        mark=Verdict(mark) if mark else None,
        holes=holes,
        start=start,
        end=end,
        skip=skip,
        count=count if wants_tags else 0,
    )
    found = _asked(wanted)
    if check:
        _check(ctx, found["channels"], max_hole, max_age, as_json)
    elif as_json:
        say_json(found)
    elif wants_tags:
        _show_tags(found, wanted, width or _columns())
    else:
        _show_channels(found["channels"], wanted.channel)


def _asked(wanted: CoverageWanted) -> dict[str, Any]:
    async def online(client: ControlClient) -> Any:
        return await client.command("coverage", **msgspec.structs.asdict(wanted))

    async def offline(project: Project) -> Any:
        # Imports the engine, which nothing needs where one runs.
        report = load_name("pichannels.cli.offline:coverage_of")
        return msgspec.to_builtins(await report(project, wanted))

    found: dict[str, Any] = ask(online, offline)
    return found


# Channels


def _show_channels(channels: list[dict[str, Any]], wanted: str | None) -> None:
    if not channels:
        which = "no channel has a" if wanted is None else f"channel {wanted!r} has no"
        say(f"{which} coverage ledger yet; channels of PI tags begin one")
        return
    say_table(_CHANNELS, map(_channel_row, channels))
    reasons = [row for each in channels for row in _reason_rows(each)]
    if reasons:
        say()
        say_table(_REASONS, reasons)
    for each in channels:
        for line in _notes(each):
            say(f"{each['channel']}: {line}")


def _channel_row(each: dict[str, Any]) -> list[Any]:
    known = each["delivered"] + each["in_flight"] + each["hole_seconds"]
    has_holes = each["tags_with_holes"] > 0
    return [
        each["channel"],
        each["tags"],
        _share(each["delivered"], known),
        _share(each["in_flight"], known),
        each["tags_with_holes"],
        *(
            length(each[name]) if has_holes else ""
            for name in ("hole_seconds", "longest_hole", "oldest_hole")
        ),
    ]


def _reason_rows(each: dict[str, Any]) -> Iterator[list[Any]]:
    for what, reasons in (("hole", "holes"), ("excluded", "excluded")):
        for one in each[reasons]:
            yield [
                each["channel"],
                what,
                one["reason"],
                one["tags"],
                length(one["seconds"]),
                length(one["age"]),
            ]


def _notes(each: dict[str, Any]) -> Iterator[str]:
    if not each["is_running"]:
        yield "does not run; this is what its last run has left"
    states = {name: n for name, n in each["states"].items() if name != TagState.LIVE}
    if states:
        yield ", ".join(f"{count:,} {name}" for name, count in states.items())
    if marks := each["marks"]:
        yield ", ".join(f"{count:,} {name}" for name, count in marks.items())
    counts = (
        (each["not_found"], "tags that the server does not have"),
        (each["messages"], "messages in flight"),
        (each["reads"], "reads of the archive under way"),
        (each["waiting"], "tags that wait after a failed read"),
        (each["repaired"], "samples repaired"),
    )
    told = [f"{what}: {count:,}" for count, what in counts if count]
    if told:
        yield ", ".join(told)
    if jobs := {state: n for state, n in each["jobs"].items() if state in _NOT_OVER}:
        counted = ", ".join(f"{count:,} {state}" for state, count in jobs.items())
        yield f"backfill jobs: {counted}, {length(each['job_seconds'])} of tags left"


# Tags


def _show_tags(found: dict[str, Any], wanted: CoverageWanted, width: int) -> None:
    tags = found["tags"]
    if not tags:
        say("no such tag" + (" has holes" if wanted.holes else ""))
        return
    has_many = len({tag["channel"] for tag in tags}) > 1
    for tag in tags:
        tag["name"] = f"{tag['channel']} {tag['tag']}" if has_many else tag["tag"]
    say_table(_TAGS, map(_tag_row, tags))
    say()
    _draw(tags, wanted, width)
    rest = found["matching"] - wanted.skip - len(tags)
    if rest > 0:
        say(f"and {rest:,} more tags: --skip {wanted.skip + len(tags)}")


def _tag_row(tag: dict[str, Any]) -> list[Any]:
    known = sum(tag[f"{part}_seconds"] for part in ("delivered", "in_flight", "hole"))
    reasons = dict.fromkeys(piece["reason"] for piece in tag["holes"])
    return [
        tag["name"],
        f"{tag['state']}, {tag['mark']}" if tag["mark"] else tag["state"],
        _share(tag["delivered_seconds"], known),
        _share(tag["in_flight_seconds"], known),
        length(tag["hole_seconds"]) if tag["holes"] else "",
        length(tag["oldest_hole"]) if tag["holes"] else "",
        ", ".join(reasons),
    ]


def _draw(tags: list[dict[str, Any]], wanted: CoverageWanted, width: int) -> None:
    start = min(parse_ticks(wanted.start or tag["start"]) for tag in tags)
    end = max(parse_ticks(tag["end"]) for tag in tags)
    encoding = sys.stdout.encoding or "ascii"
    rows = [Row(harmless(tag["name"]), list(_spans(tag))) for tag in tags]
    chart = Chart(start, end, rows, width, encoding)
    first, last = (_moment(at) for at in (start, end))
    say(f"{first} to {last}, a column is {length(chart.column)}")
    for line in chart.lines():
        say_styled(line)
    say_styled(legend(encoding))


def _spans(tag: dict[str, Any]) -> Iterator[tuple[str, int, int]]:
    for name, kind in _SPANS:
        for span in tag[name]:
            yield kind, parse_ticks(span["start"]), parse_ticks(span["end"])


def _columns() -> int:
    if not sys.stdout.isatty():
        return _WIDTH
    return max(shutil.get_terminal_size((_WIDTH, 24)).columns, _NARROWEST)


# For monitoring


def _check(
    ctx: click.Context,
    channels: list[dict[str, Any]],
    max_hole: float | None,
    max_age: float | None,
    as_json: bool,
) -> None:
    bad = [each for each in channels if _is_beyond(each, max_hole, max_age)]
    is_ok = bool(channels) and not bad
    text = "; ".join(filter(None, map(holes_line, bad))) or _good(channels)
    if as_json:
        say_json({"ok": is_ok, "text": text, "channels": channels})
    else:
        word = "OK" if is_ok else "WARNING"
        say(f"COVERAGE {word}: {text} | {_numbers(channels, max_hole, max_age)}")
    if not is_ok:
        ctx.exit(ExitCode.FAILED)


def _is_beyond(
    each: dict[str, Any], max_hole: float | None, max_age: float | None
) -> bool:
    if max_hole is None and max_age is None:
        return bool(each["tags_with_holes"])
    is_long = max_hole is not None and each["longest_hole"] > max_hole
    return is_long or (max_age is not None and oldest_hole(each) > max_age)


def _good(channels: list[dict[str, Any]]) -> str:
    if not channels:
        return "no channel has a coverage ledger"
    tags = sum(each["tags"] for each in channels)
    holes = sum(each["tags_with_holes"] for each in channels)
    more = f", {holes:,} of them have holes within the limits" if holes else ""
    absent = sum(each["not_found"] for each in channels)
    rest = f"; {absent:,} others the server does not have" if absent else ""
    return f"{tags:,} tags are covered{more}{rest}"


def _numbers(
    channels: list[dict[str, Any]], max_hole: float | None, max_age: float | None
) -> str:
    """Performance data as monitoring plug-ins write it."""
    limits = ["" if each is None else f";{each:g}" for each in (max_hole, max_age)]
    longest = max((each["longest_hole"] for each in channels), default=0)
    oldest = max(map(oldest_hole, channels), default=0)
    tags, holes = (
        sum(each[name] for each in channels) for name in ("tags", "tags_with_holes")
    )
    return (
        f"tags={tags} tags_with_holes={holes}"
        f" longest_hole={longest:.0f}s{limits[0]} oldest_hole={oldest:.0f}s{limits[1]}"
    )


# Words


def _share(part: float, whole: float) -> str:
    """A share in hundredths of a percent, never 100 % of what is not all."""
    if not part:
        return ""
    return "100 %" if part >= whole else f"{int(part / whole * 10_000) / 100:.2f} %"


def _moment(at: int) -> str:
    return format_ticks(at - at % TICKS_PER_SECOND)
