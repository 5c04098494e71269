"""What is searched alike below databases, elements, event frames and attributes."""

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

__all__ = [
    "FindsElementAttributes",
    "FindsEventFrameAttributes",
    "HasAttributes",
    "HasElements",
    "HasEventFrames",
]


class HasElements(Resource):
    """Objects below which elements are."""

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
        """The elements below an object that match: one level of them, or all."""
        return self._get("{webid}/elements", locals())

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
        """The elements below an object by reference that match."""
        return self._get("{webid}/referencedelements", locals())


class HasAttributes(Resource):
    """Objects that have attributes."""

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
        """The attributes of an object that match.

        With `search_full_hierarchy` also those below attributes, but none of other
        elements; `find_element_attributes` finds those.
        """
        return self._get("{webid}/attributes", locals())


class HasEventFrames(Resource):
    """Objects below which event frames are."""

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


class FindsElementAttributes(Resource):
    """Objects below which attributes of elements are found."""

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


class FindsEventFrameAttributes(Resource):
    """Objects below which attributes of event frames are found."""

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
