"""The controllers of the asset framework's elements and attributes."""

from __future__ import annotations

from pichannels.piwebasync.controllers_base import (
    Body,
    Count,
    Flag,
    Many,
    Text,
    Time,
)
from pichannels.piwebasync.controllers_common import (
    Categorised,
    Editable,
    Multiple,
    References,
    Secured,
)
from pichannels.piwebasync.controllers_searches import (
    FindsElementAttributes,
    HasAttributes,
    HasElements,
)
from pichannels.piwebasync.requests import APIRequest

__all__ = ["Attributes", "Elements"]


class Elements(
    Editable,
    Categorised,
    Multiple,
    Secured,
    HasElements,
    HasAttributes,
    FindsElementAttributes,
    References,
):
    """`elements`: AF elements."""

    _name = "elements"

    def get(
        self,
        webid: str,
        selected_fields: Many = None,
        web_id_type: Text = None,
        associations: Many = None,
    ) -> APIRequest:
        """One element."""
        return self._get("{webid}", locals())

    def get_by_path(
        self,
        path: str,
        selected_fields: Many = None,
        web_id_type: Text = None,
        associations: Many = None,
    ) -> APIRequest:
        r"""One element by its path, such as `\\AF\Plant\Unit1`."""
        return self._get("", locals())

    def get_elements_query(
        self,
        database_web_id: Text = None,
        query: Text = None,
        query_date: Time = None,
        start_index: Count = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
        associations: Many = None,
    ) -> APIRequest:
        """The elements of a database that a query finds, such as `Name:=Pump*`."""
        return self._get("search", locals())

    def get_analyses(
        self,
        webid: str,
        sort_field: Text = None,
        sort_order: Text = None,
        start_index: Count = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The analyses of an element."""
        return self._get("{webid}/analyses", locals())

    def get_event_frames(
        self,
        webid: str,
        search_mode: Text = None,
        start_time: Time = None,
        end_time: Time = None,
        name_filter: Text = None,
        category_name: Text = None,
        template_name: Text = None,
        severity: Many = None,
        can_be_acknowledged: Flag = None,
        is_acknowledged: Flag = None,
        sort_field: Text = None,
        sort_order: Text = None,
        start_index: Count = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The event frames that reference an element and match."""
        return self._get("{webid}/eventframes", locals())

    def get_notification_rules(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The notification rules of an element."""
        return self._get("{webid}/notificationrules", locals())

    def get_paths(self, webid: str, relative_path: Text = None) -> APIRequest:
        """All paths of an element, the primary one first; all or below a path."""
        return self._get("{webid}/paths", locals())

    def create_analysis(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add an analysis."""
        return self._post("{webid}/analyses", locals())

    def create_attribute(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add an attribute (`bodies.Attribute`)."""
        return self._post("{webid}/attributes", locals())

    def create_element(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add an element below an element (`bodies.Element`)."""
        return self._post("{webid}/elements", locals())

    def create_notification_rule(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a notification rule."""
        return self._post("{webid}/notificationrules", locals())

    def create_config(
        self, webid: str, include_child_elements: Flag = None
    ) -> APIRequest:
        """Let the data references of an element set themselves up."""
        return self._post("{webid}/config", locals())

    def create_search_by_attribute(
        self,
        body: Body,
        no_results: Flag = None,
        associations: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """Search elements by values of their attributes (`bodies.Search`).

        The answer has the first page, and a link with the id of the search.
        """
        return self._post("searchbyattribute", locals())

    def execute_search_by_attribute(
        self,
        search_id: str,
        name_filter: Text = None,
        description_filter: Text = None,
        category_name: Text = None,
        search_full_hierarchy: Flag = None,
        sort_field: Text = None,
        sort_order: Text = None,
        start_index: Count = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
        associations: Many = None,
    ) -> APIRequest:
        """The elements that a search by attributes finds now."""
        return self._get("searchbyattribute/{search_id}", locals())


class Attributes(Editable, Categorised, Multiple, HasAttributes):
    """`attributes`: AF attributes."""

    _name = "attributes"

    def get(
        self,
        webid: str,
        selected_fields: Many = None,
        web_id_type: Text = None,
        associations: Many = None,
    ) -> APIRequest:
        """One attribute."""
        return self._get("{webid}", locals())

    def get_by_path(
        self,
        path: str,
        selected_fields: Many = None,
        web_id_type: Text = None,
        associations: Many = None,
    ) -> APIRequest:
        r"""One attribute by its path, such as `\\AF\Plant\Unit1|Temperature`."""
        return self._get("", locals())

    def get_attributes_query(
        self,
        database_web_id: Text = None,
        query: Text = None,
        start_index: Count = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
        associations: Many = None,
    ) -> APIRequest:
        """The attributes of a database that a query finds: `Element:{Name:=Pump*}`."""
        return self._get("search", locals())

    def get_value(self, webid: str, selected_fields: Many = None) -> APIRequest:
        """The value of an attribute, which may be a static one."""
        return self._get("{webid}/value", locals())

    def set_value(self, webid: str, body: Body) -> APIRequest:
        """Write the value of a configuration item; `streams` writes all others."""
        return self._put("{webid}/value", locals())

    def create_attribute(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add an attribute below an attribute (`bodies.Attribute`)."""
        return self._post("{webid}/attributes", locals())

    def create_config(self, webid: str, web_id_type: Text = None) -> APIRequest:
        """Let the data reference set itself up, such as make its PI point."""
        return self._post("{webid}/config", locals())
