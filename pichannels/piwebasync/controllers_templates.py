"""The controllers of templates of elements and attributes, and of traits."""

from __future__ import annotations

from pichannels.piwebasync.controllers_base import (
    Body,
    Count,
    Flag,
    Many,
    Resource,
    Several,
    Text,
)
from pichannels.piwebasync.controllers_common import (
    Categorised,
    Editable,
    Item,
    Secured,
)
from pichannels.piwebasync.requests import APIRequest

__all__ = ["AttributeTemplates", "AttributeTraits", "ElementTemplates"]


class ElementTemplates(Item, Editable, Secured):
    """`elementtemplates`: AF templates of elements and event frames."""

    _name = "elementtemplates"

    def get_analysis_templates(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The templates of analyses of an element template."""
        return self._get("{webid}/analysistemplates", locals())

    def get_attribute_templates(
        self,
        webid: str,
        show_inherited: Flag = None,
        show_descendants: Flag = None,
        depth_first_traverse: Flag = None,
        start_index: Count = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The templates of attributes of an element template."""
        return self._get("{webid}/attributetemplates", locals())

    def get_base_element_templates(
        self,
        webid: str,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The templates that an element template stands on, the root first."""
        return self._get("{webid}/baseelementtemplates", locals())

    def get_derived_element_templates(
        self,
        webid: str,
        show_descendants: Flag = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The templates that stand on an element template."""
        return self._get("{webid}/derivedelementtemplates", locals())

    def get_categories(
        self,
        webid: str,
        show_inherited: Flag = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The categories of an element template."""
        return self._get("{webid}/categories", locals())

    def get_notification_rule_templates(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The templates of notification rules of an element template."""
        return self._get("{webid}/notificationruletemplates", locals())

    def create_attribute_template(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a template of attributes."""
        return self._post("{webid}/attributetemplates", locals())

    def create_notification_rule_template(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a template of notification rules."""
        return self._post("{webid}/notificationruletemplates", locals())


class AttributeTemplates(Item, Editable, Categorised):
    """`attributetemplates`: AF templates of attributes."""

    _name = "attributetemplates"

    def get_attribute_templates(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The templates of attributes below a template of attributes."""
        return self._get("{webid}/attributetemplates", locals())

    def create_attribute_template(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a template of attributes below another one."""
        return self._post("{webid}/attributetemplates", locals())


class AttributeTraits(Resource):
    """`attributetraits`: what attributes can be to their element (`LimitHi`, ...)."""

    _name = "attributetraits"

    def get(self, name: str, selected_fields: Many = None) -> APIRequest:
        """One trait by its name."""
        return self._get("{name}", locals())

    def get_by_category(
        self, category: Several, selected_fields: Many = None
    ) -> APIRequest:
        """The traits of some categories, such as `Limit` and `Forecast`."""
        self._need(category=category)
        return self._get("", locals())
