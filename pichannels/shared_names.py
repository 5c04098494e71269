"""The names of packages that pichannels shares with a user's project.

`nodes` and `msgstore` are namespace packages: ours, the project's and those of plug-ins
are seen as one, unless one of them is an ordinary package.
"""

from __future__ import annotations

import importlib.metadata
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

from pichannels.errors import SettingsError

__all__ = ["check_shared_names"]

_SHARED_NAMES: Final = ("nodes", "msgstore")


def check_shared_names(folder: Path) -> None:
    """Refuse packages that would hide `nodes` or `msgstore`, the user's and others'.

    Raises:
        SettingsError: names the file or distribution, and what to do.
    """
    for name in _SHARED_NAMES:
        origin = _hiding(name, folder)
        if origin is None:
            continue
        if origin.is_relative_to(folder):
            raise SettingsError(
                f"this hides pichannels' own {name!r}; {_remedy(origin, name)}",
                file=str(origin),
            )
        owner = _distribution_of(name, origin)
        raise SettingsError(
            f"this hides pichannels' own {name!r}; {owner} cannot be installed"
            " beside pichannels: uninstall it, or use another environment",
            file=str(origin),
        )


def _hiding(name: str, folder: Path) -> Path | None:
    """The file of the ordinary module or package with this name, if there is one."""
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded:
        return Path(loaded)
    spec = PathFinder.find_spec(name, [str(folder), *sys.path])
    return Path(spec.origin) if spec and spec.origin else None


def _remedy(origin: Path, name: str) -> str:
    if origin.name == "__init__.py":
        return "delete this file: the folder works without it"
    return f"rename it, or move it into a folder {name}/"


def _distribution_of(name: str, origin: Path) -> str:
    for dist in importlib.metadata.packages_distributions().get(name, ()):
        for file in importlib.metadata.files(dist) or ():
            if Path(str(file.locate())).resolve() == origin.resolve():
                return f"the distribution {dist!r}"
    return f"what is in {origin.parent}"
