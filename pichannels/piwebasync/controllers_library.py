"""The controllers of the asset framework's library: categories, sets, tables, units."""

from __future__ import annotations

from pichannels.piwebasync.controllers_base import Body, Many, Text
from pichannels.piwebasync.controllers_common import (
    Categorised,
    Editable,
    Item,
    Secured,
)
from pichannels.piwebasync.requests import APIRequest

__all__ = [
    "AnalysisCategories",
    "AttributeCategories",
    "ElementCategories",
    "EnumerationSets",
    "EnumerationValues",
    "TableCategories",
    "Tables",
    "UnitClasses",
    "Units",
]


class AnalysisCategories(Item, Editable, Secured):
    """`analysiscategories`: AF categories of analyses."""

    _name = "analysiscategories"


class AttributeCategories(Item, Editable, Secured):
    """`attributecategories`: AF categories of attributes."""

    _name = "attributecategories"


class ElementCategories(Item, Editable, Secured):
    """`elementcategories`: AF categories of elements."""

    _name = "elementcategories"


class TableCategories(Item, Editable, Secured):
    """`tablecategories`: AF categories of tables."""

    _name = "tablecategories"


class EnumerationSets(Item, Editable, Secured):
    """`enumerationsets`: enumeration sets, which PI points know as digital sets."""

    _name = "enumerationsets"

    def get_values(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The values of an enumeration set."""
        return self._get("{webid}/enumerationvalues", locals())

    def create_value(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a value to an enumeration set."""
        return self._post("{webid}/enumerationvalues", locals())


class EnumerationValues(Item, Editable):
    """`enumerationvalues`: values of enumeration sets."""

    _name = "enumerationvalues"


class Tables(Item, Editable, Categorised, Secured):
    """`tables`: AF tables."""

    _name = "tables"

    def get_data(self, webid: str, selected_fields: Many = None) -> APIRequest:
        """The columns and rows of a table."""
        return self._get("{webid}/data", locals())

    def update_data(self, webid: str, body: Body) -> APIRequest:
        """Replace the rows of a table."""
        return self._put("{webid}/data", locals())


class UnitClasses(Item, Editable):
    """`unitclasses`: classes of units of measure."""

    _name = "unitclasses"

    def get_canonical_unit(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The unit that a class computes in."""
        return self._get("{webid}/canonicalunit", locals())

    def get_units(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The units of a class."""
        return self._get("{webid}/units", locals())

    def create_unit(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a unit to a class."""
        return self._post("{webid}/units", locals())


class Units(Item, Editable):
    """`units`: units of measure."""

    _name = "units"
