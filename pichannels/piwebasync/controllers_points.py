"""The controllers of the PI Data Archive: data servers and points."""

from __future__ import annotations

from pichannels.piwebasync.controllers_base import Body, Count, Flag, Many, Text
from pichannels.piwebasync.controllers_common import Editable, Item
from pichannels.piwebasync.requests import APIRequest

__all__ = ["DataServers", "Points"]


class DataServers(Item):
    """`dataservers`: PI Data Archives and what is on them."""

    _name = "dataservers"

    def list(
        self, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """All data servers that the PI Web API knows."""
        return self._get("", locals())

    def get_by_name(
        self, name: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """One data server by its name."""
        return self._get("", locals())

    def get_enumeration_sets(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The digital state sets of a data server."""
        return self._get("{webid}/enumerationsets", locals())

    def get_license(
        self,
        webid: str,
        module: str,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The licence of one module."""
        return self._get("{webid}/license", locals())

    def get_points(
        self,
        webid: str,
        name_filter: Text = None,
        source_filter: Text = None,
        start_index: Count = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The points whose names match; PI gives 1000 unless `max_count` says more."""
        return self._get("{webid}/points", locals())

    def create_enumeration_set(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a digital state set."""
        return self._post("{webid}/enumerationsets", locals())

    def create_point(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a PI point (`bodies.Point`)."""
        return self._post("{webid}/points", locals())


class Points(Item, Editable):
    """`points`: PI points."""

    _name = "points"

    def get_multiple(
        self,
        webid: Many = None,
        path: Many = None,
        include_mode: Text = None,
        as_parallel: Flag = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """Several points by WebIDs, paths or both; each answers for itself.

        Raises:
            APIException: neither a WebID nor a path is given.
        """
        self._need(webid=webid, path=path)
        return self._get("multiple", locals())

    def get_attributes(
        self,
        webid: str,
        name: Many = None,
        name_filter: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The point attributes (`excdev`, `compdev`, ...), all or those named."""
        return self._get("{webid}/attributes", locals())

    def get_attribute_by_name(
        self,
        webid: str,
        name: str,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """One point attribute."""
        return self._get("{webid}/attributes/{name}", locals())
