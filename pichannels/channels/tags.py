"""From the tags of the settings to the points that a server has for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pichannels.errors import NotConnected
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.exceptions import PIWebAsyncException
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.resolve import (
    Point,
    Resolution,
    find_points,
    resolve_paths,
)

__all__ = ["WEB_ID_TYPE", "find_tags"]

WEB_ID_TYPE: Final = "IDOnly"
"""Half as long as full WebIDs, so that more tags share a PI channel."""


async def find_tags(
    client: HTTPClient,
    controller: Controller,
    wanted: Sequence[str],
    *,
    data_server: str | None,
    url_limit: int,
) -> tuple[list[Point], dict[str, str]]:
    r"""The points for `wanted`, each once, and why some have none.

    Args:
        client: sends the requests.
        controller: makes them.
        wanted: paths (`\\SERVER\TAG`), names, or names with `*` and `?`.
        data_server: where names are looked up; None is the first one listed.
        url_limit: characters of one URL, at most.

    Raises:
        PIWebAsyncException: a request got no answer, or was refused as a whole.
        DecodeError: an answer was not understood.
        NotConnected: the server lists no data server.
    """
    filters = [tag for tag in wanted if "*" in tag or "?" in tag]
    plain = [tag for tag in wanted if tag not in filters]
    server = data_server
    if server is None and (filters or any(not _is_path(tag) for tag in plain)):
        server = await _first_data_server(client, controller)
    paths = {tag if _is_path(tag) else rf"\\{server}\{tag}": tag for tag in plain}
    found = Resolution()
    if paths:
        found = await _resolved(client, controller, list(paths), url_limit)
    points = list(found.points.values())
    failures = {paths[path]: reason for path, reason in found.failures.items()}
    for name_filter in filters:
        assert server is not None
        matching = await find_points(
            client, controller, server, name_filter, web_id_type=WEB_ID_TYPE
        )
        points += matching
        if not matching:
            failures[name_filter] = f"no tag of {server} matches"
    return list({point.web_id: point for point in points}.values()), failures


async def _resolved(
    client: HTTPClient, controller: Controller, paths: list[str], url_limit: int
) -> Resolution:
    try:
        return await resolve_paths(
            client, controller, paths, web_id_type=WEB_ID_TYPE, url_limit=url_limit
        )
    except ExceptionGroup as group:
        # Requests that ran together mostly fail for the same reason.
        matching, others = group.split(PIWebAsyncException)
        if matching is None or others is not None:
            raise
        raise _first(matching) from group


def _first(group: ExceptionGroup[PIWebAsyncException]) -> PIWebAsyncException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, ExceptionGroup) else first


async def _first_data_server(client: HTTPClient, controller: Controller) -> str:
    response = await client.get(controller.dataservers.list())
    response.raise_for_status()
    names = [name for name in response.select("Items.Name")["Items.Name"] if name]
    if not names:
        raise NotConnected(response.url, "it lists no data server")
    return str(names[0])


def _is_path(tag: str) -> bool:
    return tag.startswith("\\\\")
