"""Points, elements and attributes that are made and deleted at run time."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pichannels.errors import UsageError, nearest
from pichannels.simulator.asset_templates import (
    UNIT_NAMES,
    AttributeTemplate,
    ElementTemplate,
)
from pichannels.simulator.assets import Assets, Attribute, Element
from pichannels.simulator.describing import describe, subject_of
from pichannels.simulator.events import DigitalSet
from pichannels.simulator.plant import Plant
from pichannels.simulator.tags import Facts, Kind, Tag, Template, templates
from pichannels.simulator.truth import Described, Gone, Made, Structural

__all__ = ["POINT_TYPES", "restructure"]

POINT_TYPES: Final[Mapping[str, Kind]] = {
    "Float16": "float",
    "Float32": "float",
    "Float64": "float",
    "Int16": "int",
    "Int32": "int",
    "Digital": "digital",
    "String": "string",
    "Timestamp": "timestamp",
}
"""The types of points that can be made, and what they hold."""

# Some hour: what is ahead of the present at all makes a future point.
_AHEAD: Final = -3600.0
_PLAIN: Final = ElementTemplate(number=0, name="")
_EMPTY: Final[Mapping[str, Any]] = {"String": "", "DateTime": "1970-01-01T00:00:00Z"}
_UNITS: Final = {name.upper(): short for short, name in UNIT_NAMES.items()}

T = TypeVar("T")


def restructure(plant: Plant, assets: Assets, change: Structural) -> None:
    """Change, make or delete a point or an AF object.

    Raises:
        UsageError: there is no such object, or one of this name already, or a fact
            does not fit.
    """
    if isinstance(change, Described):
        describe(plant, assets, change.subject, change.facts)
    elif isinstance(change, Made):
        _make(plant, assets, change)
    else:
        _delete(plant, assets, change)


def _make(plant: Plant, assets: Assets, change: Made) -> None:
    if change.kind == "point":
        _make_point(plant, change.facts)
        return
    owner = subject_of(plant, assets, change.owner) if change.owner else None
    if isinstance(owner, Tag):
        raise UsageError(f"{owner.path} is a point and has nothing below it")
    if change.kind == "attribute":
        if owner is None:
            raise UsageError("an attribute belongs to an element")
        _make_attribute(plant, assets, owner, change)
    elif isinstance(owner, Attribute):
        raise UsageError(f"{owner.path} is an attribute and has no elements")
    else:
        _make_element(assets, owner, change)


def _make_point(plant: Plant, facts: Mapping[str, Any]) -> None:
    name, point_type = facts["name"], facts["type"]
    digital = None
    if point_type == "Digital":
        digital = _known("digital set", facts.get("set", ""), _sets())
    model = Template(
        name=name,
        kind=_known("point type", point_type, POINT_TYPES),
        shape="none",
        states=digital,
        point_type=point_type,
        latency=_AHEAD if facts.get("future") else 0.0,
        compressing=False,
    )
    described = Facts(
        name,
        facts.get("descriptor", ""),
        facts.get("units", ""),
        facts.get("zero", 0.0),
        facts.get("span", 100.0),
    )
    plant.add(model, described)


def _sets() -> dict[str, DigitalSet]:
    return {one.states.name: one.states for one in templates() if one.states}


def _make_element(assets: Assets, above: Element | None, change: Made) -> None:
    facts = change.facts
    _check_free(facts["name"], above.children if above else assets.roots)
    wanted = facts.get("template")
    template = _known("template", wanted, assets.templates) if wanted else _PLAIN
    made = assets.add_element(above, uuid.UUID(change.id), facts["name"], template)
    made.description = facts.get("description", template.text)


def _make_attribute(
    plant: Plant, assets: Assets, owner: Element | Attribute, change: Made
) -> None:
    facts = change.facts
    beside = owner.children if isinstance(owner, Attribute) else owner.attributes
    _check_free(facts["name"], beside)
    kind = facts.get("type", "Double")
    units = facts.get("units_name", "")
    template = AttributeTemplate(
        name=facts["name"],
        value=_EMPTY.get(kind, 0.0),
        type=kind,
        units=_known("unit of measure", units.upper(), _UNITS) if units else "",
        text=facts.get("description", ""),
        is_manual=facts.get("is_manual", False),
        is_hidden=facts.get("is_hidden", False),
        is_excluded=facts.get("is_excluded", False),
    )
    source = plant.tag(facts["point"]) if facts.get("point") else None
    assets.add_attribute(owner, uuid.UUID(change.id), template, source)


def _delete(plant: Plant, assets: Assets, change: Gone) -> None:
    found = subject_of(plant, assets, change.subject)
    if isinstance(found, Tag):
        plant.remove(found)
    else:
        assets.remove(found)


def _check_free(name: str, beside: list[Any]) -> None:
    if any(one.name.upper() == name.upper() for one in beside):
        raise UsageError(f"there is {name!r} already")


def _known(what: str, name: str, known: Mapping[str, T]) -> T:
    if name not in known:
        raise UsageError(f"there is no {what} {name!r}{nearest(name, known)}")
    return known[name]
