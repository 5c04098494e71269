"""Generated projects of many PI channels, and what opening them takes at least."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

from pichannels.channels.pi import URL_LENGTH
from pichannels.channels.tags import WEB_ID_TYPE
from pichannels.piwebasync import resolve
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.server import PIServer
from pichannels.piwebasync.splitting import split

__all__ = ["Plant", "filters", "look_at", "paths", "requests", "sockets", "write"]

_HEAD: Final = """\
from nodes import decode, filter, publish
from pichannels.channels.pi import PIWebChannel

PROJECT_NAME = "startup"


def take(samples: object) -> None:
    pass


def received(name: str, tags: list[str]) -> PIWebChannel:
    channel = PIWebChannel(name, url={url!r}, tags=tags)
    channel.add(decode.PI(), filter.Quality(), publish.Call(take, what="payload"))
    return channel


CHANNELS = [
"""


@dataclass(frozen=True, slots=True)
class Plant:
    """The points of a server, in two channels for each kind that a unit has."""

    url: str
    groups: Sequence[Sequence[resolve.Point]]

    @property
    def tags(self) -> int:
        """How many there are."""
        return sum(len(group) for group in self.groups)


async def look_at(url: str) -> Plant:
    """All points of the simulator."""
    server = PIServer(url=url)
    async with server.client() as client:
        points = await resolve.find_points(
            client,
            server.controller(),
            "SIMSRV",
            web_id_type=WEB_ID_TYPE,
            page=20_000,
        )
    points.sort(key=_group)
    return Plant(url, [list(some) for _, some in groupby(points, _group)])


def _group(point: resolve.Point) -> tuple[str, bool]:
    unit, _, kind = point.name.partition(".")
    return kind, _is_second(unit)


def _is_second(unit: str) -> bool:
    return len(unit) == len("UNIT1000") and unit != "UNIT2000"


def paths(plant: Plant) -> Iterator[list[str]]:
    """The tags of each channel by their paths."""
    for group in plant.groups:
        yield [point.path for point in group]


def filters(plant: Plant) -> Iterator[list[str]]:
    """The same tags by name filters, as few as there can be."""
    for group in plant.groups:
        names = [point.name.partition(".") for point in group]
        yield sorted({f"{_filter(unit)}.{kind}" for unit, _, kind in names})


def _filter(unit: str) -> str:
    number = unit.removeprefix("UNIT")
    if number == "2000":
        return unit
    rest = len(number) - _is_second(unit)
    return f"UNIT{number[: len(number) - rest]}{'?' * rest}"


def write(folder: Path, url: str, channels: Iterator[list[str]]) -> Path:
    """Write the settings of a project; its folder."""
    folder.mkdir()
    lines = [
        f"    received({f'channel{number}'!r}, {tags!r}),"
        for number, tags in enumerate(channels)
    ]
    head = _HEAD.format(url=url)
    (folder / "settings.py").write_text("\n".join([head, *lines, "]\n"]))
    return folder


def requests(plant: Plant) -> list[str]:
    """The URLs that resolve all paths."""
    points = PIServer(url=plant.url).controller().points
    fields = [f"Items.Object.{field}" for field in ("WebId", "Name", "Path", "Id")]

    def build(some: Sequence[str]) -> APIRequest:
        return points.get_multiple(
            path=some, selected_fields=fields, web_id_type=WEB_ID_TYPE
        )

    return [
        part.request.absolute_url
        for tags in paths(plant)
        for part in split(build, tags, url_limit=URL_LENGTH)
    ]


def sockets(plant: Plant) -> list[str]:
    """The URLs of all PI channels."""
    streamsets = PIServer(url=plant.url).controller(websocket=True).streamsets

    def build(some: Sequence[str]) -> APIRequest:
        return streamsets.get_channel_adhoc(
            some,
            include_initial_values=True,
            heartbeat_rate=5,
            web_id_type=WEB_ID_TYPE,
        )

    return [
        part.request.absolute_url
        for group in plant.groups
        for part in split(
            build, [point.web_id for point in group], url_limit=URL_LENGTH
        )
    ]
