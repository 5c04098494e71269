"""The asset framework of the plant: its elements and attributes, by path and by id.

A site has areas of ten units each, a unit its equipment. Everything follows from
the tags of the plant: an element is made when it is first asked for, and its GUID
tells where it stands, so that nothing has to be looked up.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Final

import msgspec

from pichannels.errors import UsageError
from pichannels.simulator.asset_templates import (
    AREA,
    SITE,
    UNIT_NAMES,
    AttributeTemplate,
    ElementTemplate,
    equipment_templates,
    group_of,
)
from pichannels.simulator.events import Value
from pichannels.simulator.plant import Plant
from pichannels.simulator.tags import Tag, templates
from pichannels.simulator.webids import object_web_id

__all__ = ["AssetServer", "Assets", "Attribute", "Element", "UnknownAsset"]

UNITS_OF_AREA: Final = 10

_ELEMENT: Final = bytes.fromhex("3c71f2aa0d151ee1")
_ATTRIBUTE: Final = bytes.fromhex("8e40b6d927fa4c13")
Place = tuple[int, ...]


class UnknownAsset(UsageError):
    """The asset framework has no object of this path."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"there is no element or attribute {path!r}")


class AssetServer(msgspec.Struct, frozen=True):
    """The AF server and its one database."""

    name: str = "SIMAF"
    id: uuid.UUID = uuid.UUID("5b1d7e04-93c2-4a68-8f1e-c07a6d24b9f3")
    version: str = "2.10.9.593"
    database: str = "Plant"
    database_id: uuid.UUID = uuid.UUID("a4e8206c-1f57-4d3b-b2c9-7d5e90134fa8")

    @property
    def path(self) -> str:
        return f"\\\\{self.name}"

    @property
    def database_path(self) -> str:
        return f"\\\\{self.name}\\{self.database}"

    def web_id(self, form: str = "Full") -> str:
        """The WebID of the server."""
        return object_web_id("RS", (self.id,), self.path, form)

    def database_web_id(self, form: str = "Full") -> str:
        """The WebID of the database."""
        ids = (self.id, self.database_id)
        return object_web_id("RD", ids, self.database_path, form)


class Element:
    """One element; `name` and `description` may change while the server runs."""

    def __init__(
        self,
        assets: Assets,
        parent: Element | None,
        place: Place,
        name: str,
        template: ElementTemplate,
    ) -> None:
        self.assets = assets
        self.parent = parent
        self.place = place
        self.name = name
        self.template = template
        self.description = template.text
        self.id = _guid(_ELEMENT, place)

    @property
    def path(self) -> str:
        above = self.parent.path if self.parent else self.assets.server.database_path
        return f"{above}\\{self.name}"

    def web_id_as(self, form: str) -> str:
        """The WebID in one of `WEB_ID_TYPES`."""
        ids = (self.assets.server.id, self.id)
        return object_web_id("Em", ids, self.path, form)

    @cached_property
    def children(self) -> list[Element]:
        """The elements below this one."""
        return list(self.assets.below(self))

    @cached_property
    def attributes(self) -> list[Attribute]:
        """Its attributes, those of tags that the plant does not have left out."""
        return list(self.assets.attributes_of(self))

    def all_attributes(self) -> Iterator[Attribute]:
        """Its attributes with those below them."""
        for attribute in self.attributes:
            yield attribute
            yield from attribute.children

    def attribute_by_id(self, id: uuid.UUID) -> Attribute | None:
        """The attribute with this GUID, at any depth."""
        return next((a for a in self.all_attributes() if a.id == id), None)


class Attribute:
    """One attribute: a reference to a tag, or a static value.

    `name`, `description`, `units` and, where it is static, `value` may change.
    """

    def __init__(
        self,
        element: Element,
        parent: Attribute | None,
        place: Place,
        template: AttributeTemplate,
        source: Tag | None,
    ) -> None:
        self.element = element
        self.parent = parent
        self.template = template
        self.source = source
        self.name = template.name
        self.description = template.text
        self.units = template.units
        self.value: Value = template.value
        # As in AF, elements of one template share the GUIDs of attributes.
        self.id = _guid(_ATTRIBUTE, place)
        self.children = [
            Attribute(element, self, (*place, number), child, None)
            for number, child in enumerate(template.children, 1)
        ]

    @property
    def path(self) -> str:
        above = self.parent.path if self.parent else self.element.path
        return f"{above}|{self.name}"

    @property
    def units_name(self) -> str:
        return UNIT_NAMES.get(self.units, "")

    def web_id_as(self, form: str) -> str:
        """The WebID in one of `WEB_ID_TYPES`."""
        ids = (self.element.assets.server.id, self.element.id, self.id)
        return object_web_id("AbE", ids, self.path, form)

    def link(self, base: str, form: str = "Full") -> str:
        """Where the attribute is described."""
        return f"{base}/attributes/{self.web_id_as(form)}"


class Assets:
    """The AF server of a plant."""

    def __init__(self, plant: Plant, server: AssetServer | None = None) -> None:
        self.server = server or AssetServer()
        self._plant = plant
        self._templates = equipment_templates()
        self._models = templates()
        self._made: dict[uuid.UUID, Element] = {}
        self._units = -(-plant.size // len(self._models))

    @property
    def templates(self) -> Mapping[str, ElementTemplate]:
        """The element templates by name."""
        return {"Site": SITE, "Area": AREA, **self._templates}

    @cached_property
    def roots(self) -> list[Element]:
        """The elements at the top of the database."""
        return [Element(self, None, (1,), "Site", SITE)]

    def below(self, element: Element) -> Iterator[Element]:
        """New elements for what stands below `element`."""
        place = element.place
        if len(place) == 1:
            for area in range(1, -(-self._units // UNITS_OF_AREA) + 1):
                yield Element(self, element, (*place, area), f"Area{area}", AREA)
        elif len(place) == 2:
            first = (place[1] - 1) * UNITS_OF_AREA + 1
            for unit in range(first, min(first + UNITS_OF_AREA, self._units + 1)):
                template = self._templates["Unit"]
                yield Element(self, element, (*place, unit), f"Unit{unit}", template)
        elif len(place) == 3:
            yield from self._equipment(element)

    def _equipment(self, unit: Element) -> Iterator[Element]:
        names = dict.fromkeys(group for group, _ in self._tags_of(unit.place[2]))
        known = (name for name in sorted(names) if name)
        for number, name in enumerate(known, 1):
            template = self._templates[name.rstrip("0123456789")]
            yield Element(self, unit, (*unit.place, number), name, template)

    def _tags_of(self, unit: int) -> dict[tuple[str, str], Tag]:
        """The tags of a unit by their equipment and their name there."""
        first = (unit - 1) * len(self._models)
        last = min(first + len(self._models), self._plant.size)
        tags = self._plant.tags[first:last]
        return {group_of(tag.template.name): tag for tag in tags}

    def attributes_of(self, element: Element) -> Iterator[Attribute]:
        """New attributes for `element`."""
        place = element.place
        tags = self._tags_of(place[2]) if len(place) > 2 else {}
        group = _made_name(element, tags)
        template = element.template
        for number, model in enumerate(template.attributes, 1):
            tag = tags.get((group, model.tag)) if model.tag else None
            if tag is not None or not model.tag:
                at = (template.number, number)
                yield Attribute(element, None, at, model, tag)

    def elements(self, root: Element | None = None) -> Iterator[Element]:
        """All elements below `root`, or of the database, each before its own."""
        for element in root.children if root else self.roots:
            yield element
            yield from self.elements(element)

    def element(self, path: str) -> Element | None:
        """The element with this path, in any case."""
        base = self.server.database_path.upper()
        wanted = path.upper()
        if not wanted.startswith(f"{base}\\"):
            return None
        found: Element | None = None
        for name in wanted[len(base) + 1 :].split("\\"):
            below = found.children if found else self.roots
            found = next((one for one in below if one.name.upper() == name), None)
            if found is None:
                return None
        return found

    def attribute(self, path: str) -> Attribute | None:
        """The attribute with this path, in any case."""
        above, *names = path.split("|")
        element = self.element(above)
        if element is None or not names:
            return None
        below, found = element.attributes, None
        for name in names:
            found = next((a for a in below if a.name.upper() == name.upper()), None)
            if found is None:
                return None
            below = found.children
        return found

    def element_by_id(self, id: uuid.UUID) -> Element | None:
        """The element with this GUID."""
        if id in self._made:
            return self._made[id]
        if id.bytes[:8] != _ELEMENT:
            return None
        place = tuple(filter(None, struct.unpack(">4H", id.bytes[8:])))
        found: Element | None = None
        for depth in range(1, len(place) + 1):
            below = found.children if found else self.roots
            at = place[:depth]
            found = next((one for one in below if one.place == at), None)
            if found is None:
                return None
        return found

    def add_element(
        self,
        above: Element | None,
        id: uuid.UUID,
        name: str,
        template: ElementTemplate,
    ) -> Element:
        """Make another element below one, or at the top of the database."""
        made = Element(self, above, (), name, template)
        made.id = id
        self._made[id] = made
        (above.children if above else self.roots).append(made)
        return made

    def add_attribute(
        self,
        owner: Element | Attribute,
        id: uuid.UUID,
        template: AttributeTemplate,
        source: Tag | None,
    ) -> Attribute:
        """Make another attribute of an element, or below one."""
        above = owner if isinstance(owner, Attribute) else None
        element = owner.element if isinstance(owner, Attribute) else owner
        made = Attribute(element, above, (), template, source)
        made.id = id
        (above.children if above else element.attributes).append(made)
        return made

    def remove(self, found: Element | Attribute) -> None:
        """Delete an element with all below it, or an attribute."""
        if isinstance(found, Attribute):
            owner = found.parent.children if found.parent else found.element.attributes
            owner.remove(found)
            return
        (found.parent.children if found.parent else self.roots).remove(found)
        for below in (found, *self.elements(found)):
            self._made.pop(below.id, None)


def _guid(kind: bytes, place: Place) -> uuid.UUID:
    padded = (*place, 0, 0, 0, 0)[:4]
    return uuid.UUID(bytes=kind + struct.pack(">4H", *padded))


def _made_name(element: Element, tags: Mapping[tuple[str, str], Tag]) -> str:
    """The name that equipment was made with, whatever it is called now."""
    if len(element.place) < 4:
        return ""
    names = sorted({group for group, _ in tags if group})
    return names[element.place[3] - 1]
