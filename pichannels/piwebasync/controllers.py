"""The entry to all requests: `Controller(...).points.get_by_path(...)`."""

from __future__ import annotations

from functools import cached_property

from pichannels.piwebasync.controllers_assets import AssetDatabases, AssetServers
from pichannels.piwebasync.controllers_base import Server
from pichannels.piwebasync.controllers_elements import Attributes, Elements
from pichannels.piwebasync.controllers_points import DataServers, Points
from pichannels.piwebasync.controllers_streams import Streams
from pichannels.piwebasync.controllers_streamsets import StreamSets
from pichannels.piwebasync.controllers_system import System

__all__ = ["Controller"]


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
    """

    def __init__(
        self, scheme: str, host: str, port: int | str | None = None, root: str = "/"
    ) -> None:
        self._server = Server(scheme, host, port, root)

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
    def dataservers(self) -> DataServers:
        """PI Data Archives."""
        return DataServers(self._server)

    @cached_property
    def points(self) -> Points:
        """PI points."""
        return Points(self._server)

    @cached_property
    def streams(self) -> Streams:
        """The values of one point or attribute."""
        return Streams(self._server)

    @cached_property
    def streamsets(self) -> StreamSets:
        """The values of several points or attributes."""
        return StreamSets(self._server)

    @cached_property
    def system(self) -> System:
        """The PI Web API itself."""
        return System(self._server)

    def __repr__(self) -> str:
        server = self._server
        return f"<Controller {server.scheme}://{server.host} root={server.root!r}>"
