"""Asset servers, databases, elements and attributes in the shapes of PI Web API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pichannels.simulator.assets import AssetServer, Attribute, Element
from pichannels.simulator.simtime import time_text

__all__ = ["asset_server", "attribute", "database", "element"]

_SERVER_LINKS = (
    ("Databases", "assetdatabases"),
    *(
        (name, name.lower())
        for name in (
            "NotificationContactTemplates",
            "SecurityIdentities",
            "SecurityMappings",
            "UnitClasses",
            "AnalysisRulePlugIns",
            "TimeRulePlugIns",
            "Security",
            "SecurityEntries",
        )
    ),
)
_DATABASE_LINKS = (
    "Elements",
    "ElementTemplates",
    "EventFrames",
    "EnumerationSets",
    "ElementCategories",
    "AttributeCategories",
    "TableCategories",
    "AnalysisCategories",
    "AnalysisTemplates",
    "Tables",
    "Security",
    "SecurityEntries",
)
_DATA_LINKS = (
    ("InterpolatedData", "interpolated"),
    ("RecordedData", "recorded"),
    ("PlotData", "plot"),
    ("SummaryData", "summary"),
    ("Value", "value"),
    ("EndValue", "end"),
)


def asset_server(server: AssetServer, now: int, base: str, form: str) -> dict[str, Any]:
    """An AF server."""
    web_id = server.web_id(form)
    link = f"{base}/assetservers/{web_id}"
    return {
        "WebId": web_id,
        "Id": str(server.id),
        "Name": server.name,
        "Description": "",
        "Path": server.path,
        "IsConnected": True,
        "ServerVersion": server.version,
        "ServerTime": time_text(now),
        "ExtendedProperties": {},
        "Links": {"Self": link}
        | {name: f"{link}/{action}" for name, action in _SERVER_LINKS},
    }


def database(server: AssetServer, base: str, form: str) -> dict[str, Any]:
    """An AF database."""
    web_id = server.database_web_id(form)
    link = f"{base}/assetdatabases/{web_id}"
    return {
        "WebId": web_id,
        "Id": str(server.database_id),
        "Name": server.database,
        "Description": "",
        "Path": server.database_path,
        "ExtendedProperties": {},
        "Links": {"Self": link} | _links(link, _DATABASE_LINKS),
    }


def _links(link: str, names: Iterable[str]) -> dict[str, str]:
    return {name: f"{link}/{name.lower()}" for name in names}


def element(found: Element, base: str, form: str) -> dict[str, Any]:
    """An element."""
    web_id = found.web_id_as(form)
    link = f"{base}/elements/{web_id}"
    data = f"{base}/streamsets/{web_id}"
    database = found.assets.server.database_web_id(form)
    category = found.template.category
    return {
        "WebId": web_id,
        "Id": str(found.id),
        "Name": found.name,
        "Description": found.description,
        "Path": found.path,
        "TemplateName": found.template.name,
        "HasChildren": bool(found.children),
        "CategoryNames": [category] if category else [],
        "ExtendedProperties": {},
        "Links": {
            "Self": link,
            **_links(link, ("Analyses", "Attributes", "Elements")),
            "Database": f"{base}/assetdatabases/{database}",
            **_links(link, ("Categories", "EventFrames")),
            **{name: f"{data}/{action}" for name, action in _DATA_LINKS},
            **_links(link, ("Security", "SecurityEntries", "NotificationRules")),
        },
    }


def attribute(found: Attribute, base: str, form: str) -> dict[str, Any]:
    """An attribute."""
    model, tag = found.template, found.source
    number = tag if tag is not None and tag.kind in ("float", "int") else None
    return {
        "WebId": found.web_id_as(form),
        "Id": str(found.id),
        "Name": found.name,
        "Description": found.description,
        "Path": found.path,
        "Type": model.type,
        "TypeQualifier": model.qualifier,
        "DefaultUnitsName": found.units_name,
        "DefaultUnitsNameAbbreviation": found.units,
        "DisplayDigits": -5,
        "DataReferencePlugIn": "PI Point" if tag else "",
        "ConfigString": _reference(found),
        "IsConfigurationItem": tag is None and not model.is_manual,
        "IsExcluded": model.is_excluded,
        "IsHidden": model.is_hidden,
        "IsManualDataEntry": model.is_manual,
        "HasChildren": bool(found.children),
        "CategoryNames": [model.category] if model.category else [],
        "Step": model.step,
        "TraitName": model.trait,
        "Span": number.facts.span if number else None,
        "Zero": number.facts.zero if number else None,
        "Links": _attribute_links(found, base, form),
    }


def _reference(found: Attribute) -> str:
    tag = found.source
    if tag is None:
        return ""
    server = tag.server
    return f"\\\\{server.name}?{server.id}\\{tag.name}?{tag.point_id}"


def _attribute_links(found: Attribute, base: str, form: str) -> dict[str, str]:
    web_id = found.web_id_as(form)
    link = f"{base}/attributes/{web_id}"
    data = f"{base}/streams/{web_id}"
    links = {"Self": link, "Attributes": f"{link}/attributes"}
    if found.parent is not None:
        links["Parent"] = found.parent.link(base, form)
    links["Element"] = f"{base}/elements/{found.element.web_id_as(form)}"
    links |= {name: f"{data}/{action}" for name, action in _DATA_LINKS}
    if found.source is not None:
        links["Point"] = found.source.link(base, form)
    return links | {"Categories": f"{link}/categories"}
