"""Plug-ins: what installed distributions add, found by their entry points.

A distribution adds channels, nodes, stores and commands by entry points in the
groups of `GROUPS`. They are found without being imported; one that cannot be
imported costs itself alone.
"""

from __future__ import annotations

import importlib.metadata
from importlib.metadata import EntryPoint
from typing import Any, Final

import msgspec

from pichannels.errors import SettingsError

__all__ = ["GROUPS", "Plugin", "find_plugins"]

GROUPS: Final = {
    "channels": "pichannels.channels",
    "nodes": "pichannels.nodes",
    "stores": "pichannels.stores",
    "commands": "pichannels.commands",
}
"""What can be added -> the group of entry points that adds it."""


class Plugin(msgspec.Struct, frozen=True):
    """One thing that a distribution adds.

    Attributes:
        kind: `channels`, `nodes`, `stores` or `commands`.
        name: how it is called in YAML files, or on the command line.
        value: the object, as `module:name`.
        distribution, version: who adds it.
        location: the folder that the distribution is installed in.
    """

    kind: str
    name: str
    value: str
    distribution: str
    version: str
    location: str

    def load(self) -> Any:
        """Import the object.

        Raises:
            SettingsError: that failed; names the distribution.
        """
        point = EntryPoint(self.name, self.value, GROUPS[self.kind])
        try:
            return point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as exc:
            # Whatever a foreign module does at its import, it costs itself alone.
            raise SettingsError(
                f"the plug-in {self.name!r} cannot be loaded: {_told(exc)};"
                f" uninstall or update {self.distribution!r}",
                file=f"{self.distribution} {self.version}",
                key=self.value,
            ) from exc


def find_plugins(kind: str | None = None) -> list[Plugin]:
    """What is installed, of one kind or of all, by kind and name."""
    found = [
        _plugin(each, point)
        for each, group in GROUPS.items()
        if kind in (None, each)
        for point in importlib.metadata.entry_points(group=group)
    ]
    kinds = list(GROUPS)
    return sorted(found, key=lambda p: (kinds.index(p.kind), p.name, p.distribution))


def _plugin(kind: str, point: EntryPoint) -> Plugin:
    dist = point.dist
    return Plugin(
        kind,
        point.name,
        point.value,
        dist.name if dist else "?",
        dist.version if dist else "?",
        str(dist.locate_file("")) if dist else "?",
    )


def _told(exc: BaseException) -> str:
    return f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
