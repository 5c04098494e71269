"""Changes of metadata while the simulator runs: names, units, limits, descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pichannels.errors import UsageError, nearest
from pichannels.simulator.assets import Assets, Attribute, Element, UnknownAsset
from pichannels.simulator.plant import Plant
from pichannels.simulator.tags import Tag

__all__ = ["describe", "subject_of"]

_POINT: Final = ("name", "descriptor", "units", "zero", "span", "scan")
_ELEMENT: Final = ("name", "description")
_REFERENCE: Final = ("name", "description", "units")
_STATIC: Final = (*_REFERENCE, "value")
_NO_NAME: Final = frozenset("\\|")


def describe(
    plant: Plant, assets: Assets, subject: str, facts: Mapping[str, Any]
) -> None:
    """Change the metadata of a point, an element or an attribute.

    Raises:
        UsageError: there is no such object or fact, or the name cannot be.
    """
    found = subject_of(plant, assets, subject)
    _check(found, facts)
    changed = dict(facts)
    if isinstance(found, Tag):
        if "name" in changed:
            plant.rename(found, changed.pop("name"))
        target: Any = found.facts
    else:
        if "name" in changed:
            _check_name(found, changed["name"])
        target = found
    for name, value in changed.items():
        setattr(target, name, value)


def subject_of(plant: Plant, assets: Assets, subject: str) -> Tag | Element | Attribute:
    """The point, element or attribute with this path; points also by their name.

    Raises:
        UsageError: there is none.
    """
    if "|" in subject:
        attribute = assets.attribute(subject)
        if attribute is None:
            raise UnknownAsset(subject)
        return attribute
    return assets.element(subject) or plant.tag(subject)


def _check(found: Tag | Element | Attribute, facts: Mapping[str, Any]) -> None:
    known = _facts_of(found)
    for name, value in facts.items():
        if name not in known:
            raise UsageError(
                f"{found.path} has no {name!r} to change{nearest(name, known)}"
            )
        wanted = (int, float) if name in ("zero", "span", "scan") else str
        if name != "value" and not isinstance(value, wanted):
            raise UsageError(f"{name} cannot be {value!r}")
        if name == "name" and (not value or _NO_NAME & set(value)):
            raise UsageError(f"{value!r} is no name")


def _facts_of(found: Tag | Element | Attribute) -> tuple[str, ...]:
    if isinstance(found, Tag):
        return _POINT
    if isinstance(found, Element):
        return _ELEMENT
    return _STATIC if found.source is None else _REFERENCE


def _check_name(found: Element | Attribute, name: str) -> None:
    """Refuse a name that one beside it has."""
    beside: list[Any]
    if isinstance(found, Element):
        beside = found.parent.children if found.parent else found.assets.roots
    else:
        owner = found.parent.children if found.parent else found.element.attributes
        beside = list(owner)
    if any(one.name.upper() == name.upper() for one in beside if one is not found):
        raise UsageError(f"there is {name!r} already beside {found.path}")
