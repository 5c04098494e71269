"""Routes of the asset framework: servers, databases, elements, attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aiohttp import web

from pichannels.simulator import asset_render as render
from pichannels.simulator.asset_search import (
    attributes_of,
    matching_attributes,
    matching_elements,
    name_matcher,
    page_of,
)
from pichannels.simulator.assets import Attribute, Element
from pichannels.simulator.query import Query, Refused
from pichannels.simulator.world import World

__all__ = ["AssetRoutes"]


class AssetRoutes:
    """`assetservers`, `assetdatabases`, `elements` and `attributes`."""

    def __init__(self, world: World) -> None:
        self.world = world

    def routes(self) -> list[web.AbstractRouteDef]:
        """What to add to the application."""
        get, root = web.get, "/piwebapi"
        servers, databases = f"{root}/assetservers", f"{root}/assetdatabases"
        elements, attributes = f"{root}/elements", f"{root}/attributes"
        one = "{webId}"
        return [
            get(servers, self.servers),
            get(f"{servers}/{one}", self.server),
            get(f"{servers}/{one}/assetdatabases", self.databases),
            get(databases, self.database_by_path),
            get(f"{databases}/{one}", self.database),
            get(f"{databases}/{one}/elements", self.elements_of_database),
            get(f"{databases}/{one}/elementattributes", self.attributes_of_elements),
            get(elements, self.element_by_path),
            get(f"{elements}/multiple", self.multiple_elements),
            get(f"{elements}/{one}", self.element),
            get(f"{elements}/{one}/elements", self.elements_of_element),
            get(f"{elements}/{one}/attributes", self.attributes),
            get(f"{elements}/{one}/elementattributes", self.attributes_of_elements),
            get(attributes, self.attribute_by_path),
            get(f"{attributes}/multiple", self.multiple_attributes),
            get(f"{attributes}/{one}", self.attribute),
            get(f"{attributes}/{one}/attributes", self.attributes),
        ]

    # Servers and databases

    async def servers(self, request: web.Request) -> web.Response:
        """All AF servers, or the one with this name or path."""
        query, server = Query(request), self.world.assets.server
        body = self._server(query)
        name, path = query.text("name"), query.text("path")
        if not name and not path:
            return self.world.answer({"Links": {}, "Items": [body]}, query)
        if name.upper() != server.name.upper() and path.upper() != (
            server.path.upper()
        ):
            raise Refused(404, f"The asset server '{name or path}' was not found.")
        return self.world.answer(body, query)

    def _server(self, query: Query) -> dict[str, Any]:
        world = self.world
        now = world.clock.now()
        return render.asset_server(world.assets.server, now, world.url, query.form)

    async def server(self, request: web.Request) -> web.Response:
        """One AF server."""
        self.world.asset(request.match_info["webId"], "RS")
        query = Query(request)
        return self.world.answer(self._server(query), query)

    async def databases(self, request: web.Request) -> web.Response:
        """The databases of an AF server."""
        self.world.asset(request.match_info["webId"], "RS")
        query = Query(request)
        body = {"Links": {}, "Items": [self._database(query)]}
        return self.world.answer(body, query)

    def _database(self, query: Query) -> dict[str, Any]:
        world = self.world
        return render.database(world.assets.server, world.url, query.form)

    async def database_by_path(self, request: web.Request) -> web.Response:
        """The database with this path."""
        query = Query(request)
        path = query.required("path")[-1]
        if path.upper() != self.world.assets.server.database_path.upper():
            raise Refused(404, "The specified path was not found.")
        return self.world.answer(self._database(query), query)

    async def database(self, request: web.Request) -> web.Response:
        """One database."""
        self.world.asset(request.match_info["webId"], "RD")
        query = Query(request)
        return self.world.answer(self._database(query), query)

    # Elements

    async def element_by_path(self, request: web.Request) -> web.Response:
        """The element with this path."""
        query = Query(request)
        found = self.world.element_by_path(query.required("path")[-1])
        return self.world.answer(self._element(found, query), query)

    async def element(self, request: web.Request) -> web.Response:
        """One element."""
        query = Query(request)
        found = self.world.element(request.match_info["webId"])
        return self.world.answer(self._element(found, query), query)

    def _element(self, found: Element, query: Query) -> dict[str, Any]:
        return render.element(found, self.world.url, query.form)

    async def elements_of_database(self, request: web.Request) -> web.Response:
        """The elements at the top of a database, or all of them."""
        return self._elements(request, self._root(request))

    async def elements_of_element(self, request: web.Request) -> web.Response:
        """The elements below an element, or all below it."""
        return self._elements(request, self._root(request))

    def _root(self, request: web.Request) -> Element | None:
        """Where a search begins: an element, or None for the database."""
        found = self.world.asset(request.match_info["webId"], "RD", "Em")
        return found if isinstance(found, Element) else None

    def _elements(self, request: web.Request, root: Element | None) -> web.Response:
        query = Query(request)
        found = matching_elements(self._searched(root, query), query)
        return self._page(found, self._element, query, request)

    def _searched(self, root: Element | None, query: Query) -> Iterable[Element]:
        assets = self.world.assets
        if query.flag("searchFullHierarchy"):
            return assets.elements(root)
        return root.children if root else assets.roots

    # Attributes

    async def attribute_by_path(self, request: web.Request) -> web.Response:
        """The attribute with this path."""
        query = Query(request)
        found = self.world.attribute_by_path(query.required("path")[-1])
        return self.world.answer(self._attribute(found, query), query)

    async def attribute(self, request: web.Request) -> web.Response:
        """One attribute."""
        query = Query(request)
        found = self.world.attribute(request.match_info["webId"])
        return self.world.answer(self._attribute(found, query), query)

    def _attribute(self, found: Attribute, query: Query) -> dict[str, Any]:
        return render.attribute(found, self.world.url, query.form)

    async def attributes(self, request: web.Request) -> web.Response:
        """The attributes of an element, or those below an attribute."""
        query = Query(request)
        owner = self.world.asset(request.match_info["webId"], "Em", "Ab")
        assert isinstance(owner, Element | Attribute)
        nested = query.flag("searchFullHierarchy")
        found = matching_attributes(attributes_of(owner, query, nested=nested), query)
        return self._page(found, self._attribute, query, request)

    async def attributes_of_elements(self, request: web.Request) -> web.Response:
        """The attributes of the elements below a database or an element."""
        query = Query(request)
        is_named = name_matcher(query.text("elementNameFilter"))
        template = query.text("elementTemplate").upper()
        category = query.text("elementCategory").upper()
        elements = self._searched(self._root(request), query)
        attributes = (
            attribute
            for one in elements
            if is_named(one.name)
            and template in ("", one.template.name.upper())
            and category in ("", one.template.category.upper())
            for attribute in one.attributes
            if not attribute.template.is_excluded
        )
        found = matching_attributes(attributes, query, "attributeNameFilter")
        return self._page(found, self._attribute, query, request)

    def _page(
        self,
        found: Sequence[Any],
        shown: Callable[[Any, Query], dict[str, Any]],
        query: Query,
        request: web.Request,
    ) -> web.Response:
        world = self.world
        links, items = page_of(found, query, request, world.url, world.max_items)
        body = {"Links": links, "Items": [shown(one, query) for one in items]}
        return world.answer(body, query)

    # Several at once

    async def multiple_elements(self, request: web.Request) -> web.Response:
        """Many elements by WebID or path; 207 where some of them fail."""
        world, query = self.world, Query(request)
        return world.multiple(
            query,
            lambda web_id: self._element(world.element(web_id), query),
            lambda path: self._element(world.element_by_path(path), query),
        )

    async def multiple_attributes(self, request: web.Request) -> web.Response:
        """Many attributes by WebID or path; 207 where some of them fail."""
        world, query = self.world, Query(request)
        return world.multiple(
            query,
            lambda web_id: self._attribute(world.attribute(web_id), query),
            lambda path: self._attribute(world.attribute_by_path(path), query),
        )
