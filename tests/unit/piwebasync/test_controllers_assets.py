"""The requests of the asset framework: names, order of arguments, paths."""

from __future__ import annotations

import inspect

import pytest

from pichannels.piwebasync import Controller
from pichannels.piwebasync.exceptions import APIException

CONTROLLER = Controller("https", "pi", root="/piwebapi")

SF = "selected_fields web_id_type"
SEARCH = "sort_field sort_order start_index max_count"
ELEMENTS = (
    "webid name_filter description_filter category_name template_name element_type"
)
FIND = (
    "attribute_name_filter attribute_description_filter attribute_category"
    f" attribute_type search_full_hierarchy {SEARCH} {SF} associations"
)
ATTRIBUTES = (
    "webid name_filter category_name template_name value_type search_full_hierarchy"
    " sort_field sort_order start_index show_excluded show_hidden max_count"
    f" {SF} associations trait trait_category"
)
MULTIPLE = f"webid path include_mode as_parallel {SF} associations"
SECURITY = f"webid security_item user_identity force_refresh {SF}"
ENTRIES = f"webid security_item name_filter {SF}"
ENTRY = f"webid name security_item {SF}"
IDENTITIES = f"webid query field sort_field sort_order max_count {SF}"
TEMPLATES = f"webid field query sort_field sort_order max_count {SF}"
EVENT_FRAMES = (
    "webid search_mode start_time end_time name_filter"
    " referenced_element_name_filter category_name template_name"
    " referenced_element_template_name severity can_be_acknowledged is_acknowleged"
    f" search_full_hierarchy {SEARCH} {SF}"
)
FIND_FRAMES = (
    "webid search_mode start_time end_time event_frame_name_filter"
    " event_frame_description_filter referenced_element_name_filter"
    f" event_frame_category event_frame_template {FIND}"
)
FIND_ELEMENTS = (
    "webid element_name_filter element_description_filter element_category"
    f" element_template element_type {FIND}"
)
ONE = f"webid {SF}"

METHODS = {
    "assetservers.list": (SF, ""),
    "assetservers.get": (ONE, "W"),
    "assetservers.get_by_path": (f"path {SF}", "?path=P"),
    "assetservers.get_by_name": (f"name {SF}", "?name=N"),
    "assetservers.get_analysis_rule_plugins": (ONE, "W/analysisruleplugins"),
    "assetservers.get_databases": (ONE, "W/assetdatabases"),
    "assetservers.get_notification_contact_templates": (
        ONE,
        "W/notificationcontacttemplates",
    ),
    "assetservers.get_notification_plugins": (ONE, "W/notificationplugins"),
    "assetservers.get_security": (SECURITY, "W/security"),
    "assetservers.get_security_entries": (ENTRIES, "W/securityentries"),
    "assetservers.get_security_entry_by_name": (ENTRY, "W/securityentries/N"),
    "assetservers.get_security_identities": (IDENTITIES, "W/securityidentities"),
    "assetservers.get_security_identities_for_user": (
        f"webid user_identity {SF}",
        "W/securityidentities?userIdentity=U",
    ),
    "assetservers.get_security_mappings": (IDENTITIES, "W/securitymappings"),
    "assetservers.get_time_rule_plugins": (ONE, "W/timeruleplugins"),
    "assetservers.get_unit_classes": (ONE, "W/unitclasses"),
    "assetdatabases.get": (ONE, "W"),
    "assetdatabases.get_by_path": (f"path {SF}", "?path=P"),
    "assetdatabases.find_analyses": (
        f"webid field query sort_field start_index sort_order max_count {SF}",
        "W/analyses",
    ),
    "assetdatabases.find_element_attributes": (FIND_ELEMENTS, "W/elementattributes"),
    "assetdatabases.find_event_frame_attributes": (
        FIND_FRAMES,
        "W/eventframeattributes",
    ),
    "assetdatabases.get_analysis_categories": (ONE, "W/analysiscategories"),
    "assetdatabases.get_analysis_templates": (TEMPLATES, "W/analysistemplates"),
    "assetdatabases.get_attribute_categories": (ONE, "W/attributecategories"),
    "assetdatabases.get_element_categories": (ONE, "W/elementcategories"),
    "assetdatabases.get_elements": (
        f"{ELEMENTS} search_full_hierarchy {SEARCH} {SF} associations",
        "W/elements",
    ),
    "assetdatabases.get_element_templates": (TEMPLATES, "W/elementtemplates"),
    "assetdatabases.get_enumeration_sets": (ONE, "W/enumerationsets"),
    "assetdatabases.get_event_frames": (EVENT_FRAMES, "W/eventframes"),
    "assetdatabases.get_referenced_elements": (
        f"{ELEMENTS} {SEARCH} {SF} associations",
        "W/referencedelements",
    ),
    "assetdatabases.get_security": (SECURITY, "W/security"),
    "assetdatabases.get_security_entries": (ENTRIES, "W/securityentries"),
    "assetdatabases.get_security_entry_by_name": (ENTRY, "W/securityentries/N"),
    "assetdatabases.get_table_categories": (ONE, "W/tablecategories"),
    "elements.get": (f"{ONE} associations", "W"),
    "elements.get_by_path": (f"path {SF} associations", "?path=P"),
    "elements.get_multiple": (MULTIPLE, "multiple?webId=W&path=P"),
    "elements.get_elements": (
        f"{ELEMENTS} search_full_hierarchy {SEARCH} {SF} associations",
        "W/elements",
    ),
    "elements.get_attributes": (ATTRIBUTES, "W/attributes"),
    "elements.find_element_attributes": (FIND_ELEMENTS, "W/elementattributes"),
    "attributes.get": (f"{ONE} associations", "W"),
    "attributes.get_by_path": (f"path {SF} associations", "?path=P"),
    "attributes.get_multiple": (MULTIPLE, "multiple?webId=W&path=P"),
    "attributes.get_value": ("webid selected_fields", "W/value"),
    "attributes.get_attributes": (ATTRIBUTES, "W/attributes"),
    "points.get_attributes": (f"webid name name_filter {SF}", "W/attributes"),
}
NEEDED = {"webid": "W", "path": "P", "name": "N", "user_identity": "U"}


def method_of(name: str) -> tuple[str, object]:
    controller, _, method = name.partition(".")
    return controller, getattr(getattr(CONTROLLER, controller), method)


@pytest.mark.parametrize("name", METHODS)
def test_arguments_have_the_names_and_order_of_the_table(name: str) -> None:
    _, method = method_of(name)
    assert callable(method)
    assert list(inspect.signature(method).parameters) == METHODS[name][0].split()


@pytest.mark.parametrize("name", METHODS)
def test_requests_go_where_the_table_says(name: str) -> None:
    controller, method = method_of(name)
    assert callable(method)
    wanted = METHODS[name]
    optional = controller == "points" or name.endswith(("security", "identities"))
    given = {
        argument: value
        for argument, value in NEEDED.items()
        if argument in wanted[0].split() and not (optional and argument != "webid")
    }
    url = method(**given).absolute_url.removeprefix(f"https://pi/piwebapi/{controller}")
    assert url.removeprefix("/") == wanted[1]


def test_the_acknowledged_are_asked_for_as_pi_spells_it() -> None:
    request = CONTROLLER.assetdatabases.get_event_frames("W", is_acknowleged=True)
    assert request.query == "isAcknowledged=true"


def test_several_traits_repeat_their_key() -> None:
    request = CONTROLLER.elements.get_attributes("W", trait=["LimitHi", "LimitLo"])
    assert request.query == "trait=LimitHi&trait=LimitLo"


@pytest.mark.parametrize("controller", ["elements", "attributes"])
def test_several_of_nothing_are_refused(controller: str) -> None:
    with pytest.raises(APIException, match="webid or path"):
        getattr(CONTROLLER, controller).get_multiple()
