"""What PI knows of tags beside their values: units, ranges, elements, limits.

Points and attributes are asked for in bulk, and what takes a request for each of them
goes out in PI batches. What comes back is plain data, the same names for both where
they mean the same.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from pichannels.piwebasync.assets import (
    Attribute,
    Element,
    fetch_attributes,
    fetch_elements,
    is_attribute,
)
from pichannels.piwebasync.batched import BATCH_SIZE, OF_THIS_OBJECT, Reader
from pichannels.piwebasync.bulk import Found
from pichannels.piwebasync.controllers import Controller
from pichannels.piwebasync.http import HTTPClient
from pichannels.piwebasync.parsing import parse_stream_set, to_samples
from pichannels.piwebasync.requests import APIRequest
from pichannels.piwebasync.resolve import Point, fetch_points
from pichannels.piwebasync.responses import HTTPResponse
from pichannels.piwebasync.splitting import URL_LIMIT, split
from pichannels.values import Tag

__all__ = ["LIMITS", "Facts", "TagFacts", "fetch_facts"]

Facts: TypeAlias = dict[str, Any]

LIMITS: Final = {
    "LimitMinimum": "minimum",
    "LimitLoLo": "lolo",
    "LimitLo": "lo",
    "LimitTarget": "target",
    "LimitHi": "hi",
    "LimitHiHi": "hihi",
    "LimitMaximum": "maximum",
}
"""PI's traits of attributes that are limits, and what they are called in facts."""

_NAMES_AND_VALUES: Final = ("Items.Name", "Items.Value")
_TRAIT_FIELDS: Final = (
    "Items.WebId Items.Name Items.Path Items.TraitName Links.Next".split()
)
_TRAITS_OF_A_PAGE: Final = 1000


class TagFacts:
    """The facts of tags, and why PI has none of others."""

    def __init__(self) -> None:
        self.facts: dict[Tag, Facts] = {}
        self.failures: dict[Tag, str] = {}


async def fetch_facts(
    client: HTTPClient,
    controller: Controller,
    tags: Iterable[Tag],
    *,
    point_attributes: Sequence[str] = (),
    limits: bool = False,
    url_limit: int = URL_LIMIT,
    batch_size: int = BATCH_SIZE,
) -> TagFacts:
    """What PI knows of these tags.

    A server that runs no batches is asked one by one for what is otherwise in them.

    Args:
        client: sends the requests.
        controller: makes them.
        tags: points and attributes, with a WebID or a path.
        point_attributes: of each point also these (`excdev`, `compdev`, ...), which
            takes a part of a batch for each point.
        limits: of each attribute also its limits, which takes a part of a batch for
            each element.
        url_limit: characters of one URL, at most.
        batch_size: parts of one batch, at most.

    Raises:
        HTTPClientError: a request got no answer.
        HTTPStatusError: a request as a whole was refused.
        DecodeError: an answer was not understood.
    """
    search = _Search(client, controller, url_limit, batch_size)
    wanted = list(tags)
    points = [tag for tag in wanted if not is_attribute(tag.path, tag.web_id)]
    attributes = [tag for tag in wanted if is_attribute(tag.path, tag.web_id)]
    await search.points(points, point_attributes)
    await search.attributes(attributes, limits)
    return search.found


class _Search:
    def __init__(
        self,
        client: HTTPClient,
        controller: Controller,
        url_limit: int,
        batch_size: int,
    ) -> None:
        self._client = client
        self._controller = controller
        self._url_limit = url_limit
        self._reader = Reader(client, controller, size=batch_size)
        self.found = TagFacts()

    async def points(self, tags: Sequence[Tag], names: Sequence[str]) -> None:
        """The facts of points."""
        known = await self._objects(tags, fetch_points)
        extra: Mapping[str, Facts] = {}
        if names:
            web_ids = dict.fromkeys(point.web_id for point in known.values())
            extra = await self._point_attributes(list(web_ids), names)
        for tag, point in known.items():
            self.found.facts[tag] = _of_point(point) | extra.get(point.web_id, {})

    async def attributes(self, tags: Sequence[Tag], limits: bool) -> None:
        """The facts of attributes and of the elements that they belong to."""
        known = await self._objects(tags, fetch_attributes)
        paths = {attribute.element_path for attribute in known.values()}
        elements: Mapping[str, Element] = {}
        if paths:
            answer = await fetch_elements(
                self._client,
                self._controller,
                sorted(paths),
                url_limit=self._url_limit,
            )
            elements = answer.objects
        found = await self._limits(elements.values()) if limits else {}
        for tag, attribute in known.items():
            facts = _of_attribute(attribute, elements.get(attribute.element_path))
            if own := found.get(attribute.path):
                facts["limits"] = own
            self.found.facts[tag] = facts

    async def _objects(
        self,
        tags: Sequence[Tag],
        fetch: Callable[..., Coroutine[Any, Any, Found[Any]]],
    ) -> dict[Tag, Any]:
        """The points or attributes of tags, by WebID where they have one."""
        known: dict[Tag, Any] = {}
        by_web_id = {tag: tag.web_id for tag in tags if tag.web_id}
        rest = [tag for tag in tags if not tag.web_id]
        by_path = {tag: tag.path for tag in rest if tag.path.startswith("\\\\")}
        for tag in rest:
            if tag not in by_path:
                self.found.failures[tag] = "it has neither a WebID nor a path"
        for wanted in (by_web_id, by_path):
            if not wanted:
                continue
            answer = await fetch(
                self._client,
                self._controller,
                list(wanted.values()),
                url_limit=self._url_limit,
            )
            for tag, key in wanted.items():
                if key in answer.objects:
                    known[tag] = answer.objects[key]
                else:
                    self.found.failures[tag] = answer.failures[key]
        return known

    async def _point_attributes(
        self, web_ids: Sequence[str], names: Sequence[str]
    ) -> dict[str, Facts]:
        """The point attributes of points by their WebIDs."""
        requests = [
            self._controller.points.get_attributes(
                web_id, name=list(names), selected_fields=_NAMES_AND_VALUES
            )
            for web_id in web_ids
        ]
        answers = await self._reader.get(requests)
        return dict(zip(web_ids, map(_point_attributes_of, answers), strict=True))

    async def _limits(self, elements: Iterable[Element]) -> dict[str, Facts]:
        """The limits of the attributes of elements, by the attribute's path."""
        pages = [self._pages_of_traits(element) for element in elements]
        lists = await self._reader.get_lists(pages, Attribute)
        traits = {one.web_id: one for some in lists for one in some}
        found: dict[str, Facts] = {}
        for web_id, value in (await self._values(list(traits))).items():
            trait = traits[web_id]
            name = LIMITS.get(trait.trait_name or "")
            if name is not None:
                found.setdefault(trait.path.rpartition("|")[0], {})[name] = value
        return found

    def _pages_of_traits(self, element: Element) -> Callable[[int], APIRequest]:
        def build(start: int) -> APIRequest:
            return self._controller.elements.get_attributes(
                element.web_id,
                search_full_hierarchy=True,
                trait=list(LIMITS),
                show_hidden=True,
                start_index=start,
                max_count=_TRAITS_OF_A_PAGE,
                selected_fields=_TRAIT_FIELDS,
            )

        return build

    async def _values(self, web_ids: Sequence[str]) -> dict[str, float]:
        """The present numbers of streams by their WebIDs."""
        build = self._controller.streamsets.get_value_adhoc
        found: dict[str, float] = {}
        for part in split(build, web_ids, url_limit=self._url_limit, max_items=500):
            response = await self._client.get(part.request)
            response.raise_for_status()
            for sample in to_samples(parse_stream_set(response.raw_response)).samples:
                if type(sample.value) in (int, float) and sample.tag.web_id in part[0]:
                    found[sample.tag.web_id] = sample.value
        return found


def _point_attributes_of(answer: HTTPResponse) -> Facts:
    if answer.status_code in OF_THIS_OBJECT:
        return {}
    answer.raise_for_status()
    items = answer.dict().get("Items") or []
    return {str(i.get("Name", "")).lower(): i.get("Value") for i in items}


def _of_point(point: Point) -> Facts:
    return _given(
        kind="point",
        name=point.name,
        path=point.path,
        descriptor=point.descriptor,
        units=point.engineering_units,
        type=point.point_type,
        digital_set=point.digital_set_name,
        zero=point.zero,
        span=point.span,
        step=point.step,
        future=point.future,
    )


def _of_attribute(attribute: Attribute, element: Element | None) -> Facts:
    above = element or Element("", "", attribute.element_path)
    return _given(
        kind="attribute",
        name=attribute.name,
        path=attribute.path,
        descriptor=attribute.description,
        units=attribute.default_units_name_abbreviation,
        units_name=attribute.default_units_name,
        type=attribute.type,
        digital_set=attribute.type_qualifier,
        zero=attribute.zero,
        span=attribute.span,
        step=attribute.step,
        categories=attribute.category_names,
        data_reference=attribute.data_reference_plug_in,
        element=above.name or above.path.rpartition("\\")[2],
        element_path=above.path,
        element_descriptor=above.description,
        element_categories=above.category_names,
        template=above.template_name,
    )


def _given(**facts: Any) -> Facts:
    """Those facts that PI has; a zero or a false is one."""
    return {name: value for name, value in facts.items() if value not in (None, "", [])}
