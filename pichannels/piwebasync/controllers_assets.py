"""The controller of the asset framework's servers."""

from __future__ import annotations

from pichannels.piwebasync.controllers_base import Body, Count, Many, Text
from pichannels.piwebasync.controllers_common import Item, SecuredItems
from pichannels.piwebasync.requests import APIRequest

__all__ = ["AssetServers"]


class AssetServers(Item, SecuredItems):
    """`assetservers`: AF servers and what belongs to all of their databases."""

    _name = "assetservers"

    def list(
        self, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """All AF servers that the PI Web API knows."""
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

    def create_asset_database(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a database."""
        return self._post("{webid}/assetdatabases", locals())

    def create_notification_contact_template(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a template of those who are notified."""
        return self._post("{webid}/notificationcontacttemplates", locals())

    def create_security_identity(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add an identity."""
        return self._post("{webid}/securityidentities", locals())

    def create_security_mapping(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Give an account an identity."""
        return self._post("{webid}/securitymappings", locals())

    def create_unit_class(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a class of units of measure."""
        return self._post("{webid}/unitclasses", locals())
