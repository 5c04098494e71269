"""The controller of single streams: the values of one point or attribute."""

from __future__ import annotations

from pichannels.piwebasync.controllers_base import (
    Bodies,
    Body,
    Count,
    Flag,
    Many,
    Moment,
    Resource,
    Text,
    Time,
    Times,
)
from pichannels.piwebasync.requests import APIRequest

__all__ = ["Streams"]


class Streams(Resource):
    """`streams`: the values of one PI point or attribute."""

    _name = "streams"

    def get_channel(
        self,
        webid: str,
        include_initial_values: Flag = None,
        heartbeat_rate: Count = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """A PI channel: changes of one stream as they happen."""
        return self._channel("{webid}/channel", locals())

    def get_end(
        self, webid: str, desired_units: Text = None, selected_fields: Many = None
    ) -> APIRequest:
        """The newest value."""
        return self._get("{webid}/end", locals())

    def get_interpolated(
        self,
        webid: str,
        start_time: Time = None,
        end_time: Time = None,
        time_zone: Text = None,
        interval: Text = None,
        sync_time: Time = None,
        sync_time_boundary_type: Text = None,
        desired_units: Text = None,
        filter_expression: Text = None,
        include_filtered_values: Flag = None,
        selected_fields: Many = None,
    ) -> APIRequest:
        """Interpolated values, one every `interval`."""
        return self._get("{webid}/interpolated", locals())

    def get_interpolated_at_times(
        self,
        webid: str,
        time: Times,
        time_zone: Text = None,
        desired_units: Text = None,
        filter_expression: Text = None,
        include_filtered_values: Flag = None,
        sort_order: Text = None,
        selected_fields: Many = None,
    ) -> APIRequest:
        """Interpolated values at the given times."""
        return self._get("{webid}/interpolatedattimes", locals())

    def get_plot(
        self,
        webid: str,
        start_time: Time = None,
        end_time: Time = None,
        time_zone: Text = None,
        intervals: Count = None,
        desired_units: Text = None,
        selected_fields: Many = None,
    ) -> APIRequest:
        """The values that draw a range: at most five for each of `intervals`."""
        return self._get("{webid}/plot", locals())

    def get_recorded(
        self,
        webid: str,
        start_time: Time = None,
        end_time: Time = None,
        time_zone: Text = None,
        boundary_type: Text = None,
        desired_units: Text = None,
        filter_expression: Text = None,
        include_filtered_values: Flag = None,
        max_count: Count = None,
        selected_fields: Many = None,
        associations: Many = None,
    ) -> APIRequest:
        """The archived values of a range."""
        return self._get("{webid}/recorded", locals())

    def get_recorded_at_time(
        self,
        webid: str,
        time: Moment,
        time_zone: Text = None,
        retrieval_mode: Text = None,
        desired_units: Text = None,
        selected_fields: Many = None,
        associations: Many = None,
    ) -> APIRequest:
        """The archived value at, before or after one time."""
        return self._get("{webid}/recordedattime", locals())

    def get_recorded_at_times(
        self,
        webid: str,
        time: Times,
        time_zone: Text = None,
        retrieval_mode: Text = None,
        desired_units: Text = None,
        sort_order: Text = None,
        selected_fields: Many = None,
        associations: Many = None,
    ) -> APIRequest:
        """The archived values at the given times."""
        return self._get("{webid}/recordedattimes", locals())

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
        selected_fields: Many = None,
    ) -> APIRequest:
        """Totals, averages, extremes and counts of the values of a range."""
        return self._get("{webid}/summary", locals())

    def get_value(
        self,
        webid: str,
        time: Time = "*",
        time_zone: Text = None,
        desired_units: Text = None,
        selected_fields: Many = None,
    ) -> APIRequest:
        """The value at one time (`*` is now)."""
        return self._get("{webid}/value", locals())

    def register_stream_update(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """Ask for updates of one stream; the answer has a marker."""
        return self._post("{webid}/updates", locals())

    def retrieve_stream_update(
        self,
        marker: str,
        desired_units: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """What has happened since the marker; the answer has the next one."""
        return self._get("updates/{marker}", locals())

    def update_value(
        self,
        webid: str,
        body: Body,
        update_option: Text = None,
        buffer_option: Text = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """Write one value (`bodies.timed_value`)."""
        return self._post("{webid}/value", locals())

    def update_values(
        self,
        webid: str,
        body: Bodies,
        update_option: Text = None,
        buffer_option: Text = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """Write several values (a list of `bodies.timed_value`)."""
        return self._post("{webid}/recorded", locals())
