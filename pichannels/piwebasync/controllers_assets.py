"""The controllers of the asset framework's servers and databases."""

from __future__ import annotations

from pichannels.piwebasync.controllers_base import (
    Count,
    Flag,
    Many,
    Resource,
    Text,
    Time,
)
from pichannels.piwebasync.requests import APIRequest

__all__ = ["AssetDatabases", "AssetServers"]


class AssetServers(Resource):
    """`assetservers`: AF servers and what belongs to all of their databases."""

    _name = "assetservers"

    def list(
        self, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """All AF servers that the PI Web API knows."""
        return self._get("", locals())

    def get(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """One AF server."""
        return self._get("{webid}", locals())

    def get_by_path(
        self, path: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        r"""One AF server by its path, such as `\\AF`."""
        return self._get("", locals())

    def get_analysis_rule_plugins(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The plug-ins for rules of analyses."""
        return self._get("{webid}/analysisruleplugins", locals())

    def get_by_name(
        self, name: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """One AF server by its name."""
        return self._get("", locals())

    def get_databases(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The databases of an AF server."""
        return self._get("{webid}/assetdatabases", locals())

    def get_notification_contact_templates(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The templates of those who are notified."""
        return self._get("{webid}/notificationcontacttemplates", locals())

    def get_notification_plugins(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The plug-ins by which notifications go out."""
        return self._get("{webid}/notificationplugins", locals())

    def get_security(
        self,
        webid: str,
        security_item: Many = None,
        user_identity: Many = None,
        force_refresh: Flag = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """What users may do with the items of an AF server."""
        return self._get("{webid}/security", locals())

    def get_security_entries(
        self,
        webid: str,
        security_item: Text = None,
        name_filter: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The security entries of an item of an AF server."""
        return self._get("{webid}/securityentries", locals())

    def get_security_entry_by_name(
        self,
        webid: str,
        name: str,
        security_item: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The security entry of one identity."""
        return self._get("{webid}/securityentries/{name}", locals())

    def get_security_identities(
        self,
        webid: str,
        query: Text = None,
        field: Text = None,
        sort_field: Text = None,
        sort_order: Text = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The identities of an AF server that match."""
        return self._get("{webid}/securityidentities", locals())

    def get_security_identities_for_user(
        self,
        webid: str,
        user_identity: str,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The identities of one user."""
        return self._get("{webid}/securityidentities", locals())

    def get_security_mappings(
        self,
        webid: str,
        query: Text = None,
        field: Text = None,
        sort_field: Text = None,
        sort_order: Text = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """Which accounts have which identities."""
        return self._get("{webid}/securitymappings", locals())

    def get_time_rule_plugins(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The plug-ins that say when analyses run."""
        return self._get("{webid}/timeruleplugins", locals())

    def get_unit_classes(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The classes of units of measure."""
        return self._get("{webid}/unitclasses", locals())


class AssetDatabases(Resource):
    """`assetdatabases`: AF databases and what is in them."""

    _name = "assetdatabases"

    def get(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """One database."""
        return self._get("{webid}", locals())

    def get_by_path(
        self, path: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        r"""One database by its path, such as `\\AF\Plant`."""
        return self._get("", locals())

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

    def find_element_attributes(
        self,
        webid: str,
        element_name_filter: Text = None,
        element_description_filter: Text = None,
        element_category: Text = None,
        element_template: Text = None,
        element_type: Text = None,
        attribute_name_filter: Text = None,
        attribute_description_filter: Text = None,
        attribute_category: Text = None,
        attribute_type: Text = None,
        search_full_hierarchy: Flag = None,
        sort_field: Text = None,
        sort_order: Text = None,
        start_index: Count = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
        associations: Many = None,
    ) -> APIRequest:
        """The attributes that match, of the elements that match."""
        return self._get("{webid}/elementattributes", locals())

    def find_event_frame_attributes(
        self,
        webid: str,
        search_mode: Text = None,
        start_time: Time = None,
        end_time: Time = None,
        event_frame_name_filter: Text = None,
        event_frame_description_filter: Text = None,
        referenced_element_name_filter: Text = None,
        event_frame_category: Text = None,
        event_frame_template: Text = None,
        attribute_name_filter: Text = None,
        attribute_description_filter: Text = None,
        attribute_category: Text = None,
        attribute_type: Text = None,
        search_full_hierarchy: Flag = None,
        sort_field: Text = None,
        sort_order: Text = None,
        start_index: Count = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
        associations: Many = None,
    ) -> APIRequest:
        """The attributes that match, of the event frames that match."""
        return self._get("{webid}/eventframeattributes", locals())

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

    def get_elements(
        self,
        webid: str,
        name_filter: Text = None,
        description_filter: Text = None,
        category_name: Text = None,
        template_name: Text = None,
        element_type: Text = None,
        search_full_hierarchy: Flag = None,
        sort_field: Text = None,
        sort_order: Text = None,
        start_index: Count = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
        associations: Many = None,
    ) -> APIRequest:
        """The elements at the top, or all of them, that match."""
        return self._get("{webid}/elements", locals())

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

    def get_event_frames(
        self,
        webid: str,
        search_mode: Text = None,
        start_time: Time = None,
        end_time: Time = None,
        name_filter: Text = None,
        referenced_element_name_filter: Text = None,
        category_name: Text = None,
        template_name: Text = None,
        referenced_element_template_name: Text = None,
        severity: Many = None,
        can_be_acknowledged: Flag = None,
        is_acknowleged: Flag = None,
        search_full_hierarchy: Flag = None,
        sort_field: Text = None,
        sort_order: Text = None,
        start_index: Count = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The event frames that match."""
        arguments = locals()
        # The argument has the spelling that callers know, the parameter PI's.
        arguments["is_acknowledged"] = arguments.pop("is_acknowleged")
        return self._get("{webid}/eventframes", arguments)

    def get_referenced_elements(
        self,
        webid: str,
        name_filter: Text = None,
        description_filter: Text = None,
        category_name: Text = None,
        template_name: Text = None,
        element_type: Text = None,
        sort_field: Text = None,
        sort_order: Text = None,
        start_index: Count = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
        associations: Many = None,
    ) -> APIRequest:
        """The elements that are referenced at the top and match."""
        return self._get("{webid}/referencedelements", locals())

    def get_security(
        self,
        webid: str,
        security_item: Many = None,
        user_identity: Many = None,
        force_refresh: Flag = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """What users may do with the items of a database."""
        return self._get("{webid}/security", locals())

    def get_security_entries(
        self,
        webid: str,
        security_item: Text = None,
        name_filter: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The security entries of an item of a database."""
        return self._get("{webid}/securityentries", locals())

    def get_security_entry_by_name(
        self,
        webid: str,
        name: str,
        security_item: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The security entry of one identity."""
        return self._get("{webid}/securityentries/{name}", locals())

    def get_table_categories(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The categories of tables."""
        return self._get("{webid}/tablecategories", locals())
