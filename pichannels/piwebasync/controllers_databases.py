"""The controller of the asset framework's databases."""

from __future__ import annotations

from pichannels.piwebasync.controllers_base import Body, Count, Many, Text, Time
from pichannels.piwebasync.controllers_common import (
    Editable,
    Item,
    References,
    SecuredItems,
)
from pichannels.piwebasync.controllers_searches import (
    FindsElementAttributes,
    FindsEventFrameAttributes,
    HasElements,
    HasEventFrames,
)
from pichannels.piwebasync.requests import APIRequest

__all__ = ["AssetDatabases"]


class AssetDatabases(
    Item,
    Editable,
    SecuredItems,
    HasElements,
    HasEventFrames,
    FindsElementAttributes,
    FindsEventFrameAttributes,
    References,
):
    """`assetdatabases`: AF databases and what is in them."""

    _name = "assetdatabases"

    def find_analyses(
        self,
        webid: str,
        field: Many = None,
        query: Text = None,
        sort_field: Text = None,
        start_index: Count = None,
        sort_order: Text = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The analyses that match."""
        return self._get("{webid}/analyses", locals())

    def get_analysis_categories(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The categories of analyses."""
        return self._get("{webid}/analysiscategories", locals())

    def get_analysis_templates(
        self,
        webid: str,
        field: Many = None,
        query: Text = None,
        sort_field: Text = None,
        sort_order: Text = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The templates of analyses that match."""
        return self._get("{webid}/analysistemplates", locals())

    def get_attribute_categories(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The categories of attributes."""
        return self._get("{webid}/attributecategories", locals())

    def get_element_categories(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The categories of elements."""
        return self._get("{webid}/elementcategories", locals())

    def get_element_templates(
        self,
        webid: str,
        field: Many = None,
        query: Text = None,
        sort_field: Text = None,
        sort_order: Text = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The templates of elements that match."""
        return self._get("{webid}/elementtemplates", locals())

    def get_enumeration_sets(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The enumeration sets."""
        return self._get("{webid}/enumerationsets", locals())

    def get_table_categories(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The categories of tables."""
        return self._get("{webid}/tablecategories", locals())

    def get_tables(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The tables of a database."""
        return self._get("{webid}/tables", locals())

    def export(
        self,
        webid: str,
        export_mode: Many = None,
        start_time: Time = None,
        end_time: Time = None,
    ) -> APIRequest:
        """A whole database as XML; the times limit event frames and cases."""
        return self._get("{webid}/export", locals())

    def import_data(self, webid: str, import_mode: Many = None) -> APIRequest:
        """Read XML into a database.

        The XML goes as the body, which `HTTPClient` does not send: it writes JSON.
        """
        return self._post("{webid}/import", locals())

    def create_analysis_category(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a category of analyses."""
        return self._post("{webid}/analysiscategories", locals())

    def create_analysis_template(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a template of analyses."""
        return self._post("{webid}/analysistemplates", locals())

    def create_attribute_category(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a category of attributes."""
        return self._post("{webid}/attributecategories", locals())

    def create_element(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add an element at the top (`bodies.Element`)."""
        return self._post("{webid}/elements", locals())

    def create_element_category(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a category of elements."""
        return self._post("{webid}/elementcategories", locals())

    def create_element_template(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a template of elements or event frames; `InstanceType` says of which."""
        return self._post("{webid}/elementtemplates", locals())

    def create_enumeration_set(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add an enumeration set."""
        return self._post("{webid}/enumerationsets", locals())

    def create_event_frame(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add an event frame (`bodies.EventFrame`)."""
        return self._post("{webid}/eventframes", locals())

    def create_table(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a table."""
        return self._post("{webid}/tables", locals())

    def create_table_category(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a category of tables."""
        return self._post("{webid}/tablecategories", locals())
