"""`pichannels tail`: follow what comes out of a channel."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import click

from pichannels import codecs
from pichannels.channels.tapping import shown_of
from pichannels.cli.common import common_options, json_option
from pichannels.cli.completion import complete_channels
from pichannels.cli.linking import (
    Target,
    linked,
    read_leniently,
    run,
    target_options,
)
from pichannels.cli.output import complain, readable, say, short_time
from pichannels.cli.quantities import instant
from pichannels.control.tapped import text_of
from pichannels.errors import (
    CodecError,
    DecodeError,
    MessageError,
    SettingsError,
    UsageError,
)
from pichannels.expressions import Expression, parse_expression
from pichannels.message import Message
from pichannels.remote import END, START, EntityStream, Gap, Link, PositionLost
from pichannels.remote.stream import Start
from pichannels.remote_config import CHANNELS
from pichannels.values import Sample, datetime_from_ticks, parse_ticks

__all__ = ["tail"]

_LOOK: Final = 0.2
_LONGEST: Final = 2000

Filter = Callable[[Any], Any]


@click.command(short_help="Follow what comes out of a channel.")
@click.argument("channel", shell_complete=complete_channels)
@click.option(
    "--filter",
    "condition",
    metavar="EXPR",
    help="Only what fits, such as \"good and value > 80\" or \"meta['lane'] == 'x'\".",
)
@click.option(
    "--from",
    "start",
    default="end",
    metavar="PLACE",
    help="Where to begin: end (now), start, a position, or a time (ISO 8601, '*-2h').",
)
@click.option("--count", type=click.IntRange(1), help="End after so many messages.")
@click.option("--no-follow", is_flag=True, help="End with what is there now.")
@json_option
@target_options
@common_options
def tail(
    channel: str,
    target: Target,
    condition: str | None,
    start: str,
    count: int | None,
    no_follow: bool,
    as_json: bool,
) -> None:
    """Follow what comes out of CHANNEL, of this project's instance or of another one.

    CHANNEL may also be a whole name, such as stores/boiler, which reads the channel's
    store. It goes on by itself when the link was lost; what was missed is told.
    """
    shown = _Shown(_filter(condition), count, as_json)
    name = channel if "/" in channel else f"{CHANNELS}/{channel}"
    try:
        run(_tail(target, name, _start(start), shown, follow=not no_follow))
    except KeyboardInterrupt:
        return


def _start(text: str) -> Start:
    if text in ("start", "end"):
        return START if text == "start" else END
    if text.isdecimal():
        return int(text)
    try:
        return datetime_from_ticks(parse_ticks(instant(text)))
    except DecodeError as exc:
        raise UsageError(
            f"--from is start, end, a position or a time, not {text!r}"
        ) from exc


def _filter(text: str | None) -> Filter:
    """What is left of a message: itself, with samples that fit, or None."""
    if text is None:
        return lambda msg: msg
    try:
        return _of_samples(parse_expression(text, "sample"))
    except SettingsError as exc:
        of_samples = exc
    try:
        found = parse_expression(text, "message")
    except SettingsError as exc:
        # What is wrong in itself is so for both.
        told = dict.fromkeys((of_samples.problem, exc.problem))
        raise UsageError(f"--filter {text!r}: {'; '.join(told)}") from exc
    return lambda value: value if _fits(found, value) else None


def _of_samples(wanted: Expression) -> Filter:
    def only(value: Any) -> Any:
        if not isinstance(value, Message):
            return None
        found = [each for each in _samples(value.payload) if _fits(wanted, each)]
        return value.derive(found) if found else None

    return only


def _fits(wanted: Expression, subject: Any) -> bool:
    try:
        return bool(wanted(subject))
    except MessageError:
        return False


def _samples(payload: Any) -> list[Sample]:
    found = payload if isinstance(payload, list | tuple) else [payload]
    return [each for each in found if isinstance(each, Sample)]


class _Shown:
    """Writes what comes, as long as it is wanted."""

    def __init__(self, wanted: Filter, count: int | None, as_json: bool) -> None:
        self._wanted = wanted
        self._left = count
        self._as_json = as_json

    @property
    def is_done(self) -> bool:
        """Whether all that was wanted has been shown."""
        return self._left == 0

    def show(self, value: Any) -> None:
        """Write a value, if it is wanted."""
        if isinstance(value, Gap):
            complain(f"-- {value.count:,} messages are missing: this was too slow")
            return
        found = self._wanted(value)
        if found is None:
            return
        self._write(found)
        # Who reads this from a pipe gets it at once.
        sys.stdout.flush()
        if self._left is not None:
            self._left -= 1

    def _write(self, value: Any) -> None:
        if self._as_json:
            is_message = isinstance(value, Message)
            say(value.to_json() if is_message else codecs.encode_json(value))
        elif isinstance(value, Message) and (found := _samples(value.payload)):
            for sample in found:
                say(readable(sample))
        elif isinstance(value, Message):
            say(f"{short_time(value.timestamp_str())}  {_short(value.payload)}")
        else:
            say(_short(value))


def _short(payload: Any) -> str:
    line = " ".join(text_of(shown_of(Message(payload=payload))).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


async def _tail(
    target: Target, name: str, start: Start, shown: _Shown, *, follow: bool
) -> None:
    async with linked(target) as link, _watched(link):
        while not shown.is_done:
            try:
                async with link.entities(
                    name, start=start, follow=follow, resume=True, resume_within=None
                ) as stream:
                    return await _read(stream, shown)
            except PositionLost as exc:
                # The other side was restarted, or has kept no more than this.
                complain(f"-- messages are missing: {exc.reason}")
                start = START


async def _read(stream: EntityStream, shown: _Shown) -> None:
    while items := await stream.receive_packed():
        for item in items:
            try:
                shown.show(read_leniently(item))
            except CodecError as exc:
                complain(f"-- the message at {item.position} cannot be read: {exc}")
            if shown.is_done:
                return


@asynccontextmanager
async def _watched(link: Link) -> AsyncIterator[None]:
    """Tell when the link is lost, and when it is there again."""
    watching = asyncio.create_task(_watch(link), name="link watch")
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def _watch(link: Link) -> None:
    was_linked = True
    while True:
        if link.is_linked != was_linked:
            was_linked = link.is_linked
            complain(
                "-- the link is there again"
                if was_linked
                else "-- the link is lost; waiting for it"
            )
        await asyncio.sleep(_LOOK)
