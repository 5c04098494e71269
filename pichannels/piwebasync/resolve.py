"""Finds points in bulk: by path, or by a name filter of a data server.

The answers are plain values that can be written and read again; keeping them is
the caller's business, `web_id` and `id` outlive a restart of the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Final

import msgspec

from pichannels.errors import DecodeError
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.splitting import URL_LIMIT, ListPager, Part, split
from pichannels.piwebasync.timed_values import error_text
from pichannels.values import Tag

__all__ = [
    "Point",
    "Resolution",
    "find_points",
    "parse_points",
    "parse_points_multiple",
    "resolve_paths",
]

_FIELDS: Final = (
    "WebId Id Name Path Descriptor PointType DigitalSetName EngineeringUnits Step"
    " Future Zero Span"
).split()
_LISTED: Final = [f"Items.{field}" for field in _FIELDS]
_SINGLE: Final = ["Items.Identifier", "Items.Exception"] + [
    f"Items.Object.{field}" for field in _FIELDS
]


class Point(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """A PI point as PI describes it."""

    web_id: str
    name: str
    path: str
    id: int = 0
    descriptor: str | None = None
    point_type: str | None = None
    digital_set_name: str | None = None
    engineering_units: str | None = None
    step: bool | None = None
    future: bool | None = None
    """Whether its timestamps may lie ahead of now."""
    zero: float | None = None
    span: float | None = None

    def tag(self, server: str) -> Tag:
        """The tag of this point; `server` is the configured logical server."""
        return Tag(
            name=self.name,
            path=self.path,
            web_id=self.web_id,
            server=server,
            key=str(self.id) if self.id else self.path,
            units=self.engineering_units or "",
        )


class Resolution(msgspec.Struct):
    """The points of the paths that were asked for, and why others have none."""

    points: dict[str, Point] = {}
    """By the path as it was asked for."""
    failures: dict[str, str] = {}
    """Path to PI's reason."""


class _Listed(msgspec.Struct):
    items: list[Point] = msgspec.field(name="Items")


class _Answer(msgspec.Struct, rename="pascal"):
    identifier: str | None = None
    object: Point | None = None
    exception: Any = None


class _Multiple(msgspec.Struct):
    items: list[_Answer] = msgspec.field(name="Items")


_decode_listed = msgspec.json.Decoder(_Listed, strict=False).decode
_decode_multiple = msgspec.json.Decoder(_Multiple, strict=False).decode


def parse_points(raw: bytes) -> list[Point]:
    """The points of an answer of `dataservers/{webId}/points`.

    Raises:
        DecodeError: the bytes are no such answer.
    """
    try:
        return _decode_listed(raw).items
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise DecodeError("a list of points", str(exc), raw) from exc


def parse_points_multiple(raw: bytes, paths: Sequence[str]) -> Resolution:
    """What `points/multiple` answers to `paths`, in whatever order.

    Raises:
        DecodeError: the bytes are no such answer.
    """
    try:
        answers = _decode_multiple(raw).items
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise DecodeError("an answer of points/multiple", str(exc), raw) from exc
    given = {(answer.identifier or "").upper(): answer for answer in answers}
    found = Resolution()
    for path in paths:
        answer = given.get(path.upper(), _MISSING)
        if answer.object is not None:
            found.points[path] = answer.object
        else:
            reason = error_text(answer.exception)
            found.failures[path] = reason or "PI gave neither a point nor a reason"
    return found


_MISSING: Final = _Answer(exception={"Errors": ["it is missing in PI's answer"]})


async def resolve_paths(
    client: HTTPClient,
    controller: Controller,
    paths: Sequence[str],
    *,
    web_id_type: str | None = None,
    url_limit: int = URL_LIMIT,
    max_paths: int = 500,
    concurrency: int = 4,
) -> Resolution:
    r"""The points of many paths such as `\\SRV\TAG`, in few requests.

    A path that has no point is among the failures; it costs no other.

    Raises:
        HTTPClientError: a request got no answer.
        HTTPStatusError: a request as a whole was refused.
        DecodeError: an answer was not understood.
    """
    found = Resolution()
    wanted = [path for path in dict.fromkeys(paths) if path.startswith("\\\\")]
    for path in set(paths).difference(wanted):
        found.failures[path] = r"it is no path of a point, such as \\SERVER\TAG"

    def build(some: Sequence[str]) -> APIRequest:
        return controller.points.get_multiple(
            path=some, selected_fields=_SINGLE, web_id_type=web_id_type
        )

    limit = asyncio.Semaphore(concurrency)

    async def ask(part: Part) -> Resolution:
        async with limit:
            response = await client.get(part.request)
        response.raise_for_status()
        return parse_points_multiple(response.raw_response, part.items)

    parts = split(build, wanted, url_limit=url_limit, max_items=max_paths)
    for answer in await _all(ask(part) for part in parts):
        found.points |= answer.points
        found.failures |= answer.failures
    return found


async def _all(calls: Iterable[Coroutine[Any, Any, Resolution]]) -> list[Resolution]:
    """All results; the first failure ends the other calls."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call, name="resolve paths") for call in calls]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed.exceptions[0].__cause__
    return [task.result() for task in tasks]


async def find_points(
    client: HTTPClient,
    controller: Controller,
    server: str,
    name_filter: str = "*",
    *,
    web_id_type: str | None = None,
    page: int = 1000,
) -> list[Point]:
    """The points of the data server named `server` whose names match.

    `name_filter` knows `*` and `?`. All pages are read, as PI gives no links here.

    Raises:
        HTTPClientError: a request got no answer.
        HTTPStatusError: a request was refused, as for an unknown server.
        DecodeError: an answer was not understood.
    """
    server_id = await _server_web_id(client, controller, server)

    def build(start: int, count: int) -> APIRequest:
        return controller.dataservers.get_points(
            server_id,
            name_filter=name_filter,
            start_index=start,
            max_count=count,
            selected_fields=_LISTED,
            web_id_type=web_id_type,
        )

    # By WebID: a point that is made meanwhile shifts the pages.
    found: dict[str, Point] = {}
    pager = ListPager(build, page)
    while pager.request is not None:
        response = await client.get(pager.request)
        response.raise_for_status()
        points = parse_points(response.raw_response)
        found |= {point.web_id: point for point in points}
        pager.feed(len(points))
    return list(found.values())


async def _server_web_id(
    client: HTTPClient, controller: Controller, server: str
) -> str:
    response = await client.get(controller.dataservers.get_by_name(server))
    response.raise_for_status()
    web_id = response.dict().get("WebId")
    if not isinstance(web_id, str):
        raise DecodeError("a data server", "it has no WebId", response.raw_response)
    return web_id
