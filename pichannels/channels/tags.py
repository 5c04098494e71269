"""From the tags of the settings to the points and attributes of a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from pichannels.errors import NotConnected, UsageError
from pichannels.piwebasync.assets import (
    Attribute,
    fetch_attributes,
    find_attributes,
    find_template_attributes,
)
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.exceptions import HTTPStatusError
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.resolve import (
    Point,
    Resolution,
    find_points,
    resolve_paths,
)

__all__ = [
    "IS_STATIC",
    "WEB_ID_TYPE",
    "Element",
    "Stream",
    "TagSpec",
    "TagsFound",
    "Template",
    "checked_tags",
    "described",
    "differing",
    "find_tags",
    "is_search",
]

WEB_ID_TYPE: Final = "IDOnly"
"""Half as long as full WebIDs, so that more tags share a PI channel."""
IS_STATIC: Final = "it is static: PI never sends its value"
"""Why an attribute without a data reference is not received."""

_PREFIX: Final = "af:"
_BELOW: Final = "\\**"
_SERVERS_FAULT: Final = 500
_NAMES: Final = {"web_id", "name", "path", "id"}

Stream: TypeAlias = Point | Attribute
"""What a tag of the settings can be: a PI point or an AF attribute."""


def described(stream: Stream) -> tuple[str, str]:
    """The type of the values of a stream, and their units; "" where PI does not say."""
    if isinstance(stream, Point):
        return stream.point_type or "", stream.engineering_units or ""
    units = stream.default_units_name_abbreviation or stream.default_units_name
    return stream.type or "", units or ""


def differing(old: Stream, new: Stream) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was said of a stream and is now, but for its names and ids."""
    before, after = msgspec.structs.asdict(old), msgspec.structs.asdict(new)
    names = [
        name
        for name in after.keys() - _NAMES
        if name not in before or before[name] != after[name]
    ]
    return (
        {name: before.get(name) for name in sorted(names)},
        {name: after[name] for name in sorted(names)},
    )


class Element(msgspec.Struct, frozen=True):
    r"""All attributes of an AF element, as tags of a channel.

    Only those whose value comes from elsewhere (a PI point, a formula, a table) are
    taken: static ones never change. Hidden and excluded ones are left out.

    Args:
        path: of the element, such as `\\AF\Plant\Unit1`.
        attributes: names with `*` and `?`, one or several.
        hierarchy: also of all elements below it; `path` may then be a database.
    """

    path: str
    attributes: str | tuple[str, ...] = "*"
    hierarchy: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of attributes that are wanted."""
        return _names(self.attributes)

    def __str__(self) -> str:
        below = _BELOW if self.hierarchy else ""
        return f"{_PREFIX}{self.path}{below}|{';'.join(self.names)}"


class Template(msgspec.Struct, frozen=True):
    r"""The attributes of all AF elements of a template, as tags of a channel.

    Args:
        database: its path, such as `\\AF\Plant`, or that of the element below which
            the elements are.
        template: its name, such as `Boiler`; templates derived from it count too.
        attributes: names with `*` and `?`, one or several.
    """

    database: str
    template: str
    attributes: str | tuple[str, ...] = "*"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of attributes that are wanted."""
        return _names(self.attributes)

    def __str__(self) -> str:
        return f"{_PREFIX}{self.database}[{self.template}]|{';'.join(self.names)}"


TagSpec: TypeAlias = str | Element | Template


class TagsFound(NamedTuple):
    """What a server has for tags.

    Attributes:
        streams: each once.
        unresolved: tags that have none, and why.
        plain: WebIDs of those that were named themselves, not by a search, and how.
    """

    streams: list[Stream]
    unresolved: dict[str, str]
    plain: dict[str, str] = {}


def is_search(tag: TagSpec) -> bool:
    """Whether other streams may be meant tomorrow: a name filter, or one of AF."""
    return not isinstance(tag, str) or _is_filter(tag)


def _is_filter(tag: str) -> bool:
    return "|" not in tag and ("*" in tag or "?" in tag)


def _names(attributes: Any) -> tuple[str, ...]:
    return (attributes,) if isinstance(attributes, str) else tuple(attributes)


def checked_tags(tags: Any) -> list[TagSpec]:
    r"""The tags of the settings, with `Element` and `Template` for those of AF.

    `af:\\AF\Plant\Unit1|Temp*` is an element and names of its attributes,
    `af:\\AF\Plant\**|Flow` all elements below one, `af:\\AF\Plant[Boiler]|Flow` all
    elements of a template.

    Raises:
        UsageError: one of them is no tag, or there is none.
    """
    if isinstance(tags, str | Element | Template):
        tags = [tags]
    if not isinstance(tags, Iterable) or isinstance(tags, bytes | Mapping):
        raise UsageError(f"tags is a tag or a list of tags, not {tags!r}")
    checked = [_checked(tag) for tag in tags]
    if not checked:
        raise UsageError("tags is empty; name tags, or use tags=['*'] for all")
    return checked


def _checked(tag: Any) -> TagSpec:
    if isinstance(tag, str) and tag.lower().startswith(_PREFIX):
        tag = _read(tag[len(_PREFIX) :])
    if isinstance(tag, Element | Template):
        path = tag.path if isinstance(tag, Element) else tag.database
        named = [*tag.names, tag.template if isinstance(tag, Template) else "-"]
        if not _is_asset_path(path) or not all(named) or not tag.names:
            raise UsageError(
                f"tags holds {tag!r}, whose path, template or attributes are none;"
                r" they look like \\AF\Plant\Unit1, Boiler and Temp*"
            )
        return tag
    if not isinstance(tag, str) or not tag.strip():
        raise UsageError(f"tags holds {tag!r}, which is no tag name or path")
    return tag


def _read(text: str) -> Element | Template:
    path, _, names = text.partition("|")
    found = tuple(names.split(";")) if names else ("*",)
    if path.endswith("]"):
        path, _, template = path[:-1].rpartition("[")
        return Template(path, template, found)
    return Element(path.removesuffix(_BELOW), found, path.endswith(_BELOW))


def _is_asset_path(path: Any) -> bool:
    parts = path.removeprefix("\\\\").split("\\") if isinstance(path, str) else []
    return len(parts) >= 2 and _is_path(path) and all(parts) and "|" not in path


async def find_tags(
    client: HTTPClient,
    controller: Controller,
    wanted: Sequence[TagSpec],
    *,
    data_server: str | None,
    url_limit: int,
) -> TagsFound:
    r"""The points and attributes for `wanted`, and why some have none.

    Args:
        client: sends the requests.
        controller: makes them.
        wanted: paths of points (`\\SERVER\TAG`) and attributes (`\\AF\Plant\Unit1|A`),
            names of points, names with `*` and `?`, elements and templates.
        data_server: where names are looked up; None is the first one listed.
        url_limit: characters of one URL, at most.

    Raises:
        PIWebAsyncException: a request got no answer, or was refused as a whole.
        DecodeError: an answer was not understood.
        NotConnected: the server lists no data server.
    """
    texts = [tag for tag in wanted if isinstance(tag, str)]
    search = _Search(client, controller, url_limit)
    filters = [tag for tag in texts if _is_filter(tag)]
    plain = [tag for tag in texts if "|" not in tag and tag not in set(filters)]
    server = data_server
    if server is None and (filters or not all(map(_is_path, plain))):
        server = await _first_data_server(client, controller)
    await search.points(plain, server)
    await search.attributes([tag for tag in texts if "|" in tag])
    for name_filter in filters:
        assert server is not None
        await search.matching(server, name_filter)
    for tag in wanted:
        if not isinstance(tag, str):
            await search.assets(tag)
    return TagsFound(list(search.found.values()), search.failures, search.named)


class _Search:
    """What has been found so far, by WebID, and what has not."""

    def __init__(
        self, client: HTTPClient, controller: Controller, url_limit: int
    ) -> None:
        self._client = client
        self._controller = controller
        self._url_limit = url_limit
        self.found: dict[str, Stream] = {}
        self.named: dict[str, str] = {}
        self.failures: dict[str, str] = {}

    def _take(self, streams: Sequence[Stream]) -> None:
        for stream in streams:
            self.found.setdefault(stream.web_id, stream)

    async def points(self, plain: Sequence[str], server: str | None) -> None:
        """Points by path and by name."""
        paths = {tag if _is_path(tag) else rf"\\{server}\{tag}": tag for tag in plain}
        found = await self._resolved(list(paths))
        for path, point in found.points.items():
            self._take([point])
            self.named[point.web_id] = paths[path]
        self.failures |= {paths[path]: why for path, why in found.failures.items()}

    async def _resolved(self, paths: list[str]) -> Resolution:
        if not paths:
            return Resolution()
        return await resolve_paths(
            self._client,
            self._controller,
            paths,
            web_id_type=WEB_ID_TYPE,
            url_limit=self._url_limit,
        )

    async def matching(self, server: str, name_filter: str) -> None:
        """Points by name filter."""
        matching = await find_points(
            self._client,
            self._controller,
            server,
            name_filter,
            web_id_type=WEB_ID_TYPE,
        )
        self._take(matching)
        if not matching:
            self.failures[name_filter] = f"no tag of {server} matches"

    async def attributes(self, paths: Sequence[str]) -> None:
        """Attributes by their own paths."""
        if not paths:
            return
        answer = await fetch_attributes(
            self._client,
            self._controller,
            paths,
            web_id_type=WEB_ID_TYPE,
            url_limit=self._url_limit,
        )
        self.failures |= answer.failures
        for path, attribute in answer.objects.items():
            if attribute.is_live:
                self._take([attribute])
                self.named[attribute.web_id] = path
            else:
                self.failures[path] = IS_STATIC

    async def assets(self, tag: Element | Template) -> None:
        """Attributes of an element, or of all elements of a template."""
        try:
            found = await self._attributes_of(tag)
        except HTTPStatusError as exc:
            if exc.status_code >= _SERVERS_FAULT or exc.status_code in (401, 429):
                raise
            self.failures[str(tag)] = "; ".join(exc.errors) or str(exc)
            return
        live = [one for one in found if one.is_live]
        self._take(live)
        if not live:
            self.failures[str(tag)] = "it has no such attribute that changes"

    async def _attributes_of(self, tag: Element | Template) -> list[Attribute]:
        if isinstance(tag, Element):
            return await find_attributes(
                self._client,
                self._controller,
                tag.path,
                tag.names,
                hierarchy=tag.hierarchy,
                web_id_type=WEB_ID_TYPE,
            )
        return await find_template_attributes(
            self._client,
            self._controller,
            tag.database,
            tag.template,
            tag.names,
            web_id_type=WEB_ID_TYPE,
        )


async def _first_data_server(client: HTTPClient, controller: Controller) -> str:
    response = await client.get(controller.dataservers.list())
    response.raise_for_status()
    names = [name for name in response.select("Items.Name")["Items.Name"] if name]
    if not names:
        raise NotConnected(response.url, "it lists no data server")
    return str(names[0])


def _is_path(tag: str) -> bool:
    return tag.startswith("\\\\")
