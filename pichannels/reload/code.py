"""Which files of loaded modules have changed: a process keeps the code it has read."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from pichannels.project import SETTINGS_MODULE

__all__ = ["CodeFiles", "loaded_files"]

_SITE: Final = {"site-packages", "dist-packages"}
_HOME: Final = Path(__file__).resolve().parents[2]
_NOT_OF_PROJECTS: Final = (
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")),
    *(_HOME / name for name in ("pichannels", "nodes", "msgstore")),
)


class _Version(NamedTuple):
    stamp: tuple[int, int]
    digest: bytes


class CodeFiles:
    """The project's own modules as they were when they were loaded.

    Those of the standard library, of installed distributions and of pichannels do
    not count. The methods read files.
    """

    def __init__(self) -> None:
        self._known: dict[Path, _Version] = {}

    def remember(self) -> None:
        """Note the modules that were loaded since the last time."""
        for file in loaded_files():
            if file not in self._known:
                version = _version(file)
                if version is not None:
                    self._known[file] = version

    def changed(self) -> list[Path]:
        """The files that hold other code now than what was loaded."""
        return [file for file, old in self._known.items() if _differs(file, old)]


def loaded_files() -> list[Path]:
    """The files of the project's modules that are loaded in this process."""
    return sorted({file for file in _files() if _is_of_project(file)})


def _files() -> Iterator[Path]:
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name != SETTINGS_MODULE and str(file).endswith(".py"):
            yield Path(file)


def _is_of_project(file: Path) -> bool:
    if not file.is_absolute() or _SITE.intersection(file.parts):
        return False
    return not any(file.is_relative_to(folder) for folder in _NOT_OF_PROJECTS)


def _version(file: Path) -> _Version | None:
    stamp = _stamp(file)
    if stamp is None:
        return None
    return _Version(stamp, hashlib.sha256(file.read_bytes()).digest())


def _differs(file: Path, old: _Version) -> bool:
    stamp = _stamp(file)
    if stamp is None or stamp == old.stamp:
        # A file that is gone is missed by whoever imports it.
        return False
    new = _version(file)
    return new is not None and new.digest != old.digest


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
