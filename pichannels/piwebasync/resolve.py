"""Finds points in bulk: by path, or by a name filter of a data server.

The answers are plain values that can be written and read again; keeping them is
the caller's business, `web_id` and `id` outlive a restart of the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from pichannels.errors import DecodeError
from pichannels.piwebasync.bulk import (
    MULTIPLE_LIMIT,
    Found,
    fetch_multiple,
    parse_multiple,
)
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.splitting import URL_LIMIT, ListPager
from pichannels.values import Tag

__all__ = [
    "Point",
    "Resolution",
    "fetch_points",
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

    @property
    def key(self) -> str:
        """What outlives a rename."""
        return str(self.id) if self.id else self.path

    def tag(self, server: str) -> Tag:
        """The tag of this point; `server` is the configured logical server."""
        return Tag(
            name=self.name,
            path=self.path,
            web_id=self.web_id,
            server=server,
            key=self.key,
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


_decode_listed = msgspec.json.Decoder(_Listed, strict=False).decode


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
    found = parse_multiple(raw, paths, Point)
    return Resolution(found.objects, found.failures)


async def resolve_paths(
    client: HTTPClient,
    controller: Controller,
    paths: Sequence[str],
    *,
    web_id_type: str | None = None,
    url_limit: int = URL_LIMIT,
    max_paths: int = MULTIPLE_LIMIT,
    concurrency: int = 4,
) -> Resolution:
    r"""The points of many paths such as `\\SRV\TAG`, in few requests.

    A path that has no point is among the failures; it costs no other.

    Raises:
        HTTPClientError: a request got no answer.
        HTTPStatusError: a request as a whole was refused.
        DecodeError: an answer was not understood.
    """
    wanted = [path for path in paths if path.startswith("\\\\")]

    def build(some: Sequence[str]) -> APIRequest:
        return controller.points.get_multiple(
            path=some, selected_fields=_SINGLE, web_id_type=web_id_type
        )

    found = await fetch_multiple(
        client,
        build,
        wanted,
        Point,
        url_limit=url_limit,
        max_items=max_paths,
        concurrency=concurrency,
    )
    for path in set(paths).difference(wanted):
        found.failures[path] = r"it is no path of a point, such as \\SERVER\TAG"
    return Resolution(found.objects, found.failures)


async def fetch_points(
    client: HTTPClient,
    controller: Controller,
    wanted: Sequence[str],
    *,
    url_limit: int = URL_LIMIT,
) -> Found[Point]:
    """The points of many paths or WebIDs (all of one kind), in few requests.

    Raises:
        HTTPClientError: a request got no answer.
        HTTPStatusError: a request as a whole was refused.
        DecodeError: an answer was not understood.
    """

    def build(some: Sequence[str]) -> APIRequest:
        by_path = some[0].startswith("\\")
        return controller.points.get_multiple(
            webid=None if by_path else some,
            path=some if by_path else None,
            selected_fields=_SINGLE,
        )

    return await fetch_multiple(client, build, wanted, Point, url_limit=url_limit)


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
