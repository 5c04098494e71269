"""Searching elements and attributes by name, template and category, page by page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from aiohttp import web

from pichannels.simulator.assets import Attribute, Element
from pichannels.simulator.query import Query, Refused

__all__ = [
    "attributes_of",
    "matching_attributes",
    "matching_elements",
    "name_matcher",
    "page_of",
]

T = TypeVar("T", Attribute, Element)


def name_matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a name matches a filter with `*` and `?`, in any case; "" is all."""
    parts = (
        {"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern or "*"
    )
    fits = re.compile("".join(parts), re.I | re.S).fullmatch
    return lambda name: fits(name) is not None


def matching_elements(elements: Iterable[Element], query: Query) -> list[Element]:
    """The elements that the parameters of the request describe."""
    is_named = name_matcher(query.text("nameFilter"))
    is_described = name_matcher(query.text("descriptionFilter"))
    category, template = query.text("categoryName"), query.text("templateName")
    found = [
        one
        for one in elements
        if is_named(one.name)
        and is_described(one.description)
        and _same(category, one.template.category)
        and _same(template, one.template.name)
    ]
    return _sorted(found, query)


def attributes_of(
    owner: Element | Attribute, query: Query, *, nested: bool
) -> Iterator[Attribute]:
    """The attributes of an element, or those below an attribute.

    Hidden and excluded ones only where the request asks for them.
    """
    hidden, excluded = query.flag("showHidden"), query.flag("showExcluded")
    children = owner.attributes if isinstance(owner, Element) else owner.children
    for one in children:
        model = one.template
        if (model.is_hidden and not hidden) or (model.is_excluded and not excluded):
            continue
        yield one
        if nested:
            yield from attributes_of(one, query, nested=True)


def matching_attributes(
    attributes: Iterable[Attribute], query: Query, name: str = "nameFilter"
) -> list[Attribute]:
    """The attributes that the parameters of the request describe."""
    is_named = name_matcher(query.text(name))
    category = query.text("categoryName") or query.text("attributeCategory")
    kind = query.text("valueType") or query.text("attributeType")
    template = query.text("templateName")
    traits = _traits(query)
    found = [
        one
        for one in attributes
        if is_named(one.name)
        and _same(category, one.template.category)
        and _same(kind, one.template.type)
        and _same(template, one.element.template.name)
        and (not traits or one.template.trait.lower() in traits)
    ]
    return _sorted(found, query)


def _traits(query: Query) -> set[str]:
    wanted = {trait.lower() for trait in query.all("trait")}
    for category in query.all("traitCategory"):
        if category.lower() not in ("all", "limits"):
            raise Refused(400, f"'{category}' is not valid for 'traitCategory'.")
        wanted |= {"limitlolo", "limitlo", "limithi", "limithihi"}
    return wanted


def _same(wanted: str, found: str) -> bool:
    return not wanted or wanted.lower() == found.lower()


def _sorted(found: list[T], query: Query) -> list[T]:
    field = query.choice("sortField", ("Name", "ID", "Description"))
    turned = query.choice("sortOrder", ("Ascending", "Descending")) == "Descending"
    if not query.text("sortField"):
        return found[::-1] if turned else found
    keys: dict[str, Callable[[Any], str]] = {
        "Name": lambda one: one.name.lower(),
        "ID": lambda one: str(one.id),
        "Description": lambda one: one.description.lower(),
    }
    return sorted(found, key=keys[field], reverse=turned)


def page_of(
    found: Sequence[Any],
    query: Query,
    request: web.Request,
    base: str,
    most: int,
) -> tuple[dict[str, str], Sequence[Any]]:
    """The links and the items of the page that the request asks for."""
    start, count = query.number("startIndex", 0), query.count(most)
    total = len(found)
    at: dict[str, int] = {}
    if start or total > count:
        at["First"] = 0
    if start:
        at["Previous"] = max(start - count, 0)
    if start + count < total:
        at["Next"] = start + count
        at["Last"] = total - count
    path = request.path.removeprefix("/piwebapi")
    links = {n: f"{base}{path}?{_query(request, i)}" for n, i in at.items()}
    return links, found[start : start + count]


def _query(request: web.Request, start: int) -> str:
    """The parameters of the request with another first item."""
    others = [
        (name, value)
        for name, value in request.query.items()
        if name.lower() != "startindex"
    ]
    # `with_query` writes a space as `+`, as the server does.
    return request.url.with_query(
        [*others, ("startIndex", str(start))]
    ).raw_query_string
