"""The settings of the project, as attributes of one object."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from pichannels.project import SETTINGS_MODULE

__all__ = ["ConfigError", "Settings", "settings"]

VARIABLE: Final = "PYPEMAN_SETTINGS_MODULE"
"""The environment variable that names the module where no project runs."""
_DEFAULTS: Final = {"PROJECT_MODULE": "project"}


class ConfigError(ImportError):
    """There are no settings."""


class Settings:
    """What `settings.py` says; names begin with a capital letter.

    In a project that runs it is its own file; elsewhere the module that
    `PYPEMAN_SETTINGS_MODULE` names, or `settings`.
    """

    def __getattr__(self, name: str) -> Any:
        if not name[:1].isupper():
            raise AttributeError(f"settings have no {name!r}")
        try:
            return getattr(_module(), name)
        except AttributeError:
            pass
        if name in _DEFAULTS:
            return _DEFAULTS[name]
        raise AttributeError(f"settings.py says nothing of {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        raise TypeError(f"settings are not changed by code ({name} = {value!r})")

    def raise_for_missing(self) -> None:
        """Look whether there are settings.

        Raises:
            ConfigError: there are none.
        """
        _module()


def _module() -> ModuleType:
    running = sys.modules.get(SETTINGS_MODULE)
    if running is not None:
        return running
    name = os.environ.get(VARIABLE, "settings")
    try:
        return import_module(name)
    except ImportError as exc:
        raise ConfigError(
            f"there are no settings: no module {name!r}, which {VARIABLE} names, or"
            " a settings.py in this folder"
        ) from exc


settings: Final = Settings()
"""The settings of this process."""
