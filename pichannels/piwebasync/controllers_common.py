"""What many controllers offer alike: one object, its changes, its security."""

from __future__ import annotations

from pichannels.piwebasync.controllers_base import (
    Body,
    Flag,
    Many,
    Resource,
    Several,
    Text,
)
from pichannels.piwebasync.requests import APIRequest

__all__ = [
    "Categorised",
    "Editable",
    "Item",
    "Multiple",
    "ReadSecured",
    "References",
    "Secured",
    "SecuredItems",
    "entry_part",
]


def entry_part(name: str) -> str:
    r"""A security entry's name as PI wants it in a path: `DOMAIN*user`."""
    return name.replace("\\", "*")


class Item(Resource):
    """Objects that have a WebID and a path."""

    def get(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """One object by its WebID."""
        return self._get("{webid}", locals())

    def get_by_path(
        self, path: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """One object by its path."""
        return self._get("", locals())


class Editable(Resource):
    """Objects that can be changed and deleted."""

    def update(self, webid: str, body: Body) -> APIRequest:
        """Change an object: `body` has what becomes different."""
        return self._patch("{webid}", locals())

    def delete(self, webid: str) -> APIRequest:
        """Delete an object."""
        return self._delete("{webid}", locals())


class Categorised(Resource):
    """Objects that are in categories."""

    def get_categories(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The categories of an object."""
        return self._get("{webid}/categories", locals())


class Multiple(Resource):
    """Objects of the asset framework that can be had several at once."""

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
        """Several objects by WebIDs, paths or both; each answers for itself.

        Raises:
            APIException: neither a WebID nor a path is given.
        """
        self._need(webid=webid, path=path)
        return self._get("multiple", locals())


class ReadSecured(Resource):
    """Objects whose security can be read."""

    def get_security(
        self,
        webid: str,
        user_identity: Many = None,
        force_refresh: Flag = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """What users may do with an object; without names the one who asks."""
        return self._get("{webid}/security", locals())

    def get_security_entries(
        self,
        webid: str,
        name_filter: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The security entries of an object."""
        return self._get("{webid}/securityentries", locals())

    def get_security_entry_by_name(
        self,
        webid: str,
        name: str,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The security entry of one identity."""
        name = entry_part(name)
        return self._get("{webid}/securityentries/{name}", locals())


class Secured(ReadSecured):
    """Objects whose security can be changed, too."""

    def create_security_entry(
        self,
        webid: str,
        body: Body,
        apply_to_children: Flag = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """Add a security entry, with all rights that it allows and denies."""
        return self._post("{webid}/securityentries", locals())

    def update_security_entry(
        self, webid: str, name: str, body: Body, apply_to_children: Flag = None
    ) -> APIRequest:
        """Change a security entry; rights that `body` does not have are removed."""
        name = entry_part(name)
        return self._put("{webid}/securityentries/{name}", locals())

    def delete_security_entry(
        self, webid: str, name: str, apply_to_children: Flag = None
    ) -> APIRequest:
        """Remove a security entry."""
        name = entry_part(name)
        return self._delete("{webid}/securityentries/{name}", locals())


class SecuredItems(Resource):
    """Servers and databases: they have security for each kind of item in them."""

    def get_security(
        self,
        webid: str,
        security_item: Many = None,
        user_identity: Many = None,
        force_refresh: Flag = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """What users may do with the items in an object."""
        return self._get("{webid}/security", locals())

    def get_security_entries(
        self,
        webid: str,
        security_item: Text = None,
        name_filter: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The security entries of a kind of item."""
        return self._get("{webid}/securityentries", locals())

    def get_security_entry_by_name(
        self,
        webid: str,
        name: str,
        security_item: Text = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The security entry of one identity."""
        name = entry_part(name)
        return self._get("{webid}/securityentries/{name}", locals())

    def create_security_entry(
        self,
        webid: str,
        body: Body,
        security_item: Text = None,
        apply_to_children: Flag = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """Add a security entry to a kind of item."""
        return self._post("{webid}/securityentries", locals())

    def update_security_entry(
        self,
        webid: str,
        name: str,
        body: Body,
        security_item: Text = None,
        apply_to_children: Flag = None,
    ) -> APIRequest:
        """Change a security entry; rights that `body` does not have are removed."""
        name = entry_part(name)
        return self._put("{webid}/securityentries/{name}", locals())

    def delete_security_entry(
        self,
        webid: str,
        name: str,
        security_item: Text = None,
        apply_to_children: Flag = None,
    ) -> APIRequest:
        """Remove a security entry."""
        name = entry_part(name)
        return self._delete("{webid}/securityentries/{name}", locals())


class References(Resource):
    """Objects that have elements by reference, beside their own."""

    def add_referenced_element(
        self,
        webid: str,
        referenced_element_web_id: Several,
        reference_type: Text = None,
    ) -> APIRequest:
        """Add references to elements that exist."""
        return self._post("{webid}/referencedelements", locals())

    def remove_referenced_element(
        self, webid: str, referenced_element_web_id: Several
    ) -> APIRequest:
        """Remove references to elements; the elements stay."""
        return self._delete("{webid}/referencedelements", locals())
