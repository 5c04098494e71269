"""Routes that make, change and delete points, elements and attributes."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from pichannels.errors import UsageError
from pichannels.simulator.assets import Attribute, Element
from pichannels.simulator.making import POINT_TYPES
from pichannels.simulator.query import Query, Refused
from pichannels.simulator.tags import Tag
from pichannels.simulator.truth import Described, Gone, Made, Structural
from pichannels.simulator.webids import WebIdError, read_web_id
from pichannels.simulator.world import World
from pichannels.simulator.write_routes import body_of
from pichannels.simulator.writes import fields_of

__all__ = ["ObjectRoutes"]

_Fields = dict[str, Any]

_NOT_IN_NAMES: Final = frozenset("*?;{}[]|\\`'\"")
_POINT: Final = {
    "name": "name",
    "descriptor": "descriptor",
    "engineeringunits": "units",
    "pointtype": "type",
    "digitalsetname": "set",
    "zero": "zero",
    "span": "span",
    "future": "future",
    "pointclass": "",
    "step": "",
    "displaydigits": "",
}
_POINT_CHANGES: Final = frozenset({"name", "descriptor", "engineeringunits"})
_ELEMENT: Final = {
    "name": "name",
    "description": "description",
    "templatename": "template",
    "categorynames": "",
    "extendedproperties": "",
}
_ELEMENT_CHANGES: Final = frozenset({"name", "description"})
_ATTRIBUTE: Final = {
    "name": "name",
    "description": "description",
    "type": "type",
    "defaultunitsname": "units_name",
    "isexcluded": "is_excluded",
    "ishidden": "is_hidden",
    "ismanualdataentry": "is_manual",
    "configstring": "config",
    "datareferenceplugin": "plugin",
    "typequalifier": "",
    "isconfigurationitem": "",
    "categorynames": "",
    "traitname": "",
    "displaydigits": "",
}
_ATTRIBUTE_CHANGES: Final = frozenset({"name", "description"})
_NUMBERS: Final = frozenset({"zero", "span"})
_FLAGS: Final = frozenset({"future", "is_excluded", "is_hidden", "is_manual"})
# What stands behind the names in a reference: ids of the server and the point.
_REFERENCE: Final = re.compile(r"\\\\[^\\?]+(?:\?[^\\]*)?\\([^?]+)(?:\?.*)?")


class ObjectRoutes:
    """What is posted, patched and deleted of points and AF objects."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> list[web.AbstractRouteDef]:
        """What to add to the application."""
        root, one = "/piwebapi", "{webId}"
        points = f"{root}/points/{one}"
        elements, attributes = f"{root}/elements/{one}", f"{root}/attributes/{one}"
        return [
            web.post(f"{root}/dataservers/{one}/points", self.create_point),
            web.patch(points, self.change_point),
            web.delete(points, self.delete_point),
            web.post(f"{root}/assetdatabases/{one}/elements", self.create_element),
            web.post(f"{elements}/elements", self.create_element),
            web.patch(elements, self.change_element),
            web.delete(elements, self.delete_element),
            web.post(f"{elements}/attributes", self.create_attribute),
            web.post(f"{attributes}/attributes", self.create_attribute),
            web.patch(attributes, self.change_attribute),
            web.delete(attributes, self.delete_attribute),
        ]

    async def create_point(self, request: web.Request) -> web.Response:
        """A point of a data server."""
        self._check_server(request.match_info["webId"])
        facts = _facts(await body_of(request), _POINT)
        name = _name(facts)
        if facts.get("type") not in POINT_TYPES:
            raise Refused(400, f"The point type '{facts.get('type')}' is not valid.")
        self._do(Made("point", facts))
        made = self.world.plant.tag(name)
        return self._created(request, made.link(self.world.url, _form(request)))

    def _check_server(self, web_id: str) -> None:
        server = self.world.plant.server
        try:
            found = read_web_id(web_id)
        except WebIdError as exc:
            raise Refused(400, str(exc)) from exc
        if found.marker != "DS" or found.server not in (None, server.id):
            raise Refused(404, f"PI Data Archive not found '{web_id}'.")

    async def change_point(self, request: web.Request) -> web.Response:
        """Name, descriptor and engineering units of a point."""
        found = self._point(request)
        facts = _facts(await body_of(request), _POINT, _POINT_CHANGES)
        return self._done(Described(found.path, facts))

    async def delete_point(self, request: web.Request) -> web.Response:
        """A point with all its values."""
        return self._done(Gone(self._point(request).path))

    def _point(self, request: web.Request) -> Tag:
        return self.world.tag_by_web_id(request.match_info["webId"])

    async def create_element(self, request: web.Request) -> web.Response:
        """An element below another, or at the top of the database."""
        world = self.world
        above = world.asset(request.match_info["webId"], "RD", "Em")
        path = above.path if isinstance(above, Element) else ""
        facts = _facts(await body_of(request), _ELEMENT)
        name = _name(facts)
        self._do(Made("element", facts, path, str(uuid.uuid4())))
        at = path or world.assets.server.database_path
        made = world.element_by_path(f"{at}\\{name}")
        form = _form(request)
        where = f"{world.url}/elements/{made.web_id_as(form)}"
        return self._created(request, where)

    async def change_element(self, request: web.Request) -> web.Response:
        """Name and description of an element."""
        found = self.world.element(request.match_info["webId"])
        facts = _facts(await body_of(request), _ELEMENT, _ELEMENT_CHANGES)
        return self._done(Described(found.path, facts))

    async def delete_element(self, request: web.Request) -> web.Response:
        """An element with all below it."""
        found = self.world.element(request.match_info["webId"])
        return self._done(Gone(found.path))

    async def create_attribute(self, request: web.Request) -> web.Response:
        """An attribute of an element, or below another attribute."""
        world = self.world
        owner = world.asset(request.match_info["webId"], "Em", "Ab")
        assert isinstance(owner, Element | Attribute)
        facts = _facts(await body_of(request), _ATTRIBUTE)
        name = _name(facts)
        point = _referred(facts.pop("plugin", ""), facts.pop("config", ""))
        if point:
            facts["point"] = point
        self._do(Made("attribute", facts, owner.path, str(uuid.uuid4())))
        made = world.attribute_by_path(f"{owner.path}|{name}")
        return self._created(request, made.link(world.url, _form(request)))

    async def change_attribute(self, request: web.Request) -> web.Response:
        """Name and description of an attribute."""
        found = self.world.attribute(request.match_info["webId"])
        facts = _facts(await body_of(request), _ATTRIBUTE, _ATTRIBUTE_CHANGES)
        return self._done(Described(found.path, facts))

    async def delete_attribute(self, request: web.Request) -> web.Response:
        """An attribute with those below it."""
        found = self.world.attribute(request.match_info["webId"])
        return self._done(Gone(found.path))

    def _do(self, change: Structural) -> None:
        try:
            self.world.restructure(change)
        except UsageError as exc:
            raise Refused(409, str(exc)) from exc

    def _done(self, change: Structural) -> web.Response:
        self._do(change)
        return web.Response(status=204)

    def _created(self, request: web.Request, where: str) -> web.Response:
        return web.Response(status=201, headers={"Location": where})


def _form(request: web.Request) -> str:
    return Query(request).form


def _facts(
    body: Any,
    known: Mapping[str, str],
    changes: frozenset[str] | None = None,
) -> _Fields:
    """The facts that a body gives, under our names; those without one are left out.

    Raises:
        Refused: 400, a field is unknown, or not one of those that can be changed, or
            of a wrong type.
    """
    facts: _Fields = {}
    for field, value in fields_of(body).items():
        if field not in known or (changes is not None and field not in changes):
            raise Refused(400, f"The property '{field}' cannot be written.")
        name = known[field]
        if name and value is not None:
            facts[name] = _fitting(field, name, value)
    return facts


def _fitting(field: str, name: str, value: Any) -> Any:
    wanted: Any = str
    if name in _NUMBERS:
        wanted = int | float
    elif name in _FLAGS:
        wanted = bool
    if not isinstance(value, wanted):
        raise Refused(400, f"The property '{field}' is not valid.")
    if name == "name":
        _check_name(value)
    return value


def _name(facts: _Fields) -> str:
    """The name, which a new object has to have."""
    _check_name(facts.get("name", ""))
    return str(facts["name"])


def _check_name(name: str) -> None:
    if not name.strip() or _NOT_IN_NAMES & set(name):
        raise Refused(400, f"The name '{name}' is not valid.")


def _referred(plugin: str, config: str) -> str:
    """The point that an attribute refers to; empty for a static one."""
    if not plugin:
        return ""
    found = _REFERENCE.fullmatch(config)
    if plugin != "PI Point" or found is None:
        raise Refused(400, f"The data reference '{plugin}' is not valid: '{config}'.")
    return found[1]
