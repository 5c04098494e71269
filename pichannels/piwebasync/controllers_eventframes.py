"""The controller of the asset framework's event frames."""

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
    Item,
    Multiple,
    Secured,
)
from pichannels.piwebasync.controllers_searches import (
    FindsEventFrameAttributes,
    HasAttributes,
    HasEventFrames,
)
from pichannels.piwebasync.requests import APIRequest

__all__ = ["EventFrames"]


class EventFrames(
    Item,
    Editable,
    Categorised,
    Multiple,
    Secured,
    HasAttributes,
    HasEventFrames,
    FindsEventFrameAttributes,
):
    """`eventframes`: AF event frames and what people have noted on them."""

    _name = "eventframes"

    def acknowledge(self, webid: str) -> APIRequest:
        """Acknowledge an event frame."""
        return self._patch("{webid}/acknowledge", locals())

    def capture_values(self, webid: str) -> APIRequest:
        """Keep the values of its attributes in an event frame."""
        return self._post("{webid}/attributes/capture", locals())

    def get_event_frames_query(
        self,
        database_web_id: Text = None,
        query: Text = None,
        start_index: Count = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The event frames of a database that a query finds: `Template:=Batch*`."""
        return self._get("search", locals())

    def get_referenced_elements(
        self,
        webid: str,
        selected_fields: Many = None,
        web_id_type: Text = None,
        associations: Many = None,
    ) -> APIRequest:
        """The elements that an event frame references."""
        return self._get("{webid}/referencedelements", locals())

    def get_annotations(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """What people have noted on an event frame."""
        return self._get("{webid}/annotations", locals())

    def get_annotation_by_id(
        self,
        webid: str,
        id: str,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """One annotation."""
        return self._get("{webid}/annotations/{id}", locals())

    def get_annotation_attachment_media_by_id(
        self,
        webid: str,
        id: str,
        disposition: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """What is attached to an annotation (PI Web API 2019 and later)."""
        return self._get("{webid}/annotations/{id}/attachment/media", locals())

    def get_annotation_attachment_media_data_by_id(
        self, webid: str, id: str, disposition: Text = None
    ) -> APIRequest:
        """The bytes of an attachment (PI Web API 2019 and later)."""
        return self._get(
            "{webid}/annotations/{id}/attachment/media/mediadata", locals()
        )

    def get_annotation_attachment_media_metadata_by_id(
        self,
        webid: str,
        id: str,
        disposition: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """Name, size and author of an attachment."""
        return self._get("{webid}/annotations/{id}/attachment/media/metadata", locals())

    def update_annotation(self, webid: str, id: str, body: Body) -> APIRequest:
        """Change an annotation: `body` has what becomes different."""
        return self._patch("{webid}/annotations/{id}", locals())

    def delete_annotation(self, webid: str, id: str) -> APIRequest:
        """Delete an annotation and what is attached to it."""
        return self._delete("{webid}/annotations/{id}", locals())

    def delete_annotation_attachment_media_by_id(
        self, webid: str, id: str
    ) -> APIRequest:
        """Delete what is attached to an annotation."""
        return self._delete("{webid}/annotations/{id}/attachment/media", locals())

    def create_annotation(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Note something on an event frame."""
        return self._post("{webid}/annotations", locals())

    def create_attribute(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add an attribute (`bodies.Attribute`)."""
        return self._post("{webid}/attributes", locals())

    def create_event_frame(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add an event frame below an event frame (`bodies.EventFrame`)."""
        return self._post("{webid}/eventframes", locals())

    def create_config(
        self, webid: str, include_child_elements: Flag = None
    ) -> APIRequest:
        """Let the data references of an event frame set themselves up."""
        return self._post("{webid}/config", locals())

    def create_search_by_attribute(
        self,
        body: Body,
        no_results: Flag = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """Search event frames by values of their attributes (`bodies.Search`).

        The answer has the first page, and a link with the id of the search.
        """
        return self._post("searchbyattribute", locals())

    def execute_search_by_attribute(
        self,
        search_id: str,
        search_mode: Text = None,
        start_time: Time = None,
        end_time: Time = None,
        name_filter: Text = None,
        referenced_element_name_filter: Text = None,
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
        """The event frames that a search by attributes finds now."""
        arguments = locals()
        # The argument has the spelling that callers know, the parameter PI's.
        arguments["is_acknowledged"] = arguments.pop("is_acknowleged")
        return self._get("searchbyattribute/{search_id}", arguments)
