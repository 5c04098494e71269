"""The controllers of notifications: rules, templates and who is told."""

from __future__ import annotations

from pichannels.piwebasync.controllers_base import Body, Count, Many, Text
from pichannels.piwebasync.controllers_common import Editable, Item, Secured
from pichannels.piwebasync.requests import APIRequest

__all__ = [
    "NotificationContactTemplates",
    "NotificationPlugIns",
    "NotificationRuleSubscribers",
    "NotificationRuleTemplates",
    "NotificationRules",
]


class NotificationContactTemplates(Item, Editable, Secured):
    """`notificationcontacttemplates`: templates of those who are notified."""

    _name = "notificationcontacttemplates"

    def get_notification_contact_templates_query(
        self,
        asset_server_web_id: Text = None,
        query: Text = None,
        start_index: Count = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The contact templates of an AF server that a query finds."""
        return self._get("search", locals())

    def get_notification_contact_templates(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The contact templates in a group of contact templates."""
        return self._get("{webid}/notificationcontacttemplates", locals())


class NotificationPlugIns(Item):
    """`notificationplugins`: the plug-ins by which notifications go out."""

    _name = "notificationplugins"


class NotificationRules(Item, Editable, Secured):
    """`notificationrules`: when who is notified of what."""

    _name = "notificationrules"

    def get_notification_rules_query(
        self,
        database_web_id: Text = None,
        query: Text = None,
        start_index: Count = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The notification rules of a database that a query finds."""
        return self._get("search", locals())

    def get_notification_rule_subscribers(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """Who is notified."""
        return self._get("{webid}/notificationrulesubscribers", locals())

    def create_notification_rule_subscriber(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add one who is notified."""
        return self._post("{webid}/notificationrulesubscribers", locals())


class NotificationRuleSubscribers(Item, Editable):
    """`notificationrulesubscribers`: those who are notified."""

    _name = "notificationrulesubscribers"

    def get_notification_rule_subscribers(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The subscribers in a group of subscribers."""
        return self._get("{webid}/notificationrulesubscribers", locals())


class NotificationRuleTemplates(Item, Editable, Secured):
    """`notificationruletemplates`: templates of notification rules."""

    _name = "notificationruletemplates"

    def get_notification_rule_templates_query(
        self,
        database_web_id: Text = None,
        query: Text = None,
        start_index: Count = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The templates of notification rules of a database that a query finds."""
        return self._get("search", locals())

    def get_notification_rule_template_subscribers(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """Who is notified."""
        return self._get("{webid}/notificationrulesubscribers", locals())

    def create_notification_rule_template_subscriber(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add one who is notified."""
        return self._post("{webid}/notificationrulesubscribers", locals())
