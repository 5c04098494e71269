"""The controllers of who is known to an AF server: identities and mappings."""

from __future__ import annotations

from pichannels.piwebasync.controllers_base import Many, Text
from pichannels.piwebasync.controllers_common import Editable, Item, ReadSecured
from pichannels.piwebasync.requests import APIRequest

__all__ = ["SecurityIdentities", "SecurityMappings"]


class SecurityIdentities(Item, Editable, ReadSecured):
    """`securityidentities`: the identities that have rights."""

    _name = "securityidentities"

    def get_security_mappings(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The accounts that have an identity."""
        return self._get("{webid}/securitymappings", locals())


class SecurityMappings(Item, Editable, ReadSecured):
    """`securitymappings`: which account has which identity."""

    _name = "securitymappings"
