"""The entry to all requests: `Controller(...).points.get_by_path(...)`."""

from __future__ import annotations

from functools import cached_property
from typing import Final, Self
from urllib.parse import urlsplit

from pichannels.errors import UsageError
from pichannels.piwebasync.controllers_analyses import (
    Analyses,
    AnalysisRulePlugIns,
    AnalysisRules,
    AnalysisTemplates,
    TimeRulePlugIns,
    TimeRules,
)
from pichannels.piwebasync.controllers_assets import AssetServers
from pichannels.piwebasync.controllers_base import Server
from pichannels.piwebasync.controllers_databases import AssetDatabases
from pichannels.piwebasync.controllers_elements import Attributes, Elements
from pichannels.piwebasync.controllers_eventframes import EventFrames
from pichannels.piwebasync.controllers_library import (
    AnalysisCategories,
    AttributeCategories,
    ElementCategories,
    EnumerationSets,
    EnumerationValues,
    TableCategories,
    Tables,
    UnitClasses,
    Units,
)
from pichannels.piwebasync.controllers_notifications import (
    NotificationContactTemplates,
    NotificationPlugIns,
    NotificationRules,
    NotificationRuleSubscribers,
    NotificationRuleTemplates,
)
from pichannels.piwebasync.controllers_points import DataServers, Points
from pichannels.piwebasync.controllers_security import (
    SecurityIdentities,
    SecurityMappings,
)
from pichannels.piwebasync.controllers_streams import Streams
from pichannels.piwebasync.controllers_streamsets import StreamSets
from pichannels.piwebasync.controllers_system import (
    Batch,
    Calculation,
    Channels,
    Configuration,
    Home,
    System,
)
from pichannels.piwebasync.controllers_templates import (
    AttributeTemplates,
    AttributeTraits,
    ElementTemplates,
)

__all__ = ["Controller"]

_ROOT: Final = "/piwebapi"


class Controller:
    """The controllers of one PI Web API.

    Nothing is sent: each method returns an `APIRequest` for a client. One
    controller serves both protocols; `http` and `ws`, `https` and `wss` are
    exchanged as the request needs.

    Args:
        scheme: `https`, `http`, `wss` or `ws`.
        host: name or address of the server.
        port: where it is not the scheme's own.
        root: the path of the API, mostly `/piwebapi`.

    Raises:
        UsageError: one of these is of another kind.
    """

    def __init__(
        self, scheme: str, host: str, port: int | str | None = None, root: str = "/"
    ) -> None:
        self._server = Server(scheme, host, port, root)

    @classmethod
    def from_url(cls, url: str, *, websocket: bool = False) -> Self:
        """The controllers at a base URL such as `https://pi.example.com/piwebapi`.

        Without a path `/piwebapi` is meant.

        Raises:
            UsageError: the URL is no address of a PI Web API, or holds a login.
        """
        if not isinstance(url, str):
            raise UsageError(f"the URL is a text, not {url!r}")
        shown = "..." if "@" in url else url
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as exc:
            raise UsageError(f"url={shown!r} is no URL: {exc}") from exc
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"url={shown!r} is no address of a PI Web API server; it looks like"
                " https://pi.example.com/piwebapi"
            )
        if parts.username is not None:
            raise UsageError(
                f"the URL of {parts.hostname} holds a login, which everybody would"
                " see; give it as auth=(user, password)"
            )
        scheme = parts.scheme.replace("http", "ws") if websocket else parts.scheme
        return cls(scheme, parts.hostname, port, parts.path or _ROOT)

    @property
    def base_url(self) -> str:
        """The URL below which all requests are."""
        return self.home.get().absolute_url.rstrip("/")

    # Servers and points

    @cached_property
    def home(self) -> Home:
        """The links to everything else."""
        return Home(self._server)

    @cached_property
    def system(self) -> System:
        """The PI Web API itself."""
        return System(self._server)

    @cached_property
    def configuration(self) -> Configuration:
        """The settings of the PI Web API."""
        return Configuration(self._server)

    @cached_property
    def channels(self) -> Channels:
        """The PI channels that the server has open."""
        return Channels(self._server)

    @cached_property
    def batch(self) -> Batch:
        """Several requests in one."""
        return Batch(self._server)

    @cached_property
    def dataservers(self) -> DataServers:
        """PI Data Archives."""
        return DataServers(self._server)

    @cached_property
    def points(self) -> Points:
        """PI points."""
        return Points(self._server)

    # Values

    @cached_property
    def streams(self) -> Streams:
        """The values of one point or attribute."""
        return Streams(self._server)

    @cached_property
    def streamsets(self) -> StreamSets:
        """The values of several points or attributes."""
        return StreamSets(self._server)

    @cached_property
    def calculation(self) -> Calculation:
        """Expressions over values."""
        return Calculation(self._server)

    # The asset framework

    @cached_property
    def assetservers(self) -> AssetServers:
        """AF servers."""
        return AssetServers(self._server)

    @cached_property
    def assetdatabases(self) -> AssetDatabases:
        """AF databases."""
        return AssetDatabases(self._server)

    @cached_property
    def elements(self) -> Elements:
        """AF elements."""
        return Elements(self._server)

    @cached_property
    def attributes(self) -> Attributes:
        """AF attributes."""
        return Attributes(self._server)

    @cached_property
    def eventframes(self) -> EventFrames:
        """AF event frames."""
        return EventFrames(self._server)

    @cached_property
    def elementtemplates(self) -> ElementTemplates:
        """AF templates of elements and event frames."""
        return ElementTemplates(self._server)

    @cached_property
    def attributetemplates(self) -> AttributeTemplates:
        """AF templates of attributes."""
        return AttributeTemplates(self._server)

    @cached_property
    def attributetraits(self) -> AttributeTraits:
        """What attributes can be to their element."""
        return AttributeTraits(self._server)

    # Its library

    @cached_property
    def analysiscategories(self) -> AnalysisCategories:
        """AF categories of analyses."""
        return AnalysisCategories(self._server)

    @cached_property
    def attributecategories(self) -> AttributeCategories:
        """AF categories of attributes."""
        return AttributeCategories(self._server)

    @cached_property
    def elementcategories(self) -> ElementCategories:
        """AF categories of elements."""
        return ElementCategories(self._server)

    @cached_property
    def tablecategories(self) -> TableCategories:
        """AF categories of tables."""
        return TableCategories(self._server)

    @cached_property
    def enumerationsets(self) -> EnumerationSets:
        """Enumeration sets and digital state sets."""
        return EnumerationSets(self._server)

    @cached_property
    def enumerationvalues(self) -> EnumerationValues:
        """Values of enumeration sets."""
        return EnumerationValues(self._server)

    @cached_property
    def tables(self) -> Tables:
        """AF tables."""
        return Tables(self._server)

    @cached_property
    def unitclasses(self) -> UnitClasses:
        """Classes of units of measure."""
        return UnitClasses(self._server)

    @cached_property
    def units(self) -> Units:
        """Units of measure."""
        return Units(self._server)

    # Analyses and notifications

    @cached_property
    def analyses(self) -> Analyses:
        """AF analyses."""
        return Analyses(self._server)

    @cached_property
    def analysistemplates(self) -> AnalysisTemplates:
        """AF templates of analyses."""
        return AnalysisTemplates(self._server)

    @cached_property
    def analysisrules(self) -> AnalysisRules:
        """What analyses compute."""
        return AnalysisRules(self._server)

    @cached_property
    def analysisruleplugins(self) -> AnalysisRulePlugIns:
        """Plug-ins for rules of analyses."""
        return AnalysisRulePlugIns(self._server)

    @cached_property
    def timerules(self) -> TimeRules:
        """When analyses run."""
        return TimeRules(self._server)

    @cached_property
    def timeruleplugins(self) -> TimeRulePlugIns:
        """Plug-ins that say when analyses run."""
        return TimeRulePlugIns(self._server)

    @cached_property
    def notificationrules(self) -> NotificationRules:
        """When who is notified of what."""
        return NotificationRules(self._server)

    @cached_property
    def notificationruletemplates(self) -> NotificationRuleTemplates:
        """Templates of notification rules."""
        return NotificationRuleTemplates(self._server)

    @cached_property
    def notificationrulesubscribers(self) -> NotificationRuleSubscribers:
        """Those who are notified."""
        return NotificationRuleSubscribers(self._server)

    @cached_property
    def notificationcontacttemplates(self) -> NotificationContactTemplates:
        """Templates of those who are notified."""
        return NotificationContactTemplates(self._server)

    @cached_property
    def notificationplugins(self) -> NotificationPlugIns:
        """Plug-ins by which notifications go out."""
        return NotificationPlugIns(self._server)

    # Security

    @cached_property
    def securityidentities(self) -> SecurityIdentities:
        """Identities that have rights."""
        return SecurityIdentities(self._server)

    @cached_property
    def securitymappings(self) -> SecurityMappings:
        """Which account has which identity."""
        return SecurityMappings(self._server)

    def __repr__(self) -> str:
        server = self._server
        return f"<Controller {server.scheme}://{server.host} root={server.root!r}>"
