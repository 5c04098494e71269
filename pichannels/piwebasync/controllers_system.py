"""The controller of the server itself: its versions, its time, who is asking."""

from __future__ import annotations

from pichannels.piwebasync.controllers_base import Resource
from pichannels.piwebasync.requests import APIRequest

__all__ = ["System"]


class System(Resource):
    """`system`: the PI Web API itself; some servers keep parts to administrators."""

    _name = "system"

    def status(self) -> APIRequest:
        """Up-time, state and time of the server."""
        return self._get("status", locals())

    def user_info(self) -> APIRequest:
        """Who the server takes us for."""
        return self._get("userinfo", locals())

    def versions(self) -> APIRequest:
        """The versions of the PI Web API and of what is plugged into it."""
        return self._get("versions", locals())

    def configuration(self) -> APIRequest:
        """The settings of the server."""
        return self._get("configuration", locals())
