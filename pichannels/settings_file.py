"""Where the settings of a project are, and where its data is by default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pichannels.errors import SettingsError

__all__ = ["DATA_DIR", "SETTINGS_VARIABLE", "find_settings"]

SETTINGS_VARIABLE: Final = "PICHANNELS_SETTINGS"
"""The environment variable that names the settings file."""
DATA_DIR: Final = ".pichannels"
"""The folder for the journal, beside the settings unless they say otherwise."""


def find_settings(path: str | os.PathLike[str] | None = None) -> Path:
    """The settings file: as given, as the environment names it, or in this folder.

    Raises:
        SettingsError: there is no such file.
    """
    named = path or os.environ.get(SETTINGS_VARIABLE) or "settings.py"
    found = Path(named).absolute()
    if found.is_dir():
        found /= "settings.py"
    if found.is_file():
        return found
    raise SettingsError(
        f"there is no such file; go to the project's folder, name the file with"
        f" --settings or {SETTINGS_VARIABLE}, or make a project with"
        " `pichannels startproject`",
        file=str(found),
    )
