"""The controllers of the asset framework's elements and attributes."""

from __future__ import annotations

from pichannels.piwebasync.controllers_base import Count, Flag, Many, Resource, Text
from pichannels.piwebasync.requests import APIRequest

__all__ = ["Attributes", "Elements"]


class Elements(Resource):
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

    def get_multiple(
        self,
        webid: Many = None,
        path: Many = None,
        include_mode: Text = None,
        as_parallel: Flag = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
        associations: Many = None,
    ) -> APIRequest:
        """Several elements by WebIDs, paths or both; each answers for itself.

        Raises:
            APIException: neither a WebID nor a path is given.
        """
        self._need(webid=webid, path=path)
        return self._get("multiple", locals())

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
        """The elements below an element, one level or all, that match."""
        return self._get("{webid}/elements", locals())

    def get_attributes(
        self,
        webid: str,
        name_filter: Text = None,
        category_name: Text = None,
        template_name: Text = None,
        value_type: Text = None,
        search_full_hierarchy: Flag = None,
        sort_field: Text = None,
        sort_order: Text = None,
        start_index: Count = None,
        show_excluded: Flag = None,
        show_hidden: Flag = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
        associations: Many = None,
        trait: Many = None,
        trait_category: Many = None,
    ) -> APIRequest:
        """The attributes of an element that match.

        With `search_full_hierarchy` also those below attributes, but none of other
        elements; `find_element_attributes` finds those.
        """
        return self._get("{webid}/attributes", locals())

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
        """The attributes that match, of the elements below this one that match."""
        return self._get("{webid}/elementattributes", locals())


class Attributes(Resource):
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

    def get_multiple(
        self,
        webid: Many = None,
        path: Many = None,
        include_mode: Text = None,
        as_parallel: Flag = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
        associations: Many = None,
    ) -> APIRequest:
        """Several attributes by WebIDs, paths or both; each answers for itself.

        Raises:
            APIException: neither a WebID nor a path is given.
        """
        self._need(webid=webid, path=path)
        return self._get("multiple", locals())

    def get_value(self, webid: str, selected_fields: Many = None) -> APIRequest:
        """The value of an attribute, which may be a static one."""
        return self._get("{webid}/value", locals())

    def get_attributes(
        self,
        webid: str,
        name_filter: Text = None,
        category_name: Text = None,
        template_name: Text = None,
        value_type: Text = None,
        search_full_hierarchy: Flag = None,
        sort_field: Text = None,
        sort_order: Text = None,
        start_index: Count = None,
        show_excluded: Flag = None,
        show_hidden: Flag = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
        associations: Many = None,
        trait: Many = None,
        trait_category: Many = None,
    ) -> APIRequest:
        """The attributes below an attribute that match."""
        return self._get("{webid}/attributes", locals())
