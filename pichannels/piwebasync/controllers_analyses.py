"""The controllers of analyses, their templates, rules and times."""

from __future__ import annotations

from pichannels.piwebasync.controllers_base import Body, Count, Many, Text
from pichannels.piwebasync.controllers_common import (
    Categorised,
    Editable,
    Item,
    Secured,
)
from pichannels.piwebasync.requests import APIRequest

__all__ = [
    "Analyses",
    "AnalysisRulePlugIns",
    "AnalysisRules",
    "AnalysisTemplates",
    "TimeRulePlugIns",
    "TimeRules",
]


class Analyses(Item, Editable, Categorised, Secured):
    """`analyses`: AF analyses."""

    _name = "analyses"

    def get_analyses_query(
        self,
        database_web_id: Text = None,
        query: Text = None,
        start_index: Count = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The analyses of a database that a query finds, such as `Name:=Daily*`."""
        return self._get("search", locals())


class AnalysisRules(Item, Editable):
    """`analysisrules`: what analyses compute."""

    _name = "analysisrules"

    def get_analysis_rules(
        self, webid: str, selected_fields: Many = None, web_id_type: Text = None
    ) -> APIRequest:
        """The rules below a rule."""
        return self._get("{webid}/analysisrules", locals())

    def create_analysis_rule(
        self, webid: str, body: Body, web_id_type: Text = None
    ) -> APIRequest:
        """Add a rule below a rule."""
        return self._post("{webid}/analysisrules", locals())


class AnalysisRulePlugIns(Item):
    """`analysisruleplugins`: the plug-ins for rules of analyses."""

    _name = "analysisruleplugins"


class AnalysisTemplates(Item, Editable, Categorised, Secured):
    """`analysistemplates`: AF templates of analyses."""

    _name = "analysistemplates"

    def get_analysis_templates_query(
        self,
        database_web_id: Text = None,
        query: Text = None,
        start_index: Count = None,
        max_count: Count = None,
        selected_fields: Many = None,
        web_id_type: Text = None,
    ) -> APIRequest:
        """The templates of analyses of a database that a query finds."""
        return self._get("search", locals())

    def create_from_analysis(
        self, analysis_web_id: str, name: Text = None, web_id_type: Text = None
    ) -> APIRequest:
        """Make a template of an analysis."""
        return self._post("", locals())


class TimeRules(Item, Editable):
    """`timerules`: when analyses run."""

    _name = "timerules"


class TimeRulePlugIns(Item):
    """`timeruleplugins`: the plug-ins that say when analyses run."""

    _name = "timeruleplugins"
