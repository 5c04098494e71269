"""The controllers of the server itself, and of what asks for much at once."""

from __future__ import annotations

from pichannels.piwebasync.controllers_base import (
    Body,
    Many,
    Resource,
    Text,
    Time,
    Times,
)
from pichannels.piwebasync.requests import APIRequest

__all__ = ["Batch", "Calculation", "Channels", "Configuration", "Home", "System"]


class Home(Resource):
    """`/`: the links to everything else."""

    _name = ""

    def get(self) -> APIRequest:
        """The links to the servers that the PI Web API knows."""
        return self._get("", locals())


class System(Resource):
    """`system`: the PI Web API itself; some servers keep parts to administrators."""

    _name = "system"

    def landing(self) -> APIRequest:
        """The name of the product, and the links to what this controller has."""
        return self._get("", locals())

    def status(self) -> APIRequest:
        """Up-time, state and time of the server."""
        return self._get("status", locals())

    def user_info(self) -> APIRequest:
        """Who the server takes us for."""
        return self._get("userinfo", locals())

    def versions(self) -> APIRequest:
        """The versions of the PI Web API and of what is plugged into it."""
        return self._get("versions", locals())

    def cache_instances(self) -> APIRequest:
        """The AF caches that the server keeps for its users."""
        return self._get("cacheinstances", locals())

    def configuration(self) -> APIRequest:
        """The settings of the server."""
        return self._get("configuration", locals())


class Configuration(Resource):
    """`system/configuration`: the settings of the server."""

    _name = "system"

    def list(self) -> APIRequest:
        """All settings."""
        return self._get("configuration", locals())

    def get(self, key: str) -> APIRequest:
        """One setting."""
        return self._get("configuration/{key}", locals())

    def delete(self, key: str) -> APIRequest:
        """Remove a setting, so that its default counts again."""
        return self._delete("configuration/{key}", locals())


class Channels(Resource):
    """`channels`: the PI channels that the server has open."""

    _name = "channels"

    def instances(self) -> APIRequest:
        """All PI channels that are open, with counts of their messages."""
        return self._get("instances", locals())


class Batch(Resource):
    """`batch`: several requests in one."""

    _name = "batch"

    def execute(self, body: Body) -> APIRequest:
        """Run a PI batch (`batches.batch`); the answer has each part's own status."""
        return self._post("", locals())


class Calculation(Resource):
    """`calculation`: expressions over the values of points and attributes.

    Names in an expression are relative to the object that `webid` names.
    """

    _name = "calculation"

    def get_at_intervals(
        self,
        webid: Text = None,
        *,
        expression: str,
        start_time: Time = None,
        end_time: Time = None,
        sample_interval: Text = None,
        selected_fields: Many = None,
    ) -> APIRequest:
        """The results at one time every `sample_interval`."""
        return self._get("intervals", locals())

    def get_at_recorded(
        self,
        webid: Text = None,
        *,
        expression: str,
        start_time: Time = None,
        end_time: Time = None,
        selected_fields: Many = None,
    ) -> APIRequest:
        """The results at each time at which a part of the expression has a value."""
        return self._get("recorded", locals())

    def get_at_times(
        self,
        webid: Text = None,
        *,
        expression: str,
        time: Times,
        sort_order: Text = None,
        selected_fields: Many = None,
    ) -> APIRequest:
        """The results at the given times."""
        return self._get("times", locals())

    def get_summary(
        self,
        webid: Text = None,
        *,
        expression: str,
        start_time: Time = None,
        end_time: Time = None,
        summary_type: Many = None,
        summary_duration: Text = None,
        calculation_basis: Text = None,
        time_type: Text = None,
        sample_type: Text = None,
        sample_interval: Text = None,
        selected_fields: Many = None,
    ) -> APIRequest:
        """Totals, averages, extremes and counts of the results."""
        return self._get("summary", locals())
