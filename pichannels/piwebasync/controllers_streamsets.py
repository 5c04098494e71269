"""The controller of stream sets: the values of many points or attributes at once."""

from __future__ import annotations

from pichannels.piwebasync.controllers_base import (
    Bodies,
    Count,
    Flag,
    Many,
    Moment,
    Resource,
    Several,
    Text,
    Time,
    Times,
)
from pichannels.piwebasync.requests import APIRequest

__all__ = ["StreamSets"]


class StreamSets(Resource):
    """`streamsets`: the values of an object's attributes, or (adhoc) of any streams."""

    _name = "streamsets"

    def get_channel(
        self,
        webid: str,
        name_filter: Text = None,
        category_name: Text = None,
        template_name: Text = None,
        search_full_hierarchy: Flag = None,
        show_excluded: Flag = None,
        show_hidden: Flag = None,
        include_initial_values: Flag = None,
        heartbeat_rate: Count = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """A PI channel: changes of all attributes of an object as they happen."""
        return self._channel("{webid}/channel", locals())

    def get_channel_adhoc(
        self,
        webid: Several,
        include_initial_values: Flag = None,
        heartbeat_rate: Count = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """A PI channel: changes of the given streams as they happen."""
        self._need(webid=webid)
        return self._channel("channel", locals())

    def get_end(
        self,
        webid: str,
        name_filter: Text = None,
        category_name: Text = None,
        template_name: Text = None,
        search_full_hierarchy: Flag = None,
        show_excluded: Flag = None,
        show_hidden: Flag = None,
        sort_field: Text = None,
        sort_order: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The newest value, of an object's attributes."""
        return self._get("{webid}/end", locals())

    def get_end_adhoc(
        self,
        webid: Several,
        sort_field: Text = None,
        sort_order: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The newest value, of each given stream."""
        self._need(webid=webid)
        return self._get("end", locals())

    def get_interpolated(
        self,
        webid: str,
        start_time: Time = None,
        end_time: Time = None,
        time_zone: Text = None,
        interval: Text = None,
        sync_time: Time = None,
        sync_time_boundary_type: Text = None,
        filter_expression: Text = None,
        include_filtered_values: Flag = None,
        name_filter: Text = None,
        category_name: Text = None,
        template_name: Text = None,
        search_full_hierarchy: Flag = None,
        show_excluded: Flag = None,
        show_hidden: Flag = None,
        sort_field: Text = None,
        sort_order: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """Interpolated values, one every `interval`, of an object's attributes."""
        return self._get("{webid}/interpolated", locals())

    def get_interpolated_adhoc(
        self,
        webid: Several,
        start_time: Time = None,
        end_time: Time = None,
        time_zone: Text = None,
        interval: Text = None,
        sync_time: Time = None,
        sync_time_boundary_type: Text = None,
        filter_expression: Text = None,
        include_filtered_values: Flag = None,
        sort_field: Text = None,
        sort_order: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """Interpolated values, one every `interval`, of each given stream."""
        self._need(webid=webid)
        return self._get("interpolated", locals())

    def get_interpolated_at_times(
        self,
        webid: str,
        time: Times,
        time_zone: Text = None,
        filter_expression: Text = None,
        include_filtered_values: Flag = None,
        name_filter: Text = None,
        category_name: Text = None,
        template_name: Text = None,
        search_full_hierarchy: Flag = None,
        show_excluded: Flag = None,
        show_hidden: Flag = None,
        sort_order: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """Interpolated values at the given times, of an object's attributes."""
        return self._get("{webid}/interpolatedattimes", locals())

    def get_interpolated_at_times_adhoc(
        self,
        webid: Several,
        time: Times,
        time_zone: Text = None,
        filter_expression: Text = None,
        include_filtered_values: Flag = None,
        sort_order: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """Interpolated values at the given times, of each given stream."""
        self._need(webid=webid)
        return self._get("interpolatedattimes", locals())

    def get_joined(
        self,
        base_web_id: str,
        subordinate_web_id: Several,
        start_time: Time = None,
        end_time: Time = None,
        time_zone: Text = None,
        boundary_type: Text = None,
        filter_expression: Text = None,
        include_filtered_values: Flag = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """Values of the base stream, and of others at the same times."""
        return self._get("joined", locals())

    def get_plot(
        self,
        webid: str,
        start_time: Time = None,
        end_time: Time = None,
        time_zone: Text = None,
        intervals: Count = None,
        name_filter: Text = None,
        category_name: Text = None,
        template_name: Text = None,
        search_full_hierarchy: Flag = None,
        show_excluded: Flag = None,
        show_hidden: Flag = None,
        sort_field: Text = None,
        sort_order: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The values that draw a range, of an object's attributes."""
        return self._get("{webid}/plot", locals())

    def get_plot_adhoc(
        self,
        webid: Several,
        start_time: Time = None,
        end_time: Time = None,
        time_zone: Text = None,
        intervals: Count = None,
        sort_field: Text = None,
        sort_order: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The values that draw a range, of each given stream."""
        self._need(webid=webid)
        return self._get("plot", locals())

    def get_recorded(
        self,
        webid: str,
        start_time: Time = None,
        end_time: Time = None,
        time_zone: Text = None,
        boundary_type: Text = None,
        filter_expression: Text = None,
        include_filtered_values: Flag = None,
        name_filter: Text = None,
        category_name: Text = None,
        template_name: Text = None,
        search_full_hierarchy: Flag = None,
        show_excluded: Flag = None,
        show_hidden: Flag = None,
        max_count: Count = None,
        sort_field: Text = None,
        sort_order: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The archived values of a range, of an object's attributes."""
        return self._get("{webid}/recorded", locals())

    def get_recorded_adhoc(
        self,
        webid: Several,
        start_time: Time = None,
        end_time: Time = None,
        time_zone: Text = None,
        boundary_type: Text = None,
        filter_expression: Text = None,
        include_filtered_values: Flag = None,
        max_count: Count = None,
        sort_field: Text = None,
        sort_order: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The archived values of a range, of each given stream."""
        self._need(webid=webid)
        return self._get("recorded", locals())

    def get_recorded_at_time(
        self,
        webid: str,
        time: Moment,
        time_zone: Text = None,
        retrieval_mode: Text = None,
        name_filter: Text = None,
        category_name: Text = None,
        template_name: Text = None,
        search_full_hierarchy: Flag = None,
        show_excluded: Flag = None,
        show_hidden: Flag = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The archived value near one time, of an object's attributes."""
        return self._get("{webid}/recordedattime", locals())

    def get_recorded_at_time_adhoc(
        self,
        webid: Several,
        time: Moment,
        time_zone: Text = None,
        retrieval_mode: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The archived value at, before or after one time, of each given stream."""
        self._need(webid=webid)
        return self._get("recordedattime", locals())

    def get_recorded_at_times(
        self,
        webid: str,
        time: Times,
        time_zone: Text = None,
        retrieval_mode: Text = None,
        name_filter: Text = None,
        category_name: Text = None,
        template_name: Text = None,
        search_full_hierarchy: Flag = None,
        show_excluded: Flag = None,
        show_hidden: Flag = None,
        sort_order: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The archived values at the given times, of an object's attributes."""
        return self._get("{webid}/recordedattimes", locals())

    def get_recorded_at_times_adhoc(
        self,
        webid: Several,
        time: Times,
        time_zone: Text = None,
        retrieval_mode: Text = None,
        sort_order: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The archived values at the given times, of each given stream."""
        self._need(webid=webid)
        return self._get("recordedattimes", locals())

    def get_summary(
        self,
        webid: str,
        start_time: Time = None,
        end_time: Time = None,
        time_zone: Text = None,
        summary_type: Many = None,
        calculation_basis: Text = None,
        time_type: Text = None,
        summary_duration: Text = None,
        sample_type: Text = None,
        sample_interval: Text = None,
        filter_expression: Text = None,
        name_filter: Text = None,
        category_name: Text = None,
        template_name: Text = None,
        search_full_hierarchy: Flag = None,
        show_excluded: Flag = None,
        show_hidden: Flag = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """Totals, averages and extremes of a range, of an object's attributes."""
        return self._get("{webid}/summary", locals())

    def get_summary_adhoc(
        self,
        webid: Several,
        start_time: Time = None,
        end_time: Time = None,
        time_zone: Text = None,
        summary_type: Many = None,
        calculation_basis: Text = None,
        time_type: Text = None,
        summary_duration: Text = None,
        sample_type: Text = None,
        sample_interval: Text = None,
        filter_expression: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """Totals, averages and extremes of a range, of each given stream."""
        self._need(webid=webid)
        return self._get("summary", locals())

    def get_value(
        self,
        webid: str,
        time: Time = "*",
        time_zone: Text = None,
        name_filter: Text = None,
        category_name: Text = None,
        template_name: Text = None,
        search_full_hierarchy: Flag = None,
        show_excluded: Flag = None,
        show_hidden: Flag = None,
        sort_field: Text = None,
        sort_order: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The value at one time (`*` is now), of an object's attributes."""
        return self._get("{webid}/value", locals())

    def get_value_adhoc(
        self,
        webid: Several,
        time: Time = "*",
        time_zone: Text = None,
        sort_field: Text = None,
        sort_order: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The value at one time (`*` is now), of each given stream."""
        self._need(webid=webid)
        return self._get("value", locals())

    def register_stream_set_updates(
        self, webid: Several, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """Ask for updates of each given stream; the answer has a marker for each."""
        self._need(webid=webid)
        return self._post("updates", locals())

    def retrieve_stream_set_updates(
        self, marker: Several, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """What has happened since the markers; the answer has the next ones."""
        self._need(marker=marker)
        return self._get("updates", locals())

    def update_value(
        self,
        webid: str,
        body: Bodies,
        update_option: Text = None,
        buffer_option: Text = None,
    ) -> APIRequest:
        """Write one value for each of some attributes of an object.

        `body` is a list of `bodies.stream_value`.
        """
        return self._post("{webid}/value", locals())

    def update_value_adhoc(
        self, body: Bodies, update_option: Text = None, buffer_option: Text = None
    ) -> APIRequest:
        """Write one value for each of several streams (`bodies.stream_value`)."""
        return self._post("value", locals())

    def update_values(
        self,
        webid: str,
        body: Bodies,
        update_option: Text = None,
        buffer_option: Text = None,
    ) -> APIRequest:
        """Write values of some attributes of an object.

        `body` is a list of `bodies.stream_values`.
        """
        return self._post("{webid}/recorded", locals())

    def update_values_adhoc(
        self, body: Bodies, update_option: Text = None, buffer_option: Text = None
    ) -> APIRequest:
        """Write values of several streams (`bodies.stream_values`)."""
        return self._post("recorded", locals())
