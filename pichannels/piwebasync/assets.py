"""Finds AF elements and attributes: by path, of an element, of a template.

The answers are plain values that can be written and read again, as those of
`resolve` for points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from pichannels.errors import DecodeError
from pichannels.piwebasync import webids
from pichannels.piwebasync.bulk import Found, fetch_multiple, read_list
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.splitting import URL_LIMIT
from pichannels.values import Tag

__all__ = [
    "Attribute",
    "Element",
    "attribute_name",
    "fetch_attributes",
    "fetch_elements",
    "find_attributes",
    "find_template_attributes",
    "is_attribute",
]

_ATTRIBUTE_FIELDS: Final = (
    "WebId Id Name Path Description Type TypeQualifier DefaultUnitsName"
    " DefaultUnitsNameAbbreviation DataReferencePlugIn IsConfigurationItem"
    " CategoryNames Step TraitName Zero Span HasChildren"
).split()
_ELEMENT_FIELDS: Final = (
    "WebId Id Name Path Description TemplateName CategoryNames HasChildren"
).split()

_Page = Callable[[int], APIRequest]


class _Place(NamedTuple):
    web_id: str
    is_database: bool


class Element(msgspec.Struct, frozen=True, rename="pascal"):
    """An AF element as PI describes it."""

    web_id: str
    name: str
    path: str
    id: str = ""
    description: str | None = None
    template_name: str | None = None
    category_names: list[str] = []
    has_children: bool | None = None


class Attribute(msgspec.Struct, frozen=True, rename="pascal"):
    """An AF attribute as PI describes it."""

    web_id: str
    name: str
    path: str
    id: str = ""
    description: str | None = None
    type: str | None = None
    type_qualifier: str | None = None
    default_units_name: str | None = None
    default_units_name_abbreviation: str | None = None
    data_reference_plug_in: str | None = None
    is_configuration_item: bool | None = None
    category_names: list[str] = []
    step: bool | None = None
    trait_name: str | None = None
    zero: float | None = None
    span: float | None = None
    has_children: bool | None = None

    @property
    def is_live(self) -> bool:
        """Whether its value comes from elsewhere, and so can change by itself."""
        return bool(self.data_reference_plug_in) and not self.is_configuration_item

    @property
    def element_path(self) -> str:
        r"""The path of its element, such as `\\AF\Plant\Unit1`."""
        return self.path.partition("|")[0]

    @property
    def key(self) -> str:
        """What outlives a rename."""
        return _key(self.web_id) or self.path

    def tag(self, server: str) -> Tag:
        """The tag of this attribute; `server` is the configured logical server."""
        return Tag(
            name=attribute_name(self.path) or self.name,
            path=self.path,
            web_id=self.web_id,
            server=server,
            key=self.key,
            units=self.default_units_name_abbreviation or "",
        )


def is_attribute(path: str, web_id: str = "") -> bool:
    """Whether this is an attribute and no point, by its path or else its WebID."""
    return "|" in path or (not path and web_id[2:4] == "Ab")


def attribute_name(path: str) -> str:
    r"""What tells an attribute in its database: `Unit1\Pump1|Speed`.

    The name alone is shared by all elements of a template. Empty for other paths.
    """
    element, bar, attribute = path.partition("|")
    parts = element.removeprefix("\\\\").split("\\", 2)
    return f"{parts[2]}|{attribute}" if bar and len(parts) == 3 else ""


def _key(web_id: str) -> str:
    """The GUIDs of element and attribute, as in samples; empty without them."""
    try:
        ids = webids.decode(web_id).ids
    except DecodeError:
        return ""
    return "/".join(map(str, ids[-2:])) if len(ids) >= 2 else ""


def _listed(fields: Sequence[str]) -> list[str]:
    return [*(f"Items.{field}" for field in fields), "Links.Next"]


def _single(fields: Sequence[str]) -> list[str]:
    objects = [f"Items.Object.{field}" for field in fields]
    return ["Items.Identifier", "Items.Exception", *objects]


async def fetch_attributes(
    client: HTTPClient,
    controller: Controller,
    wanted: Sequence[str],
    *,
    web_id_type: str | None = None,
    url_limit: int = URL_LIMIT,
) -> Found[Attribute]:
    """The attributes of many paths or WebIDs (all of one kind), in few requests.

    Raises:
        HTTPClientError: a request got no answer.
        HTTPStatusError: a request as a whole was refused.
        DecodeError: an answer was not understood.
    """

    def build(some: Sequence[str]) -> APIRequest:
        by_path = some[0].startswith("\\")
        return controller.attributes.get_multiple(
            webid=None if by_path else some,
            path=some if by_path else None,
            selected_fields=_single(_ATTRIBUTE_FIELDS),
            web_id_type=web_id_type,
        )

    return await fetch_multiple(client, build, wanted, Attribute, url_limit=url_limit)


async def fetch_elements(
    client: HTTPClient,
    controller: Controller,
    paths: Sequence[str],
    *,
    url_limit: int = URL_LIMIT,
) -> Found[Element]:
    r"""The elements of many paths such as `\\AF\Plant\Unit1`, in few requests.

    Raises:
        HTTPClientError: a request got no answer.
        HTTPStatusError: a request as a whole was refused.
        DecodeError: an answer was not understood.
    """

    def build(some: Sequence[str]) -> APIRequest:
        return controller.elements.get_multiple(
            path=some, selected_fields=_single(_ELEMENT_FIELDS)
        )

    return await fetch_multiple(client, build, paths, Element, url_limit=url_limit)


async def find_attributes(
    client: HTTPClient,
    controller: Controller,
    path: str,
    names: Sequence[str] = ("*",),
    *,
    hierarchy: bool = False,
    web_id_type: str | None = None,
    page: int = 1000,
) -> list[Attribute]:
    r"""The attributes of the element at `path` whose names match.

    `names` know `*` and `?`. With `hierarchy` also those of all elements below it;
    then `path` may also be a database. Hidden and excluded attributes are left out.

    Raises:
        HTTPClientError: a request got no answer.
        HTTPStatusError: a request was refused, as for an unknown element.
        DecodeError: an answer was not understood.
    """
    where = await _place(client, controller, path)
    pages: list[_Page] = []
    for name in names:
        if not where.is_database:
            pages.append(_own(controller, where.web_id, name, web_id_type, page))
        if hierarchy:
            pages.append(_below(controller, where, name, web_id_type, page))
    return await _read(client, pages)


def _own(
    controller: Controller, web_id: str, name: str, form: str | None, page: int
) -> _Page:
    """Pages of the attributes of one element."""
    return lambda start: controller.elements.get_attributes(
        web_id,
        name_filter=name,
        start_index=start,
        max_count=page,
        selected_fields=_listed(_ATTRIBUTE_FIELDS),
        web_id_type=form,
    )


def _below(
    controller: Controller,
    where: _Place,
    name: str,
    form: str | None,
    page: int,
    template: str | None = None,
) -> _Page:
    """Pages of the attributes of all elements below an element or a database."""
    owner = controller.assetdatabases if where.is_database else controller.elements
    return lambda start: owner.find_element_attributes(
        where.web_id,
        element_template=template,
        attribute_name_filter=name,
        search_full_hierarchy=True,
        start_index=start,
        max_count=page,
        selected_fields=_listed(_ATTRIBUTE_FIELDS),
        web_id_type=form,
    )


async def find_template_attributes(
    client: HTTPClient,
    controller: Controller,
    root: str,
    template: str,
    names: Sequence[str] = ("*",),
    *,
    web_id_type: str | None = None,
    page: int = 1000,
) -> list[Attribute]:
    r"""The attributes of all elements of a template whose names match.

    `root` is the path of a database, or of the element below which they are.

    Raises:
        HTTPClientError: a request got no answer.
        HTTPStatusError: a request was refused, as for an unknown database.
        DecodeError: an answer was not understood.
    """
    where = await _place(client, controller, root)
    pages = (
        _below(controller, where, name, web_id_type, page, template) for name in names
    )
    return await _read(client, pages)


async def _read(client: HTTPClient, lists: Iterable[_Page]) -> list[Attribute]:
    """The attributes of several lists, each once."""
    found: dict[str, Attribute] = {}
    for pages in lists:
        for one in await read_list(client, pages, Attribute):
            found.setdefault(one.web_id, one)
    return list(found.values())


async def _place(client: HTTPClient, controller: Controller, path: str) -> _Place:
    """Where a search begins: a database by its path, or else an element."""
    is_database = path.removeprefix("\\\\").strip("\\").count("\\") == 1
    owner = controller.assetdatabases if is_database else controller.elements
    response = await client.get(owner.get_by_path(path, selected_fields="WebId"))
    response.raise_for_status()
    web_id = response.dict().get("WebId")
    if not isinstance(web_id, str):
        raise DecodeError("an AF object", "it has no WebId", response.raw_response)
    return _Place(web_id, is_database)
