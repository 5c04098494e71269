"""`pichannels pi read` and `listen`: the values of tags."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final

import click

from pichannels.channels.tags import WEB_ID_TYPE, Stream, checked_tags, find_tags
from pichannels.cli.common import json_option
from pichannels.cli.output import (
    complain,
    readable,
    say,
    say_csv,
    say_line,
    value_text,
)
from pichannels.cli.pi import Connection, connected, pi, server_options
from pichannels.errors import PichannelsError, UsageError
from pichannels.piwebasync.exceptions import ChannelClosed
from pichannels.piwebasync.frames import ChannelEvent, Connected, Lost, NotOpened
from pichannels.piwebasync.health import ask
from pichannels.piwebasync.history import recorded
from pichannels.piwebasync.parsing import (
    ChannelMessage,
    parse_channel,
    parse_stream_set,
    to_samples,
)
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.splitting import URL_LIMIT, split
from pichannels.piwebasync.websocket import WebsocketClient
from pichannels.values import Sample, Tag, ValueFailure

__all__ = ["listen", "pi", "read"]

Show = Callable[[Sequence[Sample]], None]

_TAGS_AT_ONCE: Final = 500
_HEARTBEAT: Final = 5
_COLUMNS: Final = (
    "tag",
    "time",
    "value",
    "units",
    "good",
    "questionable",
    "substituted",
    "annotated",
)

csv_option = click.option("--csv", "as_csv", is_flag=True, help="Write CSV.")


@pi.command(short_help="What is, or was, the value of tags?")
@click.argument("tags", nargs=-1, required=True)
@click.option("--start", metavar="TIME", help="The archived values from this time on.")
@click.option("--end", metavar="TIME", default="*", help="Until then; now without it.")
@click.option("--data-server", metavar="NAME", help="By default the first one.")
@server_options
@csv_option
@json_option
def read(
    tags: tuple[str, ...],
    start: str | None,
    end: str,
    data_server: str | None,
    as_csv: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Show the current value of TAGS, or with --start all archived values.

    TAGS are names, names with * and ?, paths of points (\\\\SERVER\\TAG) and of AF
    attributes (\\\\AF\\DB\\ELEMENT|ATTRIBUTE). TIME is ISO 8601 or PI time, such as
    '*-1d' or 't'. With --json one line for each value.
    """
    show = _shown(as_csv, as_json)

    async def look(connection: Connection) -> None:
        streams = await _found(connection, tags, data_server)
        if start is None:
            pages = _current(connection, streams)
        else:
            pages = _archived(connection, streams, start, end)
        async for page in pages:
            show(page)

    connected(look, **options)


@pi.command(short_help="What do tags say from now on?")
@click.argument("tags", nargs=-1, required=True)
@click.option("--data-server", metavar="NAME", help="By default the first one.")
@click.option("--seconds", type=click.FloatRange(0.1), help="End after so long.")
@click.option("--count", type=click.IntRange(1), help="End after so many values.")
@server_options
@csv_option
@json_option
def listen(
    tags: tuple[str, ...],
    data_server: str | None,
    seconds: float | None,
    count: int | None,
    as_csv: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Show the values of TAGS as they come, the current ones first, until Ctrl-C.

    TAGS are as for `read`. A lost connection is told and opened again.
    """
    show = _shown(as_csv, as_json)

    async def look(connection: Connection) -> None:
        streams = await _found(connection, tags, data_server)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _listen(connection, streams, show, count)

    with contextlib.suppress(KeyboardInterrupt):
        connected(look, **options)


async def _found(
    connection: Connection, tags: Sequence[str], data_server: str | None
) -> list[Stream]:
    """The streams of the tags; tells which tags have none.

    Raises:
        PichannelsError: no tag has any.
    """
    await ask(connection.client, connection.controller.dataservers.list())
    streams, failures, _ = await find_tags(
        connection.client,
        connection.controller,
        checked_tags(tags),
        data_server=data_server,
        url_limit=URL_LIMIT,
    )
    for tag, reason in failures.items():
        complain(f"{tag}: {reason}")
    if not streams:
        raise PichannelsError("none of the tags was found: pichannels pi points")
    return streams


# Reading


async def _current(
    connection: Connection, streams: Sequence[Stream]
) -> AsyncIterator[list[Sample]]:
    """The newest values; those of future tags lie ahead."""
    streamsets = connection.controller.streamsets

    def newest(web_ids: Sequence[str]) -> APIRequest:
        return streamsets.get_end_adhoc(web_ids, web_id_type=WEB_ID_TYPE)

    web_ids = [stream.web_id for stream in streams]
    for part in split(newest, web_ids, max_items=_TAGS_AT_ONCE):
        response = await ask(connection.client, part.request)
        yield _samples(parse_stream_set(response.raw_response), streams)


async def _archived(
    connection: Connection, streams: Sequence[Stream], start: str, end: str
) -> AsyncIterator[list[Sample]]:
    names = {stream.web_id: stream.path for stream in streams}
    reading = recorded(
        connection.client,
        connection.controller,
        list(names),
        start,
        end,
        tags=_tags(streams),
    )
    async for page in reading.pages():
        yield page
    for web_id, reason in reading.failures.items():
        complain(f"{names[web_id]}: {reason}")
    for bad in reading.bad_events:
        complain(f"{bad.tag.name}: {bad.cause}")


def _samples(message: ChannelMessage, streams: Iterable[Stream]) -> list[Sample]:
    found = to_samples(message, _tags(streams))
    for stream in message.streams:
        if stream.failure and not stream.events:
            complain(f"{stream.name or stream.web_id}: {stream.failure}")
    for bad in found.failures:
        complain(f"{bad.tag.name}: {bad.cause}")
    return found.samples


def _tags(streams: Iterable[Stream]) -> dict[str, Tag]:
    tags: dict[str, Tag] = {}
    for stream in streams:
        tag = stream.tag("")
        tags[stream.web_id] = tags[stream.path] = tag
    return tags


# Listening


async def _listen(
    connection: Connection, streams: Sequence[Stream], show: Show, count: int | None
) -> None:
    controller = connection.server.controller(websocket=True)

    def channel(web_ids: Sequence[str]) -> APIRequest:
        return controller.streamsets.get_channel_adhoc(
            web_ids,
            include_initial_values=True,
            heartbeat_rate=_HEARTBEAT,
            web_id_type=WEB_ID_TYPE,
        )

    web_ids = [stream.web_id for stream in streams]
    queue: asyncio.Queue[list[Sample]] = asyncio.Queue(100)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_receive(connection, part.request, streams, queue))
            for part in split(channel, web_ids, max_items=_TAGS_AT_ONCE)
        ]
        left = count
        while left is None or left > 0:
            samples = (await queue.get())[:left]
            await asyncio.to_thread(show, samples)
            left = None if left is None else left - len(samples)
        for task in tasks:
            task.cancel()


async def _receive(
    connection: Connection,
    request: APIRequest,
    streams: Sequence[Stream],
    queue: asyncio.Queue[list[Sample]],
) -> None:
    server = connection.server
    client = WebsocketClient(
        request,
        auth=server.auth,
        extra_headers=server.headers,
        verify=server.verify,
        cert=server.cert,
        reconnect=True,
        heartbeat=float(_HEARTBEAT),
        on_event=_tell,
        limiter=connection.limiter,
    )
    client.start()
    try:
        while True:
            for frame in await client.recv_many(2**20):
                await queue.put(_samples(parse_channel(frame), streams))
    except ChannelClosed as exc:
        raise PichannelsError(str(exc)) from exc
    finally:
        await client.close()


def _tell(event: ChannelEvent) -> None:
    if isinstance(event, Connected):
        complain("connected; Ctrl-C ends")
    elif isinstance(event, Lost):
        complain(f"the connection is lost ({event.reason} {event.detail})".rstrip())
    elif isinstance(event, NotOpened):
        complain(str(event.error))


# Showing


def _shown(as_csv: bool, as_json: bool) -> Show:
    """What shows samples in the way that the options say."""
    if as_csv and as_json:
        raise UsageError("--csv and --json are two ways; take one of them")
    if as_json:
        return _show_json
    if as_csv:
        say_csv([_COLUMNS])
        return lambda samples: say_csv(map(_cells, samples))
    return _show_text


def _show_json(samples: Sequence[Sample]) -> None:
    for sample in samples:
        say_line(_facts(sample))


def _show_text(samples: Sequence[Sample]) -> None:
    for sample in samples:
        say(readable(sample))


def _facts(sample: Sample) -> dict[str, Any]:
    found = dict(zip(_COLUMNS, _cells(sample), strict=True))
    value = sample.value
    failed = isinstance(value, ValueFailure)
    found["value"] = {"error": value.message} if failed else value
    return {**found, "path": sample.tag.path}


def _cells(sample: Sample) -> list[Any]:
    return [
        sample.tag.name,
        sample.iso,
        value_text(sample.value),
        sample.units or sample.tag.units,
        sample.good,
        sample.questionable,
        sample.substituted,
        sample.annotated,
    ]
