"""What the elements of one kind have in common: templates made of the plant's tags.

Boilers, feeds, pumps, valves and tanks take the tags with their name in them; what
is left belongs to the unit. Attributes with a reference to a tag come first, in the
order of the tags, then the static ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from pichannels.simulator.events import Value
from pichannels.simulator.tags import Template, templates

__all__ = [
    "AREA",
    "SITE",
    "UNIT_NAMES",
    "AttributeTemplate",
    "ElementTemplate",
    "equipment_templates",
    "group_of",
]

UNIT_NAMES: Final = {
    "°C": "degree Celsius",
    "A": "ampere",
    "bar": "bar",
    "h": "hour",
    "kW": "kilowatt",
    "kWh": "kilowatt hour",
    "m3/h": "cubic meter per hour",
    "mA": "milliampere",
    "mg/m3": "milligram per cubic meter",
    "mm/s": "millimeter per second",
    "mPa.s": "millipascal second",
    "rpm": "revolution per minute",
    "%": "percent",
}
"""Names of the units of measure by their abbreviations; AF has no others here."""

_WORDS: Final = {"TEMP": "Temperature", "O2": "Oxygen", "AI1": "Analog Input"}
_TYPES: Final = {
    "digital": "EnumerationValue",
    "string": "String",
    "timestamp": "DateTime",
}
_EQUIPMENT: Final = re.compile(r"(BOILER|FEED|PUMP|VALVE|TANK)(\d*)\.(.+)")
_LIMITS: Final = (("LoLo", 0.02), ("Lo", 0.1), ("Hi", 0.9), ("HiHi", 0.98))


class AttributeTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """An attribute that all elements of a template have.

    `tag` is the name of its tag below the unit (of pumps and the like below the
    equipment); an attribute without one is static and holds `value`.
    """

    name: str
    tag: str = ""
    value: Value = None
    type: str = "Double"
    qualifier: str = ""
    units: str = ""
    text: str = ""
    category: str = ""
    trait: str = ""
    step: bool = False
    is_excluded: bool = False
    is_hidden: bool = False
    is_manual: bool = False
    children: tuple[AttributeTemplate, ...] = ()


class ElementTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """What elements of one kind have: a name, a category, attributes."""

    number: int
    name: str
    category: str = ""
    text: str = ""
    attributes: tuple[AttributeTemplate, ...] = ()


def _static(name: str, value: Value, **facts: object) -> AttributeTemplate:
    facts.setdefault("type", "String" if isinstance(value, str) else "Double")
    facts.setdefault("category", "Design")
    return msgspec.convert({"name": name, "value": value, **facts}, AttributeTemplate)


_EXTRA: Final = {
    "Unit": (
        _static("Commissioned", "2020-01-01T00:00:00Z", type="DateTime"),
        _static("Service Notes", "", is_hidden=True, is_manual=True),
        _static("Old Name", "", is_excluded=True),
    ),
    "Boiler": (
        _static("Design Pressure", 20.0, units="bar", text="By its nameplate"),
        _static("Manufacturer", "Dampf & Co"),
    ),
    "Feed": (_static("Pipe Diameter", 80.0, text="Inner diameter"),),
    "Pump": (
        _static("Rated Power", 11.0, units="kW", text="By its nameplate"),
        _static("Manufacturer", "Kreisel AG"),
    ),
    "Valve": (_static("Manufacturer", "Klappe GmbH"),),
    "Tank": (_static("Volume", 25.0, text="Cubic meters when full"),),
}

SITE: Final = ElementTemplate(number=1, name="Site", text="The simulated plant")
AREA: Final = ElementTemplate(number=2, name="Area", text="Ten units of the plant")


def group_of(tag: str) -> tuple[str, str]:
    """The equipment that a tag below a unit belongs to, and what it is there.

    `PUMP2.SPEED` is `("Pump2", "SPEED")`; a tag of the unit itself has no equipment.
    """
    found = _EQUIPMENT.fullmatch(tag)
    return (found[1].title() + found[2], found[3]) if found else ("", tag)


def equipment_templates() -> dict[str, ElementTemplate]:
    """The templates of a unit and its equipment, by their names."""
    groups: dict[str, dict[str, Template]] = {"Unit": {}}
    for model in templates():
        group, name = group_of(model.name)
        kind = group.rstrip("0123456789") or "Unit"
        groups.setdefault(kind, {}).setdefault(name, model)
    return {
        kind: ElementTemplate(
            number=number,
            name=kind,
            category="Process" if kind == "Unit" else "Equipment",
            text=f"A {kind.lower()} of the plant",
            attributes=(*_referring(models), *_EXTRA[kind]),
        )
        for number, (kind, models) in enumerate(groups.items(), 3)
    }


def _referring(models: dict[str, Template]) -> Sequence[AttributeTemplate]:
    return [_of_tag(name, model) for name, model in models.items()]


def _of_tag(name: str, model: Template) -> AttributeTemplate:
    units = model.units if model.units in UNIT_NAMES else ""
    numbers = {"Int32": "Int32", "Int64": "Int64"}.get(model.point_type, "Double")
    return AttributeTemplate(
        name=" ".join(_WORDS.get(word, word.title()) for word in name.split(".")),
        tag=name,
        type=_TYPES.get(model.kind, numbers),
        qualifier=model.states.name if model.states else "",
        units=units,
        text=re.sub(r" \d", "", model.text),
        category="Measurement" if model.kind == "float" else "Status",
        step=model.kind != "float",
        children=_limits(model, units) if model.kind == "float" else (),
    )


def _limits(model: Template, units: str) -> tuple[AttributeTemplate, ...]:
    """The limits of a measurement, as attributes below it with a trait each."""
    return tuple(
        AttributeTemplate(
            name=name,
            value=round(model.zero + model.span * share, 3),
            units=units,
            category="Limits",
            trait=f"Limit{name}",
        )
        for name, share in _LIMITS
    )
